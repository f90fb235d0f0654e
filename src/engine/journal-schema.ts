import type { ColumnDefinition, ColumnType, CreateTable } from '../domain/statement.ts'
import { OPERATION_TABLE, PLACEMENT_TABLE, QUEUE_TABLE, STATE_TABLE } from '../domain/system-tables.ts'

const QUEUE_COLUMNS = columns({
  node: 'string',
  query: 'string',
  rollback_query: 'string',
  wait_for_id: 'bigint',
  rollback_wait_for_id: 'bigint',
  operation_group: 'string',
  tries: 'int',
  status: 'string',
  created_at: 'bigint',
  updated_at: 'bigint',
  duration: 'int',
  // Behind the documented columns.
  waits: 'multi64',
  rollback_waits: 'multi64',
  outcome: 'string',
  last_error: 'string',
  phase: 'string',
  on_existing: 'string',
  existed_before: 'int',
  epoch: 'bigint',
  savepoint: 'int',
  copy_bytes: 'bigint',
})

const STATE_COLUMNS = columns({
  key: 'string',
  value: 'json',
  updated_at: 'timestamp',
  // Compare-and-set goes by this number.
  version: 'bigint',
})

const PLACEMENT_COLUMNS = columns({
  cluster: 'string',
  node: 'string',
  table: 'string',
  shards: 'multi',
})

const OPERATION_COLUMNS = columns({
  operation_group: 'string',
  type: 'string',
  table: 'string',
  state: 'string',
  has_pivot: 'int',
  epoch: 'bigint',
  requested_by: 'string',
  error: 'string',
  created_at: 'bigint',
  updated_at: 'bigint',
  ended_at: 'bigint',
  deadline_at: 'bigint',
  summary: 'string',
  keep_finished: 'int',
  keep_to: 'int',
  hold_until: 'bigint',
  request: 'string',
  refusal: 'string',
})

export const JOURNAL_TABLES: readonly CreateTable[] = [
  systemTable(QUEUE_TABLE, QUEUE_COLUMNS),
  systemTable(STATE_TABLE, STATE_COLUMNS),
  systemTable(PLACEMENT_TABLE, PLACEMENT_COLUMNS),
  systemTable(OPERATION_TABLE, OPERATION_COLUMNS),
]

function columns(types: Record<string, ColumnType>): ColumnDefinition[] {
  return Object.entries(types).map(([name, type]) => ({ name, type, properties: [] }))
}

function systemTable(name: string, definitions: readonly ColumnDefinition[]): CreateTable {
  return {
    kind: 'create_table',
    table: { cluster: null, name },
    // Another process may be making the same table.
    ifNotExists: true,
    columns: definitions,
    options: [],
  }
}
