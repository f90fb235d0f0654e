import type { ColumnDefinition, Expression } from '../../domain/statement.ts'
import type { StoredRow, StoredTable, StoredValue } from '../store.ts'
import { storedCell, storedValue } from './cells.ts'
import { COLUMN_KINDS, ID_COLUMN, isIndexed } from './column-kinds.ts'
import { plainCell, type Database, type SqlCell, type SqlText } from './database.ts'
import { compileExpression, sqliteName } from './expression.ts'
import type { TableSource } from './select.ts'

/** Rows that a scan holds in memory at a time. */
const SCAN_PAGE_ROWS = 1_000

/** Ids from 2^63 on are kept as negative numbers. */
const SMALLEST_ID = -(2n ** 63n)
const LARGEST_ID = 2n ** 63n - 1n

/** SQLite's code for a primary key that exists. */
const SQLITE_CONSTRAINT_PRIMARYKEY = 1_555

/** How FTS5 splits text: letters, digits and `_` make words, case and accents do not count. */
const TOKENIZER = `unicode61 remove_diacritics 2 tokenchars '_'`

/** Members of a list that is bound as JSON. */
const LISTED = '(SELECT value FROM json_each(?))'

export interface Assignment {
  readonly column: string
  readonly cell: SqlCell
}

/** The rows of one table in SQLite: `t_<number>` and, with full-text columns, the index `f_<number>`. */
export class TableRows {
  readonly table: StoredTable
  readonly rowsName: string
  readonly indexName: string | null
  readonly #database: Database
  readonly #indexed: readonly ColumnDefinition[]

  /** `hasIndex`: whether there is a full-text index to search and to keep up to date. */
  constructor(database: Database, table: StoredTable, number: number, hasIndex: boolean) {
    this.#database = database
    this.table = table
    this.#indexed = hasIndex ? table.columns.filter(isIndexed) : []
    this.rowsName = `t_${number}`
    this.indexName = this.#indexed.length === 0 ? null : `f_${number}`
  }

  make(): void {
    const columns = this.table.columns.map((column) => `, ${columnDeclaration(column)}`)
    this.#database.exec(
      `CREATE TABLE ${this.rowsName} ("id" INTEGER PRIMARY KEY, "o" INTEGER NOT NULL${columns.join('')})`,
    )
  }

  /** Indexes all rows that are there. The index keeps words only, the text itself is in the rows. */
  makeIndex(): void {
    if (this.indexName === null) return
    const columns = this.#indexed.map((column) => sqliteName(column.name)).join(', ')
    this.#database.exec(
      `CREATE VIRTUAL TABLE ${this.indexName} USING fts5(${columns}, content='', contentless_delete=1, ` +
        `tokenize="${TOKENIZER}")`,
    )
    this.#database.exec(
      `INSERT INTO ${this.indexName} (rowid, ${columns}) SELECT "id", ${columns} FROM ${this.rowsName}`,
    )
  }

  remove(): void {
    this.removeIndex()
    this.#database.exec(`DROP TABLE ${this.rowsName}`)
  }

  removeIndex(): void {
    if (this.indexName !== null) this.#database.exec(`DROP TABLE ${this.indexName}`)
  }

  source(): TableSource {
    return { table: this.table, rows: this.rowsName, fullTextTable: this.indexName }
  }

  /** Pages of the rows, not of the full-text index: that is made anew from them wherever it is needed. */
  sizeBytes(): number {
    const sql = 'SELECT pgsize FROM dbstat WHERE name = ? AND aggregate = 1'
    const [row] = this.#database.rows(sql, [this.rowsName])
    return Number(row?.[0] ?? 0)
  }

  /** The smallest order key in use; later rows get smaller ones, so that they come first. */
  firstOrder(): number {
    const [row] = this.#database.rows(`SELECT MIN("o") FROM ${this.rowsName}`)
    return Number(row?.[0] ?? 0)
  }

  /** 0 when there are no rows. */
  largestId(): bigint {
    const [row] = this.#database.rows(`SELECT MAX("id") FROM ${this.rowsName}`)
    return BigInt(row?.[0] === null ? 0 : String(row?.[0] ?? 0))
  }

  /**
   * Writes rows whose cells stand in the order of the table's columns.
   *
   * @returns the id of the first row that was there already, when `replace` is false; nothing is undone then.
   */
  write(
    rows: Iterable<{ readonly id: bigint; readonly order: number; readonly cells: readonly SqlCell[] }>,
    replace: boolean,
  ): bigint | null {
    const verb = replace ? 'INSERT OR REPLACE' : 'INSERT'
    const names = this.table.columns.map((column) => sqliteName(column.name))
    const insert = this.#database.prepare(insertText(verb, this.rowsName, ['"id"', '"o"', ...names]))
    const indexedNames = this.#indexed.map((column) => sqliteName(column.name))
    const indexedPlaces = this.#indexed.map((column) => this.table.columns.indexOf(column))
    const index =
      this.indexName === null
        ? null
        : this.#database.prepare(insertText(verb, this.indexName, ['rowid', ...indexedNames]))
    for (const { id, order, cells } of rows) {
      try {
        insert.run(id, order, ...cells)
      } catch (error) {
        if (isDuplicate(error)) return id
        throw error
      }
      index?.run(id, ...indexedPlaces.map((place) => cells[place] ?? ''))
    }
    return null
  }

  update(assignments: readonly Assignment[], where: SqlText): number {
    const isIndexed = assignments.some(({ column }) => this.#indexed.some(({ name }) => name === column))
    if (!isIndexed || this.indexName === null) return this.#assign(assignments, where)
    const ids = this.#matchingIds(where)
    const changed = this.#assign(assignments, { sql: `"id" IN ${LISTED}`, parameters: [ids] })
    const columns = this.#indexed.map((column) => sqliteName(column.name)).join(', ')
    this.#database.run(
      `INSERT OR REPLACE INTO ${this.indexName} (rowid, ${columns}) ` +
        `SELECT "id", ${columns} FROM ${this.rowsName} WHERE "id" IN ${LISTED}`,
      [ids],
    )
    return changed
  }

  #assign(assignments: readonly Assignment[], where: SqlText): number {
    const list = assignments.map(({ column }) => `${sqliteName(column)} = ?`).join(', ')
    return this.#database.run(`UPDATE ${this.rowsName} SET ${list} WHERE ${where.sql}`, [
      ...assignments.map(({ cell }) => cell),
      ...where.parameters,
    ])
  }

  delete(where: SqlText): number {
    const { rowsName, indexName } = this
    if (indexName === null) {
      return this.#database.run(`DELETE FROM ${rowsName} WHERE ${where.sql}`, where.parameters)
    }
    const ids = this.#matchingIds(where)
    this.#database.run(`DELETE FROM ${indexName} WHERE rowid IN ${LISTED}`, [ids])
    return this.#database.run(`DELETE FROM ${rowsName} WHERE "id" IN ${LISTED}`, [ids])
  }

  /**
   * Ids as a JSON list. The condition may search the index, so it is answered before rows or index change.
   */
  #matchingIds(where: SqlText): string {
    const ids = this.#database.rows(`SELECT "id" FROM ${this.rowsName} WHERE ${where.sql}`, where.parameters)
    return `[${ids.map(([id]) => String(id)).join(',')}]`
  }

  /** Page by page, so that nothing keeps the table busy between two rows. */
  *scan(where: SqlText): Iterable<StoredRow> {
    const names = this.table.columns.map((column) => `, ${sqliteName(column.name)}`).join('')
    const sql =
      `SELECT "id"${names} FROM ${this.rowsName} WHERE "id" >= ? AND ${where.sql} ` +
      `ORDER BY "id" LIMIT ${SCAN_PAGE_ROWS}`
    let next = SMALLEST_ID
    for (;;) {
      const page = this.#database.rows(sql, [next, ...where.parameters])
      for (const cells of page) {
        const values = cells.map((cell) => plainCell(cell) ?? '')
        next = BigInt(values[0] ?? 0) + 1n
        yield storedRow(this.table, values)
      }
      if (page.length < SCAN_PAGE_ROWS || next > LARGEST_ID) return
    }
  }

  where(expression: Expression | null): SqlText {
    return filterText({ table: this.table, rows: this.rowsName, fullTextTable: this.indexName }, expression)
  }
}

