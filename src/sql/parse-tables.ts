import type {
  AlterTable,
  ColumnDefinition,
  ColumnType,
  CreateTable,
  DropTable,
  TableOption,
} from '../domain/statement.ts'
import type { TokenCursor } from './cursor.ts'

/** All spellings of the column types. */
const COLUMN_TYPES: ReadonlyMap<string, ColumnType> = new Map<string, ColumnType>([
  ['text', 'text'],
  ['string', 'string'],
  ['int', 'int'],
  ['integer', 'int'],
  ['uint', 'int'],
  ['bigint', 'bigint'],
  ['float', 'float'],
  ['bool', 'bool'],
  ['timestamp', 'timestamp'],
  ['multi', 'multi'],
  ['multi64', 'multi64'],
  ['json', 'json'],
])

/** Words that may stand behind a type by themselves. */
export const COLUMN_FLAGS: readonly string[] = ['indexed', 'stored', 'attribute']

/** Settings of a column, `name='value'`. */
export const COLUMN_SETTINGS: readonly string[] = ['engine', 'fast_fetch', 'hash', 'secondary_index']

/** Behind CREATE TABLE. */
export function readCreateTable(cursor: TokenCursor): CreateTable {
  const ifNotExists = cursor.acceptWords('if', 'not', 'exists')
  const table = cursor.definedTable()
  const columns = cursor.acceptMark('(') ? readColumns(cursor) : null
  if (columns !== null && !cursor.acceptMark(')')) throw cursor.error("',' or ')'")
  return { kind: 'create_table', table, ifNotExists, columns, options: readOptions(cursor) }
}

/** A list of columns without its parentheses. */
export function readColumns(cursor: TokenCursor): ColumnDefinition[] {
  return cursor.list(() => {
    const name = cursor.columnName()
    const type = readType(cursor)
    return { name, type, properties: readProperties(cursor, type) }
  })
}

function readType(cursor: TokenCursor): ColumnType {
  if (!cursor.atKind('word')) throw cursor.error(null)
  const word = cursor.next()
  const type = COLUMN_TYPES.get(word.value)
  // The daemon finds out one token late, and its message points there.
  if (type === undefined) throw cursor.problem(`unknown column type '${word.text}'`)
  return type
}

function readProperties(cursor: TokenCursor, type: ColumnType): string[] {
  const properties: string[] = []
  for (;;) {
    const { kind, value } = cursor.peek()
    if (kind === 'word' && COLUMN_FLAGS.includes(value)) {
      properties.push(cursor.next().value)
    } else if (kind === 'word' && COLUMN_SETTINGS.includes(value)) {
      cursor.next()
      cursor.expectMark('=')
      // As it stands: the parser also takes escapes that the renderer refuses.
      const setting = cursor.peek().text
      cursor.expectString()
      properties.push(`${value}=${setting}`)
    } else {
      return canonicalProperties(type, properties)
    }
  }
}

/** `string attribute` is the daemon's own long spelling of `string`. */
function canonicalProperties(type: ColumnType, properties: string[]): string[] {
  const isLongSpelling = type === 'string' && properties.length === 1 && properties[0] === 'attribute'
  return isLongSpelling ? [] : properties
}

/** `name='value' …` up to the first token that is no name. */
export function readOptions(cursor: TokenCursor): TableOption[] {
  const options: TableOption[] = []
  while (cursor.atKind('word') && !cursor.atWord('like')) {
    const name = cursor.next().value
    cursor.expectMark('=')
    options.push({ name, value: cursor.expectString() })
  }
  return options
}

/** Behind DROP TABLE. */
export function readDropTable(cursor: TokenCursor): DropTable {
  const ifExists = cursor.acceptWords('if', 'exists')
  const table = cursor.definedTable()
  return { kind: 'drop_table', table, ifExists, force: cursor.forceOption() }
}

/** Behind ALTER TABLE. */
export function readAlterTable(cursor: TokenCursor): AlterTable {
  const table = { cluster: null, name: cursor.localTable() }
  if (cursor.acceptWords('add', 'column')) {
    const column = cursor.columnName()
    return { kind: 'alter_table', table, action: 'add_column', column, type: readType(cursor) }
  }
  if (cursor.acceptWords('drop', 'column')) {
    return { kind: 'alter_table', table, action: 'drop_column', column: cursor.columnName(), type: null }
  }
  if (!cursor.atKind('word')) throw cursor.error(null)
  // Anything else can only be a setting, and the daemon calls what stands in place of its '=' a table name.
  cursor.next()
  if (cursor.atKind('word')) throw cursor.error("'='", 'tablename')
  cursor.expectMark('=')
  throw cursor.problem('changing the settings of a table is not supported')
}
