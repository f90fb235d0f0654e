import type { ColumnDefinition, ColumnType, TableOption } from '../../domain/statement.ts'
import type { StoredTable } from '../store.ts'
import { COLUMN_KINDS } from './column-kinds.ts'
import type { Database } from './database.ts'

/** A table of the node and where its rows are. */
export interface CatalogEntry {
  /** Its rows lie in `t_<number>`, its full-text index in `f_<number>`. */
  readonly number: number
  readonly table: StoredTable
  /** Whether `t_<number>` exists: made with the first row, so that thousands of empty shards cost nothing. */
  readonly hasRows: boolean
  /** Whether `f_<number>` exists: made with the first search, because it is dear, and many tables see none. */
  readonly hasIndex: boolean
}

/** The definitions of a node's tables: in memory for reading, in SQLite for keeps. */
export class Catalog {
  readonly #database: Database
  readonly #entries = new Map<string, CatalogEntry>()
  #nextNumber = 1
  #revision = 0

  constructor(database: Database) {
    this.#database = database
    database.exec(
      'CREATE TABLE IF NOT EXISTS tables (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, ' +
        'definition TEXT NOT NULL, has_rows INTEGER NOT NULL, has_index INTEGER NOT NULL)',
    )
    this.reload()
  }

  /** What is in SQLite counts; called after a transaction was undone. */
  reload(): void {
    this.#entries.clear()
    for (const [number, name, definition, hasRows, hasIndex] of this.#database.rows(
      'SELECT number, name, definition, has_rows, has_index FROM tables ORDER BY name',
    )) {
      const entry = {
        number: Number(number),
        table: parseDefinition(String(name), String(definition)),
        hasRows: hasRows === 1n,
        hasIndex: hasIndex === 1n,
      }
      this.#entries.set(entry.table.name, entry)
      this.#nextNumber = Math.max(this.#nextNumber, entry.number + 1)
    }
  }

  /** Changes with every definition; tells whether an undone transaction touched any. */
  get revision(): number {
    return this.#revision
  }

  /** In the order of names. */
  tables(): readonly StoredTable[] {
    const tables = [...this.#entries.values()].map((entry) => entry.table)
    return tables.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  find(name: string): CatalogEntry | undefined {
    return this.#entries.get(name)
  }

  add(table: StoredTable): CatalogEntry {
    const entry = { number: this.#nextNumber, table, hasRows: false, hasIndex: false }
    this.#database.run(
      'INSERT INTO tables (number, name, definition, has_rows, has_index) VALUES (?, ?, ?, 0, 0)',
      [entry.number, table.name, definitionText(table)],
    )
    this.#nextNumber += 1
    this.#revision += 1
    this.#entries.set(table.name, entry)
    return entry
  }

  change(entry: CatalogEntry): void {
    this.#database.run('UPDATE tables SET definition = ?, has_rows = ?, has_index = ? WHERE number = ?', [
      definitionText(entry.table),
      entry.hasRows ? 1 : 0,
      entry.hasIndex ? 1 : 0,
      entry.number,
    ])
    this.#revision += 1
    this.#entries.set(entry.table.name, entry)
  }

  remove(entry: CatalogEntry): void {
    this.#database.run('DELETE FROM tables WHERE number = ?', [entry.number])
    this.#revision += 1
    this.#entries.delete(entry.table.name)
  }
}

function definitionText(table: StoredTable): string {
  const { kind, columns, options } = table
  return JSON.stringify({ kind, columns, options })
}

function parseDefinition(name: string, text: string): StoredTable {
  const parsed: unknown = JSON.parse(text)
  const definition = record(parsed)
  const kind = definition['kind'] === 'shard' ? 'shard' : 'rt'
  return {
    name,
    kind,
    columns: list(definition['columns']).map(parseColumn),
    options: list(definition['options']).map(parseOption),
  }
}

function parseColumn(value: unknown): ColumnDefinition {
  const column = record(value)
  const type = String(column['type'])
  if (!isColumnType(type)) throw new TypeError(`the catalog has a column of the unknown type ${type}`)
  return { name: String(column['name']), type, properties: list(column['properties']).map(String) }
}

function parseOption(value: unknown): TableOption {
  const option = record(value)
  return { name: String(option['name']), value: String(option['value']) }
}

function isColumnType(type: string): type is ColumnType {
  return Object.hasOwn(COLUMN_KINDS, type)
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) throw new TypeError('the catalog has a damaged entry')
  return { ...value }
}

function list(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new TypeError('the catalog has a damaged entry')
  return value
}
