import type {
  DescribeTable,
  SetVariable,
  ShowOther,
  ShowTableStatus,
  Statement,
} from '../domain/statement.ts'
import type { TokenCursor } from './cursor.ts'

/** SHOW statements that are one word; `version` is not among the daemon's. */
const OTHERS: readonly ShowOther['what'][] = ['settings', 'meta', 'warnings', 'threads', 'databases']

/** Behind the word SHOW. */
export function readShow(cursor: TokenCursor): Statement {
  if (cursor.acceptWords('tables')) {
    const system = cursor.acceptWords('from')
    if (system) cursor.expectWord('system')
    return { kind: 'show_tables', system, like: readLike(cursor) }
  }
  if (cursor.acceptWords('status')) return { kind: 'show_status', like: readLike(cursor) }
  if (cursor.acceptWords('table')) return readShowTableStatus(cursor)
  if (cursor.acceptWords('create')) {
    cursor.expectWord('table')
    // `system.` is not read here: the daemon refuses such names in this statement only.
    const table = { cluster: null, name: cursor.plainName() }
    return { kind: 'show_create_table', table, force: cursor.forceOption() }
  }
  if (cursor.acceptWords('session') || cursor.acceptWords('global')) cursor.expectWord('variables')
  else if (!cursor.acceptWords('variables')) return readShowOther(cursor)
  return { kind: 'show_other', what: 'variables', like: readLike(cursor) }
}

/** Behind SHOW TABLE. Its forms that name a table do not know those of `system`, so nobody here needs them. */
function readShowTableStatus(cursor: TokenCursor): ShowTableStatus {
  if (cursor.acceptWords('status')) return { kind: 'show_table_status', like: readLike(cursor) }
  cursor.plainName()
  if (cursor.acceptMark(':')) cursor.plainName()
  if (cursor.atWord('status')) throw cursor.problem('SHOW TABLE STATUS of one table is not supported')
  throw cursor.error('INDEXES or SETTINGS or STATUS')
}

function readShowOther(cursor: TokenCursor): ShowOther {
  const what = OTHERS.find((word) => cursor.acceptWords(word))
  if (what !== undefined) return { kind: 'show_other', what, like: readLike(cursor) }
  if (cursor.dialect === 'extended' && cursor.acceptWords('version')) {
    return { kind: 'show_other', what: 'version', like: null }
  }
  throw cursor.error('VARIABLES')
}

function readLike(cursor: TokenCursor): string | null {
  return cursor.acceptWords('like') ? cursor.expectString() : null
}

/** Behind DESC or DESCRIBE. */
export function readDescribe(cursor: TokenCursor): DescribeTable {
  const table = { cluster: null, name: cursor.localTable() }
  return { kind: 'describe', table, force: cursor.forceOption() }
}

/** What clients set for their session. `start` is the offset of the word SET, which has been read. */
export function readSetVariable(cursor: TokenCursor, start: number): SetVariable {
  if (!cursor.acceptWords('names') && !cursor.acceptWords('character', 'set')) {
    const scoped = cursor.acceptWords('session') || cursor.acceptWords('global')
    if (!cursor.acceptWords('transaction')) {
      const isVariable = cursor.atKind('variable') || cursor.atKind('word')
      if (!isVariable) throw cursor.error(scoped ? 'identifier' : null)
      cursor.next()
      cursor.expectMark('=')
    }
  }
  readSettingValue(cursor)
  return { kind: 'set_variable', text: cursor.text.slice(start, cursor.endOfLast()) }
}

/** At least one token, and whatever else stands before the end: the daemon ignores these settings too. */
function readSettingValue(cursor: TokenCursor): void {
  do {
    if (cursor.atKind('end') || cursor.atKind('invalid') || cursor.atMark(';')) throw cursor.error(null)
    cursor.next()
  } while (!cursor.atKind('end') && !cursor.atMark(';'))
}
