import {
  COMMAND_OUTCOMES,
  COMMAND_STATUSES,
  type Command,
  type CommandOutcome,
  type CommandStatus,
  type OnExisting,
  type Phase,
} from '../domain/command.ts'
import { ShardingError } from '../domain/errors.ts'
import {
  OPERATION_STATES,
  OPERATION_TYPES,
  type Operation,
  type OperationState,
  type OperationType,
} from '../domain/operation.ts'
import type { InsertRows, Literal } from '../domain/statement.ts'
import type { Row } from '../domain/values.ts'
import { OPERATION_TABLE, QUEUE_TABLE } from '../domain/system-tables.ts'

/** How commands and operations lie in their tables. */

/** Characters of an error kept in the journal: enough for the daemon's text, bounded for the table. */
const MAX_ERROR_LENGTH = 1_000

type Cells<T> = readonly (readonly [column: string, cell: (item: T) => Literal])[]

const COMMAND_CELLS: Cells<Command> = [
  ['id', (command) => command.id],
  ['node', (command) => command.node],
  ['query', (command) => command.query],
  ['rollback_query', (command) => command.rollbackQuery],
  ['wait_for_id', (command) => command.waitFor.at(-1) ?? 0],
  ['rollback_wait_for_id', (command) => command.rollbackWaitFor.at(-1) ?? 0],
  ['operation_group', (command) => command.operationGroup],
  ['tries', (command) => command.tries],
  ['status', (command) => command.status],
  ['created_at', (command) => command.createdAt],
  ['updated_at', (command) => command.updatedAt],
  ['duration', (command) => command.duration],
  ['waits', (command) => command.waitFor],
  ['rollback_waits', (command) => command.rollbackWaitFor],
  ['outcome', (command) => command.outcome],
  ['last_error', (command) => clipError(command.lastError)],
  ['phase', (command) => command.phase],
  ['on_existing', (command) => command.onExisting],
  ['existed_before', (command) => (command.existedBefore ? 1 : 0)],
  ['epoch', (command) => command.epoch],
  ['savepoint', (command) => command.savepoint],
  ['copy_bytes', (command) => command.copyBytes],
]

const OPERATION_CELLS: Cells<Operation> = [
  ['id', (operation) => operation.id],
  ['operation_group', (operation) => operation.group],
  ['type', (operation) => operation.type],
  ['table', (operation) => operation.table],
  ['state', (operation) => operation.state],
  ['has_pivot', (operation) => (operation.hasPivot ? 1 : 0)],
  ['epoch', (operation) => operation.epoch],
  ['requested_by', (operation) => operation.requestedBy],
  ['error', (operation) => clipError(operation.error)],
  ['created_at', (operation) => operation.createdAt],
  ['updated_at', (operation) => operation.updatedAt],
  ['ended_at', (operation) => operation.endedAt],
  ['deadline_at', (operation) => operation.deadlineAt],
  ['summary', (operation) => operation.summary],
  ['keep_finished', (operation) => (operation.keepFinished ? 1 : 0)],
  ['keep_to', (operation) => operation.keepTo],
  ['hold_until', (operation) => operation.holdUntil],
  ['request', (operation) => operation.request],
  ['refusal', (operation) => operation.refusal],
]

export function clipError(text: string): string {
  return text.length <= MAX_ERROR_LENGTH ? text : `${text.slice(0, MAX_ERROR_LENGTH - 1)}…`
}

export function insertCommands(cluster: string | null, commands: readonly Command[]): InsertRows {
  return insertInto(cluster, QUEUE_TABLE, COMMAND_CELLS, commands)
}

export function insertOperation(cluster: string | null, operation: Operation): InsertRows {
  return insertInto(cluster, OPERATION_TABLE, OPERATION_CELLS, [operation])
}

function insertInto<T>(
  cluster: string | null,
  name: string,
  cells: Cells<T>,
  items: readonly T[],
): InsertRows {
  return {
    kind: 'insert',
    table: { cluster, name },
    columns: cells.map(([column]) => column),
    rows: items.map((item) => cells.map(([, cell]) => cell(item))),
  }
}

export function commandFromRow(row: Row): Command {
  const waitFor = list(row, 'waits')
  const rollbackWaitFor = list(row, 'rollback_waits')
  return {
    id: integer(row, 'id'),
    node: text(row, 'node'),
    query: text(row, 'query'),
    rollbackQuery: text(row, 'rollback_query'),
    // Rows of older versions have only the single columns.
    waitFor: waitFor.length > 0 ? waitFor : single(row, 'wait_for_id'),
    rollbackWaitFor: rollbackWaitFor.length > 0 ? rollbackWaitFor : single(row, 'rollback_wait_for_id'),
    operationGroup: text(row, 'operation_group'),
    tries: integer(row, 'tries'),
    status: oneOf<CommandStatus>(row, 'status', COMMAND_STATUSES),
    createdAt: integer(row, 'created_at'),
    updatedAt: integer(row, 'updated_at'),
    duration: integer(row, 'duration'),
    outcome: oneOf<CommandOutcome>(row, 'outcome', COMMAND_OUTCOMES),
    lastError: text(row, 'last_error'),
    phase: oneOf<Phase>(row, 'phase', ['before_pivot', 'after_pivot']),
    onExisting: oneOf<OnExisting>(row, 'on_existing', ['accept', 'fail']),
    existedBefore: integer(row, 'existed_before') === 1,
    epoch: integer(row, 'epoch'),
    savepoint: integer(row, 'savepoint'),
    copyBytes: integer(row, 'copy_bytes'),
  }
}

export function operationFromRow(row: Row): Operation {
  return {
    id: integer(row, 'id'),
    group: text(row, 'operation_group'),
    type: oneOf<OperationType>(row, 'type', OPERATION_TYPES),
    table: text(row, 'table'),
    state: oneOf<OperationState>(row, 'state', OPERATION_STATES),
    hasPivot: integer(row, 'has_pivot') === 1,
    epoch: integer(row, 'epoch'),
    requestedBy: text(row, 'requested_by'),
    error: text(row, 'error'),
    createdAt: integer(row, 'created_at'),
    updatedAt: integer(row, 'updated_at'),
    endedAt: integer(row, 'ended_at'),
    deadlineAt: integer(row, 'deadline_at'),
    summary: text(row, 'summary'),
    keepFinished: integer(row, 'keep_finished') === 1,
    keepTo: integer(row, 'keep_to'),
    holdUntil: integer(row, 'hold_until'),
    request: text(row, 'request'),
    refusal: text(row, 'refusal'),
  }
}

export function integer(row: Row, column: string): number {
  const value = Number(row[column])
  if (!Number.isSafeInteger(value)) throw unreadable(row, column)
  return value
}

export function text(row: Row, column: string): string {
  const value = row[column]
  if (typeof value !== 'string') throw unreadable(row, column)
  return value
}

/** A multi-value column comes back as `1,2,3`. */
export function list(row: Row, column: string): number[] {
  const value = text(row, column)
  return value === '' ? [] : value.split(',').map(Number)
}

function single(row: Row, column: string): number[] {
  const id = integer(row, column)
  return id === 0 ? [] : [id]
}

function oneOf<T extends string>(row: Row, column: string, allowed: readonly T[]): T {
  const value = row[column]
  const found = allowed.find((word) => word === value)
  if (found === undefined) throw unreadable(row, column)
  return found
}

function unreadable(row: Row, column: string): ShardingError {
  return new ShardingError(
    'refused',
    `the journal's row ${String(row['id'])} has ${JSON.stringify(String(row[column]))} in column '${column}', which this version cannot read`,
  )
}
