import type { Command } from '../domain/command.ts'
import type { Plan, PlannedCommand } from '../domain/plan.ts'
import type { IdSource } from '../domain/ports.ts'
import type { Statement } from '../domain/statement.ts'
import { renderStatement } from '../sql/index.ts'

/** What commands get beyond their plan. */
export interface CommandStamp {
  readonly ids: IdSource
  readonly epoch: number
  /** Milliseconds since 1970-01-01 UTC. */
  readonly now: number
}

/** The commands of an operation: exactly what its plan says, with ids instead of keys. */
export function commandsFromPlan(plan: Plan, stamp: CommandStamp): { group: string; commands: Command[] } {
  const group = `${plan.type}-${plan.table}-${stamp.ids.next().toString(36)}`
  const ids = new Map(plan.commands.map(({ key }) => [key, stamp.ids.next()]))
  const dependents = dependentsByKey(plan.commands)
  const idsOf = (keys: readonly string[]) => keys.flatMap((key) => ids.get(key) ?? [])
  const commands = plan.commands.map(
    (planned): Command => ({
      id: ids.get(planned.key) ?? 0,
      node: planned.node,
      query: script(planned.statements),
      rollbackQuery: script(planned.rollback),
      waitFor: idsOf(planned.dependsOn),
      rollbackWaitFor: idsOf(dependents.get(planned.key) ?? []),
      operationGroup: group,
      tries: 0,
      status: 'created',
      createdAt: stamp.now,
      updatedAt: stamp.now,
      duration: 0,
      outcome: '',
      lastError: '',
      phase: planned.phase,
      savepoint: planned.savepoint,
      copyBytes: planned.copyBytes,
      onExisting: planned.onExisting,
      // The plan was made from what was observed a moment ago: its objects were not there.
      existedBefore: false,
      epoch: stamp.epoch,
    }),
  )
  return { group, commands }
}

/** Whether there is a point of no return among them. */
export function hasPivot(commands: readonly Command[]): boolean {
  return commands.some(({ phase }) => phase === 'after_pivot')
}

function script(statements: readonly Statement[]): string {
  return statements.map(renderStatement).join('; ')
}

function dependentsByKey(commands: readonly PlannedCommand[]): Map<string, string[]> {
  const dependents = new Map<string, string[]>()
  for (const { key, dependsOn } of commands) {
    for (const dependency of dependsOn) {
      const keys = dependents.get(dependency)
      if (keys === undefined) dependents.set(dependency, [key])
      else keys.push(key)
    }
  }
  return dependents
}
