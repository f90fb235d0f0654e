import type { ColumnDefinition, DeleteRows, InsertRows, Select, UpdateRows } from '../domain/statement.ts'
import { Catalog, type CatalogEntry } from './sqlite/catalog.ts'
import { checkedId, convertId, convertLiteral, emptyCell } from './sqlite/cells.ts'
import { columnOf, ID_COLUMN, isTextField, schemaOrder, unsupported } from './sqlite/column-kinds.ts'
import { Database, type SqlCell } from './sqlite/database.ts'
import { compactInteger } from './sqlite/multi-value.ts'
import { searchesText } from './sqlite/expression.ts'
import { runSelect, selectSearchesText } from './sqlite/select.ts'
import {
  type Assignment,
  cellsOfRow,
  columnDeclaration,
  emptySource,
  filterText,
  rowId,
  TableRows,
} from './sqlite/table-rows.ts'
import {
  DaemonError,
  type StatementResult,
  type StoredRow,
  type StoredTable,
  type TableStore,
} from './store.ts'

/** Rows that {@link SqliteTableStore.replaceTable} writes at a time. */
const COPY_BATCH_ROWS = 1_000

/** {@link TableStore} in one SQLite file a node. */
export class SqliteTableStore implements TableStore {
  readonly #database: Database
  readonly #catalog: Catalog
  /** Smallest order key given out, by table number; read from the rows when it is not known. */
  readonly #firstOrders = new Map<number, number>()

  /** `path` is the node's SQLite file, made when it is not there, or `:memory:`. */
  constructor(path: string) {
    this.#database = new Database(path)
    this.#catalog = new Catalog(this.#database)
    this.#database.exec('CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, json TEXT NOT NULL)')
  }

  tables(): readonly StoredTable[] {
    return this.#catalog.tables()
  }

  table(name: string): StoredTable | undefined {
    return this.#catalog.find(name)?.table
  }

  create(table: StoredTable): void {
    if (this.#catalog.find(table.name) !== undefined) {
      throw new DaemonError(
        `table '${table.name}': CREATE TABLE failed: table '${table.name}' already exists`,
      )
    }
    this.#catalog.add(table)
  }

  drop(name: string): void {
    const entry = this.#catalog.find(name)
    if (entry === undefined) throw new DaemonError(`DROP TABLE failed: unknown table '${name}'`)
    this.transaction(() => {
      this.#dropRows(entry)
      this.#catalog.remove(entry)
    })
  }

  truncate(name: string): void {
    const entry = this.#catalog.find(name)
    if (entry === undefined || entry.table.kind !== 'rt') {
      throw new DaemonError('TRUNCATE RTINDEX requires an existing RT table')
    }
    this.transaction(() => {
      this.#dropRows(entry)
      this.#catalog.change({ ...entry, hasRows: false, hasIndex: false })
    })
  }

  addColumn(name: string, column: ColumnDefinition): void {
    const entry = this.#alterable(name)
    if (columnOf(entry.table, column.name) !== undefined) {
      throw new DaemonError(`table ${name}: '${column.name}' attribute already in schema`)
    }
    this.#reshape(entry, [...entry.table.columns, column], `ADD COLUMN ${columnDeclaration(column)}`)
  }

  dropColumn(name: string, column: string): void {
    const entry = this.#alterable(name)
    if (column === ID_COLUMN.name)
      throw new DaemonError(`table ${name}: unable to remove built-in attribute 'id'`)
    const kept = entry.table.columns.filter((candidate) => candidate.name !== column)
    if (kept.length === entry.table.columns.length) {
      throw new DaemonError(`table ${name}: attribute '${column}' does not exist`)
    }
    this.#reshape(entry, kept, `DROP COLUMN "c_${column}"`)
  }

  insert(statement: InsertRows): { readonly ids: readonly (number | bigint)[]; readonly warning: string } {
    const { table } = this.#writable(statement.table.name, (name) => `table '${name}' absent`)
    const named = insertedColumns(table, statement)
    const converted = convertRows(table, named, statement)
    return this.transaction(() => {
      const rows = this.#rowsFor(table.name)
      const filled = withIds(converted.rows, rows)
      this.#write(rows, filled, statement.kind === 'replace')
      return { ids: filled.map(({ id }) => compactInteger(id)), warning: converted.warning }
    })
  }

  update(statement: UpdateRows): number {
    const entry = this.#writable(statement.table.name, (name) => `unknown table '${name}' in update request`)
    const assignments = convertAssignments(entry.table, statement)
    const rows = this.#searchableRows(entry, searchesText(statement.where))
    if (rows === null) return checkedZero(entry.table, statement.where)
    return this.transaction(() => rows.update(assignments, rows.where(statement.where)))
  }

