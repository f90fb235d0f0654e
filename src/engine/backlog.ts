import type { CommandStatus } from '../domain/command.ts'
import { isEnded, OPERATION_STATES, type OperationState } from '../domain/operation.ts'
import type { Expression, Select } from '../domain/statement.ts'
import { OPERATION_TABLE, QUEUE_TABLE } from '../domain/system-tables.ts'
import type { Row } from '../domain/values.ts'
import { integer, text } from './journal-rows.ts'
import { column, oneOf } from './where.ts'

/** What the journal holds that has not ended. */
export interface Backlog {
  /** Commands by status; only statuses in which something is still to be done. */
  readonly commands: ReadonlyMap<CommandStatus, number>
  /** Operations by state, and when the oldest of each was asked for, in milliseconds since 1970-01-01 UTC. */
  readonly operations: ReadonlyMap<OperationState, { readonly count: number; readonly oldestAt: number }>
}

/** Statuses of commands that wait, are under way, or are to be tried again. */
export const OPEN_STATUSES: readonly CommandStatus[] = [
  'created',
  'processing',
  'error',
  'rolling_back',
  'rollback_error',
]

export const OPEN_STATES: readonly OperationState[] = OPERATION_STATES.filter((state) => !isEnded(state))

export const SELECT_COMMAND_BACKLOG = countBy(QUEUE_TABLE, 'status', OPEN_STATUSES)
export const SELECT_OPERATION_BACKLOG = countBy(OPERATION_TABLE, 'state', OPEN_STATES)

export function backlogFromRows(commands: readonly Row[], operations: readonly Row[]): Backlog {
  const byStatus = new Map(commands.map((row) => [text(row, 'status'), integer(row, 'found')]))
  const byState = new Map(operations.map((row) => [text(row, 'state'), row]))
  return {
    commands: new Map(OPEN_STATUSES.map((status) => [status, byStatus.get(status) ?? 0])),
    operations: new Map(
      OPEN_STATES.flatMap((state) => {
        const row = byState.get(state)
        if (row === undefined) return []
        return [[state, { count: integer(row, 'found'), oldestAt: integer(row, 'oldest') }]]
      }),
    ),
  }
}

function countBy(table: string, name: string, values: readonly string[]): Select {
  const call = (called: string, argument: Expression): Expression => {
    return { kind: 'call', name: called, distinct: false, arguments: [argument] }
  }
  return {
    kind: 'select',
    items: [
      { expression: column(name), alias: null },
      { expression: call('count', { kind: 'star' }), alias: 'found' },
      { expression: call('min', column('created_at')), alias: 'oldest' },
    ],
    from: { cluster: null, name: table },
    where: oneOf(name, values),
    groupBy: [column(name)],
    having: null,
    orderBy: [],
    limit: values.length,
    offset: 0,
    options: [],
  }
}
