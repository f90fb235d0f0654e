import type { ColumnDefinition, ColumnType } from '../../domain/statement.ts'
import { DaemonError, type StoredTable } from '../store.ts'

/** The daemon's words for the types of result columns. */
export type ResultType = 'long long' | 'long' | 'string' | 'json' | 'multi' | 'float' | 'double' | 'bool'

interface ColumnKind {
  /** Type of a result column that shows it. */
  readonly result: ResultType
  /** In DESC. */
  readonly described: string
  /** In SHOW CREATE TABLE. */
  readonly defined: string
  /** Declaration in SQLite. */
  readonly declared: string
  /** What a row holds that does not name the column, as SQLite literal. */
  readonly empty: string
}

const INTEGER = { declared: 'INTEGER NOT NULL DEFAULT 0', empty: '0' } as const
const TEXT = { declared: "TEXT NOT NULL DEFAULT ''", empty: "''" } as const
/** The daemon compares string attributes with the collation `libc_ci` unless told otherwise. */
const STRING = { declared: "TEXT NOT NULL DEFAULT '' COLLATE NOCASE", empty: "''" } as const

export const COLUMN_KINDS: Readonly<Record<ColumnType, ColumnKind>> = {
  text: { result: 'string', described: 'text', defined: 'text', ...TEXT },
  string: { result: 'string', described: 'string', defined: 'string attribute', ...STRING },
  int: { result: 'long', described: 'uint', defined: 'integer', ...INTEGER },
  bigint: { result: 'long long', described: 'bigint', defined: 'bigint', ...INTEGER },
  float: {
    result: 'float',
    described: 'float',
    defined: 'float',
    declared: 'REAL NOT NULL DEFAULT 0',
    empty: '0.0',
  },
  bool: { result: 'bool', described: 'bool', defined: 'bool', ...INTEGER },
  timestamp: { result: 'long', described: 'timestamp', defined: 'timestamp', ...INTEGER },
  multi: { result: 'multi', described: 'mva', defined: 'multi', ...TEXT },
  multi64: { result: 'multi', described: 'mva64', defined: 'multi64', ...TEXT },
  json: { result: 'json', described: 'json', defined: 'json', ...TEXT },
}

/** Every table has it, in front; it is not among `StoredTable.columns`. */
export const ID_COLUMN: ColumnDefinition = { name: 'id', type: 'bigint', properties: [] }

/** A full-text field that is not an attribute: no filter, no sorting, no grouping by it. */
export function isTextField(column: ColumnDefinition): boolean {
  return column.type === 'text' && !column.properties.includes('attribute')
}

/** Its words can be searched with MATCH. */
export function isIndexed(column: ColumnDefinition): boolean {
  const indexed = column.properties.includes('indexed')
  if (column.type === 'string') return indexed
  if (column.type !== 'text') return false
  return indexed || !column.properties.includes('stored')
}

/** Its content comes back from a SELECT. */
export function isStored(column: ColumnDefinition): boolean {
  if (!isTextField(column)) return true
  return column.properties.includes('stored') || !column.properties.includes('indexed')
}

/** Text fields first, then attributes: the order of DESC, SHOW CREATE TABLE and INSERT without a column list. */
export function schemaOrder(table: StoredTable): readonly ColumnDefinition[] {
  return [...table.columns.filter(isTextField), ...table.columns.filter((column) => !isTextField(column))]
}

/** `id`, attributes, then stored text fields: what `*` stands for. */
export function starColumns(table: StoredTable): readonly ColumnDefinition[] {
  const attributes = table.columns.filter((column) => !isTextField(column))
  const fields = table.columns.filter((column) => isTextField(column) && isStored(column))
  return [ID_COLUMN, ...attributes, ...fields]
}

export function columnOf(table: StoredTable, name: string): ColumnDefinition | undefined {
  return name === ID_COLUMN.name ? ID_COLUMN : table.columns.find((column) => column.name === name)
}

/** For what the daemon knows and these nodes do not. */
export function unsupported(what: string): DaemonError {
  return new DaemonError(`${what} is not supported by an embedded node`)
}
