import type { Command } from '../domain/command.ts'
import type { Operation } from '../domain/operation.ts'
import type { Plan, PlannedCommand } from '../domain/plan.ts'
import type { IdSource } from '../domain/ports.ts'
import type { Statement } from '../domain/statement.ts'
import { renderStatement } from '../sql/index.ts'

/** What an operation gets beyond its plan. */
export interface OperationStamp {
  readonly ids: IdSource
  readonly epoch: number
  readonly requestedBy: string
  /** Milliseconds since 1970-01-01 UTC. */
  readonly now: number
  /** How long transient failures are retried, in milliseconds. */
  readonly timeoutMs: number
  /** When a command fails for good, the parts that are finished stay. */
  readonly keepFinished?: boolean
  /** How long what it would free is kept behind the pivot, in milliseconds. */
  readonly holdMs?: number
}

/** The rows of an operation: exactly what its plan says, with ids instead of keys. */
export function operationFromPlan(
  plan: Plan,
  stamp: OperationStamp,
): { operation: Operation; commands: Command[] } {
  const operationId = stamp.ids.next()
  const group = `${plan.type}-${plan.table}-${operationId.toString(36)}`
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
  const hasPivot = plan.commands.some(({ phase }) => phase === 'after_pivot')
  return { operation: newOperation(plan, group, operationId, hasPivot, stamp), commands }
}

export function newOperation(
  what: Pick<Plan, 'type' | 'table' | 'summary'>,
  group: string,
  id: number,
  hasPivot: boolean,
  stamp: Omit<OperationStamp, 'ids'>,
): Operation {
  return {
    id,
    group,
    type: what.type,
    table: what.table,
    state: 'queued',
    hasPivot,
    epoch: stamp.epoch,
    requestedBy: stamp.requestedBy,
    error: '',
    createdAt: stamp.now,
    updatedAt: stamp.now,
    endedAt: 0,
    deadlineAt: stamp.now + stamp.timeoutMs,
    summary: what.summary,
    keepFinished: stamp.keepFinished ?? false,
    keepTo: 0,
    holdUntil: stamp.holdMs === undefined ? 0 : stamp.now + stamp.holdMs,
  }
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