/** A WHERE condition; also checks it, so it is called for tables without rows, too. */
export function filterText(source: TableSource, expression: Expression | null): SqlText {
  if (expression === null) return { sql: '1', parameters: [] }
  const { table, fullTextTable } = source
  return compileExpression(expression, { table, fullTextTable, aliases: new Map(), place: 'filter' })
}

/** Stands in for the rows of a table that has none yet. */
export function emptySource(table: StoredTable): TableSource {
  const columns = table.columns.map(
    (column) => `, ${COLUMN_KINDS[column.type].empty} AS ${sqliteName(column.name)}`,
  )
  return { table, rows: `(SELECT 0 AS "id", 0 AS "o"${columns.join('')} WHERE 0)`, fullTextTable: null }
}

export function columnDeclaration(column: ColumnDefinition): string {
  return `${sqliteName(column.name)} ${COLUMN_KINDS[column.type].declared}`
}

/** Cells in the order of the table's columns, for {@link TableRows.write}. */
export function cellsOfRow(table: StoredTable, row: StoredRow): readonly SqlCell[] {
  return table.columns.map((column) => storedCell(column, row.get(column.name)))
}

/** The id of a row from elsewhere. */
export function rowId(row: StoredRow): bigint {
  const id = row.get(ID_COLUMN.name)
  if (typeof id !== 'number' && typeof id !== 'bigint') throw new TypeError('a stored row has no id')
  return BigInt(id)
}

function storedRow(table: StoredTable, values: readonly (string | number | bigint)[]): StoredRow {
  const row = new Map<string, StoredValue>([[ID_COLUMN.name, values[0] ?? 0]])
  table.columns.forEach((column, index) => {
    row.set(column.name, storedValue(column, values[index + 1] ?? ''))
  })
  return row
}

function insertText(verb: string, into: string, names: readonly string[]): string {
  return `${verb} INTO ${into} (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')})`
}

function isDuplicate(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === SQLITE_CONSTRAINT_PRIMARYKEY
}