  delete(statement: DeleteRows): number {
    const entry = this.#writable(statement.table.name, (name) => `unknown table '${name}' in delete request`)
    const rows = this.#searchableRows(entry, searchesText(statement.where))
    if (rows === null) return checkedZero(entry.table, statement.where)
    return this.transaction(() => rows.delete(rows.where(statement.where)))
  }

  select(statement: Select): StatementResult {
    if (statement.from === null) return runSelect(this.#database, emptySource(NO_TABLE), statement)
    const entry = this.#writable(
      statement.from.name,
      (name) => `unknown local table(s) '${name}' in search request`,
    )
    const rows = this.#searchableRows(entry, selectSearchesText(statement))
    return runSelect(this.#database, rows?.source() ?? emptySource(entry.table), statement)
  }

  sizeBytes(name: string): number {
    const entry = this.#writable(name, (missing) => `table '${missing}' absent`)
    return this.#existingRows(entry)?.sizeBytes() ?? 0
  }

  scan(name: string, where: Select['where']): Iterable<StoredRow> {
    const entry = this.#writable(name, (missing) => `table '${missing}' absent`)
    const rows = this.#searchableRows(entry, searchesText(where))
    if (rows !== null) return rows.scan(rows.where(where))
    filterText(emptySource(entry.table), where)
    return []
  }

  replaceTable(table: StoredTable, rows: Iterable<StoredRow>): void {
    this.transaction(() => {
      if (this.#catalog.find(table.name) !== undefined) this.drop(table.name)
      this.create(table)
      let batch: { readonly id: bigint; readonly cells: readonly SqlCell[] }[] = []
      for (const row of rows) {
        batch.push({ id: rowId(row), cells: cellsOfRow(table, row) })
        if (batch.length < COPY_BATCH_ROWS) continue
        this.#write(this.#rowsFor(table.name), batch, true)
        batch = []
      }
      if (batch.length > 0) this.#write(this.#rowsFor(table.name), batch, true)
    })
  }

  fact(key: string): string | undefined {
    const [row] = this.#database.rows('SELECT json FROM facts WHERE key = ?', [key])
    return row === undefined ? undefined : String(row[0])
  }

  setFact(key: string, json: string | undefined): void {
    if (json === undefined) this.#database.run('DELETE FROM facts WHERE key = ?', [key])
    else this.#database.run('INSERT OR REPLACE INTO facts (key, json) VALUES (?, ?)', [key, json])
  }

  transaction<T>(body: () => T): T {
    const { revision } = this.#catalog
    try {
      return this.#database.transaction(body)
    } catch (error) {
      if (this.#database.isOpen && this.#catalog.revision !== revision) this.#catalog.reload()
      throw error
    }
  }

  close(): void {
    this.#database.close()
  }

  #alterable(name: string): CatalogEntry {
    const entry = this.#catalog.find(name)
    if (entry === undefined) throw new DaemonError(`unknown local table '${name}' in ALTER request`)
    if (entry.table.kind !== 'rt') {
      throw new DaemonError('ALTER is only supported for local (not distributed) tables')
    }
    return entry
  }

  /** The rows of a sharded table are in its shards, not here. */
  #writable(name: string, absent: (name: string) => string): CatalogEntry {
    const entry = this.#catalog.find(name)
    if (entry === undefined) throw new DaemonError(absent(name))
    if (entry.table.kind !== 'rt')
      throw unsupported(`reading or writing the sharded table '${name}' by itself`)
    return entry
  }

  #existingRows(entry: CatalogEntry): TableRows | null {
    const { table, number, hasRows, hasIndex } = entry
    return hasRows ? new TableRows(this.#database, table, number, hasIndex) : null
  }

  /** The rows, with a full-text index when one is needed and the table can have one. */
  #searchableRows(entry: CatalogEntry, isSearched: boolean): TableRows | null {
    if (!isSearched || !entry.hasRows || entry.hasIndex) return this.#existingRows(entry)
    const rows = new TableRows(this.#database, entry.table, entry.number, true)
    if (rows.indexName === null) return rows
    return this.transaction(() => {
      rows.makeIndex()
      this.#catalog.change({ ...entry, hasIndex: true })
      return rows
    })
  }

  /** The rows of a table that is going to get one. */
  #rowsFor(name: string): TableRows {
    const entry = this.#writable(name, (missing) => `table '${missing}' absent`)
    const rows = new TableRows(this.#database, entry.table, entry.number, entry.hasIndex)
    if (!entry.hasRows) {
      rows.make()
      this.#catalog.change({ ...entry, hasRows: true })
      this.#firstOrders.set(entry.number, 0)
    }
    return rows
  }

  #write(
    rows: TableRows,
    values: readonly { readonly id: bigint; readonly cells: readonly SqlCell[] }[],
    replace: boolean,
  ): void {
    const number = this.#catalog.find(rows.table.name)?.number ?? 0
    const first = (this.#firstOrders.get(number) ?? rows.firstOrder()) - values.length
    this.#firstOrders.set(number, first)
    const ordered = values.map(({ id, cells }, index) => ({ id, cells, order: first + index }))
    const duplicate = rows.write(ordered, replace)
    if (duplicate !== null) throw new DaemonError(`duplicate id '${duplicate}'`)
  }

  #dropRows(entry: CatalogEntry): void {
    this.#existingRows(entry)?.remove()
    this.#firstOrders.delete(entry.number)
  }

