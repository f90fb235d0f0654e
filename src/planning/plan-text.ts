import type { Plan } from '../domain/plan.ts'
import { renderStatement } from '../sql/index.ts'

/** Characters of one statement in a printed plan. */
const MAX_STATEMENT_LENGTH = 200

/** A plan as people read it: why, then every command with its node, what it waits for, and its rollback. */
export function planText(plan: Plan): string {
  const numbers = new Map(plan.commands.map(({ key }, index) => [key, index + 1]))
  const lines = [plan.summary]
  for (const reason of plan.reasons) lines.push(`  - ${reason}`)
  if (plan.copyBytes > 0) lines.push(`  - ${plan.copyBytes} bytes are copied`)
  let phase = 'before_pivot'
  for (const command of plan.commands) {
    if (command.phase !== phase) {
      phase = command.phase
      lines.push(
        '',
        '---- point of no return: from here on nothing is undone, all is retried until done ----',
      )
    }
    const waits = command.dependsOn.map((key) => numbers.get(key)).join(', ')
    const part = command.savepoint > 0 ? ` (part ${command.savepoint})` : ''
    lines.push('', `${numbers.get(command.key)}. on ${command.node}${part}: ${command.why}`)
    lines.push(`   ${shown(command.statements)}`)
    if (command.rollback.length > 0) lines.push(`   undone by ${shown(command.rollback)}`)
    if (waits !== '') lines.push(`   after ${waits}`)
  }
  return `${lines.join('\n')}\n`
}

function shown(statements: Plan['commands'][number]['statements']): string {
  const text = statements.map(renderStatement).join('; ')
  return text.length <= MAX_STATEMENT_LENGTH ? text : `${text.slice(0, MAX_STATEMENT_LENGTH - 1)}…`
}
