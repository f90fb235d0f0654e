import { planText } from '../planning/plan-text.ts'
import type { Adoption } from './cluster.ts'

/** What was found and done, as people read it. */
export function adoptionText({ tables, problems, plan, operation }: Adoption): string {
  const lines = tables.length === 0 ? ['There is no table that Manticore Buddy made.'] : []
  for (const { table, shards, rf, replicaSets, adoptable, placements, switches } of tables) {
    const sets = replicaSets.length === 0 ? '' : ` in ${replicaSets.length} replica sets`
    lines.push(`${table}: ${shards} shards × ${rf} copies${sets}${adoptable ? '' : '; cannot be adopted'}`)
    for (const { node, replicaSet, shards: numbers } of placements) {
      lines.push(`  ${node}: shards ${numbers.join(', ')}${replicaSet === '' ? '' : ` (${replicaSet})`}`)
    }
    if (switches.length > 0) lines.push(`  its sharded table is made anew on ${switches.join(', ')}`)
  }
  for (const { blocking, text } of problems) lines.push(`${blocking ? 'problem' : 'note'}: ${text}`)
  if (operation === null) return `${lines.join('\n')}\n\n${planText({ ...plan, reasons: [] })}`
  return `${lines.join('\n')}\n\nadopted: ${operation.commands} commands, operation ${operation.group}\n`
}