  #reshape(entry: CatalogEntry, columns: readonly ColumnDefinition[], action: string): void {
    const table = { ...entry.table, columns }
    this.transaction(() => {
      const before = this.#existingRows(entry)
      if (before !== null) {
        before.removeIndex()
        this.#database.exec(`ALTER TABLE ${before.rowsName} ${action}`)
      }
      this.#catalog.change({ ...entry, table, hasIndex: false })
    })
  }
}

const NO_TABLE: StoredTable = { name: '', kind: 'rt', columns: [], options: [] }

/** Checks a condition on a table that has no rows. */
function checkedZero(table: StoredTable, where: Select['where']): number {
  filterText(emptySource(table), where)
  return 0
}

/** The columns that the values of an INSERT belong to; `id` may be among them. */
function insertedColumns(table: StoredTable, statement: InsertRows): readonly ColumnDefinition[] {
  if (statement.columns === null) return [ID_COLUMN, ...schemaOrder(table)]
  const seen = new Set<string>()
  return statement.columns.map((name) => {
    const column = columnOf(table, name)
    if (column === undefined) throw new DaemonError(`unknown column: '${name}'`)
    if (seen.has(name)) throw new DaemonError(`column '${name}' specified twice`)
    seen.add(name)
    return column
  })
}

interface ConvertedRows {
  readonly rows: readonly { readonly id: bigint; readonly cells: readonly SqlCell[] }[]
  readonly warning: string
}

/** All values as they lie in the table; nothing is written when one does not fit. */
function convertRows(
  table: StoredTable,
  named: readonly ColumnDefinition[],
  statement: InsertRows,
): ConvertedRows {
  const defaults = table.columns.map(emptyCell)
  const places = named.map((column) => table.columns.indexOf(column))
  const warnings = new Set<string>()
  const rows = statement.rows.map((values, rowIndex) => {
    if (values.length !== named.length) {
      throw new DaemonError(
        `column count does not match schema (expected ${named.length}, got ${values.length})`,
      )
    }
    const cells = [...defaults]
    let id = 0n
    named.forEach((column, index) => {
      const value = values[index] ?? ''
      const where = `row ${rowIndex + 1}, column ${index + 1}`
      if (column === ID_COLUMN) {
        id = convertId(value, where)
        return
      }
      const { cell, warning } = convertLiteral(column, value, where)
      cells[places[index] ?? 0] = cell
      if (warning !== '') warnings.add(warning)
    })
    return { id, cells }
  })
  return { rows, warning: [...warnings].join('; ') }
}

/** Rows without an id get the ones after the largest of the table and the statement. */
function withIds(rows: ConvertedRows['rows'], existing: TableRows): ConvertedRows['rows'] {
  if (!rows.some(({ id }) => id === 0n)) return rows
  let largest = existing.largestId()
  for (const { id } of rows) if (id > largest) largest = id
  return rows.map(({ id, cells }) => {
    if (id !== 0n) return { id, cells }
    largest += 1n
    return { id: checkedId(largest), cells }
  })
}

function convertAssignments(table: StoredTable, statement: UpdateRows): readonly Assignment[] {
  return statement.assignments.map(({ column: name, value }) => {
    if (name === ID_COLUMN.name)
      throw new DaemonError(`table ${table.name}: 'id' attribute cannot be updated`)
    const column = columnOf(table, name)
    if (column === undefined || isTextField(column)) {
      throw new DaemonError(`table ${table.name}: attribute '${name}' not found`)
    }
    const { cell, warning } = convertLiteral(column, value, `table ${table.name}: attribute '${name}'`)
    if (warning !== '') throw new DaemonError(`table ${table.name}: ${warning}`)
    return { column: name, cell }
  })
}
