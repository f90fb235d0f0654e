import type {
  ColumnDefinition,
  DeleteRows,
  InsertRows,
  Select,
  TableOption,
  UpdateRows,
} from '../domain/statement.ts'
import type { ResultColumn, Row } from '../domain/values.ts'

/** A failure as the daemon words it. `httpStatus` is what its HTTP listener answers with. */
export class DaemonError extends Error {
  readonly httpStatus: number
  constructor(message: string, httpStatus = 500) {
    super(message)
    this.name = 'DaemonError'
    this.httpStatus = httpStatus
  }
}

export interface StoredTable {
  /** Lower case, with `system.` where it has it. */
  readonly name: string
  readonly kind: 'rt' | 'shard'
  /** Without `id`, in the order of creation. */
  readonly columns: readonly ColumnDefinition[]
  readonly options: readonly TableOption[]
}

/** What a statement answers, before it is written as JSON or MySQL packets. */
export interface StatementResult {
  readonly columns: readonly ResultColumn[]
  readonly rows: readonly Row[]
  /** Rows returned, or rows affected without a result set. */
  readonly total: number
  readonly warning: string
}

/** A row as it lies in a table: every column filled, lists as sorted number arrays, JSON as text. */
export type StoredRow = ReadonlyMap<string, StoredValue>
export type StoredValue = string | number | bigint | readonly (number | bigint)[]

/**
 * The local tables of one node: definitions and rows in an SQLite file, and small facts about the node
 * itself. Synchronous, knows nothing of clusters or other nodes. Statements name tables by `table.name`; the
 * cluster prefix was dealt with before. Failures are {@link DaemonError}s worded like the daemon's.
 */
export interface TableStore {
  tables(): readonly StoredTable[]
  table(name: string): StoredTable | undefined
  /** Throws when a table of that name is there. */
  create(table: StoredTable): void
  drop(name: string): void
  truncate(name: string): void
  addColumn(name: string, column: ColumnDefinition): void
  dropColumn(name: string, column: string): void

  /** All rows or none. Rows without an id, or with id 0, get one. Returns the ids in order. */
  insert(statement: InsertRows): { readonly ids: readonly (number | bigint)[]; readonly warning: string }
  /** Rows affected. */
  update(statement: UpdateRows): number
  /** Rows affected. */
  delete(statement: DeleteRows): number
  select(statement: Select): StatementResult

  /** Bytes that its rows take in the node's SQLite file. */
  sizeBytes(name: string): number

  /** For routing and state transfer: rows that match, as stored, in id order. */
  scan(name: string, where: Select['where']): Iterable<StoredRow>
  /** Replaces the table of that name, or makes it, with these rows. */
  replaceTable(table: StoredTable, rows: Iterable<StoredRow>): void

  /** A fact about the node that survives a restart, e.g. its clusters; JSON text. */
  fact(key: string): string | undefined
  setFact(key: string, json: string | undefined): void

  /** All or nothing; may be nested. */
  transaction<T>(body: () => T): T
  close(): void
}
