import { DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from 'node:sqlite'
import { registerFunctions } from './functions.ts'
import { compactInteger } from './multi-value.ts'

/** A cell as it goes into SQLite; whole numbers as bigint, because a number is bound as a float. */
export type SqlCell = string | number | bigint

/** SQL text with the values of its `?`, in order. */
export interface SqlText {
  readonly sql: string
  readonly parameters: readonly SqlCell[]
}

/** Prepared statements kept per node. One costs some kilobytes; the hot ones of a node are a few dozen. */
const MAX_PREPARED_STATEMENTS = 400

/** Busy wait for another handle on the same file, e.g. a backup. */
const BUSY_TIMEOUT_MS = 5_000

/** One SQLite file or memory database with the functions of the dialect. Not shared between threads. */
export class Database {
  readonly #handle: DatabaseSync
  readonly #prepared = new Map<string, StatementSync>()
  #depth = 0

  /** `path` is a file or `:memory:`. */
  constructor(path: string) {
    this.#handle = new DatabaseSync(path, { readBigInts: true, returnArrays: true, timeout: BUSY_TIMEOUT_MS })
    this.#handle.exec(
      path === ':memory:'
        ? 'PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF; PRAGMA temp_store=MEMORY'
        : 'PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY',
    )
    registerFunctions(this.#handle)
  }

  get isOpen(): boolean {
    return this.#handle.isOpen
  }

  exec(sql: string): void {
    this.#handle.exec(sql)
  }

  /** Rows changed. */
  run(sql: string, parameters: readonly SQLInputValue[] = []): number {
    return Number(this.#statement(sql).run(...parameters).changes)
  }

  /** All rows, cells in the order of the columns. */
  rows(sql: string, parameters: readonly SQLInputValue[] = []): readonly (readonly SQLOutputValue[])[] {
    return this.#statement(sql)
      .all(...parameters)
      .map(cells)
  }

  /** For many runs of one statement: skips the look-up in the cache. */
  prepare(sql: string): StatementSync {
    return this.#statement(sql)
  }

  /** All or nothing; nested ones are savepoints. */
  transaction<T>(body: () => T): T {
    const name = `s${this.#depth}`
    this.#handle.exec(this.#depth === 0 ? 'BEGIN IMMEDIATE' : `SAVEPOINT ${name}`)
    this.#depth += 1
    try {
      const result = body()
      this.#depth -= 1
      this.#handle.exec(this.#depth === 0 ? 'COMMIT' : `RELEASE ${name}`)
      return result
    } catch (error) {
      this.#undo(name)
      throw error
    }
  }

  #undo(name: string): void {
    this.#depth = name === 's0' ? 0 : Number(name.slice(1))
    if (!this.#handle.isOpen || !this.#handle.isTransaction) return
    this.#handle.exec(this.#depth === 0 ? 'ROLLBACK' : `ROLLBACK TO ${name}; RELEASE ${name}`)
  }

  close(): void {
    this.#prepared.clear()
    if (this.#handle.isOpen) this.#handle.close()
  }

  #statement(sql: string): StatementSync {
    const known = this.#prepared.get(sql)
    if (known !== undefined) {
      this.#prepared.delete(sql)
      this.#prepared.set(sql, known)
      return known
    }
    const statement = this.#handle.prepare(sql)
    this.#prepared.set(sql, statement)
    if (this.#prepared.size > MAX_PREPARED_STATEMENTS) {
      const [oldest] = this.#prepared.keys()
      if (oldest !== undefined) this.#prepared.delete(oldest)
    }
    return statement
  }
}

/** Rows come as arrays, which the type of `all()` does not say. */
function cells(row: unknown): readonly SQLOutputValue[] {
  if (!Array.isArray(row)) throw new TypeError('SQLite returned a row that is not an array')
  return row
}

/** How a literal number is bound: whole numbers stay whole. */
export function bindable(value: string | number | bigint): SqlCell {
  return typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : value
}

/** A cell as it comes out: integers as numbers where exact, no NULL, no blob. */
export function plainCell(cell: SQLOutputValue | undefined): string | number | bigint | null {
  if (typeof cell === 'bigint') return compactInteger(cell)
  if (typeof cell === 'string' || typeof cell === 'number') return cell
  if (cell === null || cell === undefined) return null
  throw new TypeError('SQLite returned a blob')
}
