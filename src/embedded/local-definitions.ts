import type { ColumnDefinition, CreateTable, DropTable, TableOption } from '../domain/statement.ts'
import { done } from './local-results.ts'
import {
  COLUMN_KINDS,
  ID_COLUMN,
  isIndexed,
  isStored,
  isTextField,
  schemaOrder,
  unsupported,
} from './sqlite/column-kinds.ts'
import { DaemonError, type StatementResult, type StoredTable, type TableStore } from './store.ts'

/** What the option `morphology` takes; `libstemmer_…` and `lemmatize_…` go by their beginning. */
const STEMMERS: ReadonlySet<string> = new Set([
  'none',
  'stem_en',
  'stem_ru',
  'stem_enru',
  'stem_cz',
  'stem_ar',
  'soundex',
  'metaphone',
  'icu_chinese',
  'jieba_chinese',
])
const STEMMER_FAMILIES = ['libstemmer_', 'lemmatize_'] as const

/** CREATE TABLE. Whether the shards that a sharded table names make sense is checked elsewhere. */
export function createTable(store: TableStore, statement: CreateTable): StatementResult {
  const { name } = statement.table
  if (statement.ifNotExists && store.table(name) !== undefined) return done()
  const failed = `table '${name}': CREATE TABLE failed: `
  if (store.table(name) !== undefined) throw new DaemonError(`${failed}table '${name}' already exists`)
  const columns = (statement.columns ?? []).filter((column) => column.name !== ID_COLUMN.name)
  const repeated = columns.find(
    (column, index) => columns.findIndex(({ name: other }) => other === column.name) < index,
  )
  if (repeated !== undefined) throw new DaemonError(`${failed}duplicate attribute name '${repeated.name}'`)
  const kind = tableKind(statement.options)
  if (kind === 'rt' && statement.options.some((option) => option.name === 'shards' || option.name === 'rf')) {
    throw new DaemonError(`${failed}${failed}'shards' and 'rf' options require Buddy`)
  }
  checkMorphology(name, statement.options)
  const options =
    kind === 'rt' ? statement.options.filter((option) => option.name !== 'type') : statement.options
  store.create({ name, kind, columns, options })
  return done()
}

function tableKind(options: readonly TableOption[]): StoredTable['kind'] {
  const type = options.find((option) => option.name === 'type')?.value ?? 'rt'
  if (type !== 'rt' && type !== 'shard') throw unsupported(`the table type '${type}'`)
  return type
}

function checkMorphology(name: string, options: readonly TableOption[]): void {
  for (const option of options.filter((candidate) => candidate.name === 'morphology')) {
    for (const stemmer of option.value.split(',').map((word) => word.trim())) {
      const known = STEMMERS.has(stemmer) || STEMMER_FAMILIES.some((family) => stemmer.startsWith(family))
      if (!known && stemmer !== '')
        throw new DaemonError(`error adding table '${name}': unknown stemmer ${stemmer}`)
    }
  }
}

/** DROP TABLE of a table that is in no cluster. */
export function dropTable(store: TableStore, statement: DropTable): StatementResult {
  const { name } = statement.table
  const table = store.table(name)
  if (table === undefined) {
    if (statement.ifExists) return done()
    throw new DaemonError(`DROP TABLE failed: unknown table '${name}'`)
  }
  if (table.kind === 'shard' && !statement.force) {
    throw new DaemonError(`can not drop table '${name}' because it contains system table`)
  }
  store.drop(name)
  return done()
}

/** What DESC says of a column in its third column. */
export function describedProperties(column: ColumnDefinition): string {
  if (isTextField(column)) {
    return [isIndexed(column) ? 'indexed' : '', isStored(column) ? 'stored' : ''].filter(Boolean).join(' ')
  }
  return isIndexed(column) ? 'indexed attribute' : ''
}

/**
 * The text of SHOW CREATE TABLE. A sharded table shows how many shards and copies it has; `force` shows its layout.
 */
export function definitionText(table: StoredTable, force: boolean): string {
  const columns = schemaOrder(table).map((column) => `,\n${column.name} ${columnText(column)}`)
  const options = table.kind === 'shard' && !force ? shardingOptions(table.options) : table.options
  const tail = options.map(({ name, value }) => ` ${name}='${value.replaceAll(/[\\']/g, String.raw`\$&`)}'`)
  return `CREATE TABLE ${table.name} (\nid bigint${columns.join('')}\n)${tail.join('')}`
}

function columnText(column: ColumnDefinition): string {
  const kind = COLUMN_KINDS[column.type].defined
  if (isTextField(column) && isIndexed(column) && isStored(column)) return kind
  const shown = column.properties.filter((property) => !kind.split(' ').includes(property))
  return [kind, ...shown].join(' ')
}

/** Copies of a shard are the mirrors of its agent, separated by `|`. */
function shardingOptions(options: readonly TableOption[]): readonly TableOption[] {
  const shards = options.filter(({ name }) => name === 'local' || name === 'agent')
  const copies = shards.map(({ name, value }) => (name === 'local' ? 1 : value.split('|').length))
  return [
    { name: 'shards', value: String(shards.length) },
    { name: 'rf', value: String(Math.max(1, ...copies)) },
  ]
}
