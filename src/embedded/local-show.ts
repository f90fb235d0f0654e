import nodeProcess from 'node:process'
import type {
  DescribeTable,
  Expression,
  Select,
  ShowCreateTable,
  ShowOther,
  ShowStatus,
  ShowTables,
} from '../domain/statement.ts'
import { unreachable } from '../domain/errors.ts'
import { definitionText, describedProperties } from './local-definitions.ts'
import { likeMatcher, textRows } from './local-results.ts'
import type { NodeDescription, NodeSession } from './local-session.ts'
import { COLUMN_KINDS, schemaOrder } from './sqlite/column-kinds.ts'
import { columnLabel } from './sqlite/column-label.ts'
import { DaemonError, type StatementResult, type StoredTable, type TableStore } from './store.ts'

/** What an embedded node gives as its version; in the form of the daemon's. */
export const EMBEDDED_VERSION = '0.0.0 embedded@26080100'

/** Bytes of one statement: `max_packet_size` of the daemon. */
export const MAX_PACKET_BYTES = 134_217_728

const SYSTEM_PREFIX = 'system.'

export function showTables(store: TableStore, statement: ShowTables): StatementResult {
  const matches = likeMatcher(statement.like)
  const tables = store
    .tables()
    .filter(({ name }) => name.startsWith(SYSTEM_PREFIX) === statement.system && matches(name))
  return textRows(
    ['Table', 'Type'],
    tables.map(({ name, kind }) => [name, kind]),
  )
}

export function describeTable(store: TableStore, statement: DescribeTable): StatementResult {
  const table = existingTable(store, statement.table.name)
  const columns = schemaOrder(table).map((column) => [
    column.name,
    COLUMN_KINDS[column.type].described,
    describedProperties(column),
  ])
  return textRows(['Field', 'Type', 'Properties'], [['id', 'bigint', ''], ...columns])
}

export function showCreateTable(store: TableStore, statement: ShowCreateTable): StatementResult {
  const table = existingTable(store, statement.table.name)
  return textRows(['Table', 'Create Table'], [[table.name, definitionText(table, statement.force)]])
}

function existingTable(store: TableStore, name: string): StoredTable {
  const table = store.table(name)
  if (table === undefined) throw new DaemonError(`no such table '${name}'`)
  return table
}

/** The counters of the node itself; those of its clusters come from elsewhere. */
export function showStatus(statement: ShowStatus): StatementResult {
  const matches = likeMatcher(statement.like)
  const counters = [
    ['version', EMBEDDED_VERSION],
    ['mysql_version', EMBEDDED_VERSION],
  ] as const
  return textRows(
    ['Counter', 'Value'],
    counters.filter(([name]) => matches(name)),
  )
}

export function showOther(statement: ShowOther, session: NodeSession): StatementResult {
  const matches = likeMatcher(statement.like)
  switch (statement.what) {
    case 'settings':
      return textRows(
        ['Setting_name', 'Value'],
        settings(session.node).filter(([name]) => matches(name)),
      )
    case 'meta':
      return textRows(
        ['Variable_name', 'Value'],
        meta(session).filter(([name]) => matches(name)),
      )
    case 'warnings':
      return textRows(
        ['Level', 'Code', 'Message'],
        session.warning === '' ? [] : [['warning', '1000', session.warning]],
      )
    case 'variables':
      return textRows(
        ['Variable_name', 'Value'],
        VARIABLES.filter(([name]) => matches(name)),
      )
    case 'threads':
      return textRows(
        ['TID', 'Name', 'Proto', 'State', 'Info'],
        [[String(nodeProcess.pid), 'embedded', 'local', 'query', 'SHOW THREADS']],
      )
    case 'databases':
      return textRows(['Databases'], [['Manticore']])
    case 'version':
      throw new DaemonError("P01: syntax error, unexpected identifier, expecting VARIABLES near 'VERSION'")
    default:
      return unreachable(statement.what)
  }
}

/** The entries that the daemon lists, in its order. */
function settings(node: NodeDescription | null): readonly (readonly [string, string | number])[] {
  const dataDir = node?.dataDir ?? ''
  const [host = ''] = node?.address.split(':') ?? []
  return [
    ['configuration_file', `${dataDir}/manticore.conf`],
    ['worker_pid', nodeProcess.pid],
    ['searchd.listen', `${node?.mysqlAddress ?? ''}:mysql`],
    ['searchd.listen', `${node?.address ?? ''}:http`],
    ['searchd.listen', node?.address ?? ''],
    ['searchd.listen', `${node?.replicationAddress ?? ''}:replication`],
    ['searchd.node_address', host],
    ['searchd.server_id', '1'],
    ['searchd.data_dir', dataDir],
    ['searchd.log', `${dataDir}/searchd.log`],
    ['searchd.query_log', `${dataDir}/query.log`],
    ['searchd.query_log_format', 'sphinxql'],
    ['searchd.pid_file', `${dataDir}/searchd.pid`],
    ['searchd.buddy_path', ''],
    ['searchd.binlog_path', `${dataDir}/binlog`],
    ['common.plugin_dir', ''],
  ]
}

function meta(session: NodeSession): readonly (readonly [string, string])[] {
  const { lastQuery } = session
  if (lastQuery === null) return []
  return [
    ...(lastQuery.warning === '' ? [] : [['warning', lastQuery.warning] as const]),
    ['total', String(lastQuery.rows)],
    ['total_found', String(lastQuery.found())],
    ['total_relation', 'eq'],
    ['time', (lastQuery.durationMs / 1_000).toFixed(3)],
  ]
}

/** Variables that clients look at; they hold for every session and cannot be changed. */
const VARIABLES: readonly (readonly [string, string])[] = [
  ['autocommit', '1'],
  ['auto_increment_increment', '1'],
  ['character_set_client', 'utf8mb4'],
  ['character_set_connection', 'utf8mb4'],
  ['character_set_results', 'utf8mb4'],
  ['collation_connection', 'libc_ci'],
  ['max_allowed_packet', String(MAX_PACKET_BYTES)],
  ['session_read_only', '0'],
  ['version', EMBEDDED_VERSION],
  ['version_comment', `${EMBEDDED_VERSION} (embedded node of manticore-sharding)`],
]

const DATABASE = 'Manticore'

/** `SELECT @@name` and `SELECT DATABASE()` as SELECTs of literals, under the names that clients expect. */
export function withVariables(select: Select): Select {
  const items = select.items.map((item) => {
    const value = variableValue(item.expression)
    if (value === null) return item
    return {
      expression: { kind: 'literal', value } as const,
      alias: item.alias ?? columnLabel(item.expression),
    }
  })
  return { ...select, items }
}

function variableValue(expression: Expression): string | null {
  if (expression.kind === 'call' && expression.arguments.length === 0) {
    if (expression.name === 'database' || expression.name === 'schema') return DATABASE
    // Nobody is checked, so nobody is known.
    if (expression.name === 'user') return ''
    return expression.name === 'version' ? EMBEDDED_VERSION : null
  }
  if (expression.kind !== 'column' || !expression.column.startsWith('@@')) return null
  const wanted = expression.column.replace(/^@@(?:session\.|global\.)?/, '')
  const variable = VARIABLES.find(([name]) => name === wanted)
  if (variable === undefined) throw new DaemonError(`Unknown system variable '${wanted}'`)
  return variable[1]
}
