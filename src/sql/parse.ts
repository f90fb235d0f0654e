import type { ColumnDefinition, Statement, TableOption, VerifyTables } from '../domain/statement.ts'
import { TokenCursor, type Dialect } from './cursor.ts'
import type { SqlSection } from './errors.ts'
import {
  readAlterCluster,
  readCreateCluster,
  readExitCluster,
  readJoinCluster,
  readSetCluster,
} from './parse-clusters.ts'
import { readDelete, readInsert, readTruncate, readUpdate } from './parse-rows.ts'
import { readSelect } from './parse-select.ts'
import { readDescribe, readSetVariable, readShow } from './parse-show.ts'
import { readAlterTable, readColumns, readCreateTable, readDropTable, readOptions } from './parse-tables.ts'

export interface ParseOptions {
  /**
   * `daemon` (the default): what the daemon itself accepts. `extended`: also what users say to us, such as
   * `CREATE TABLE c:users (…) shards='4' rf='2'`.
   */
  readonly dialect?: Dialect
}

/**
 * Parses one statement; a `;` at its end is fine.
 *
 * @throws SqlSyntaxError with the place and the daemon's own wording.
 */
export function parseStatement(text: string, options: ParseOptions = {}): Statement {
  const cursor = new TokenCursor(text, options.dialect ?? 'daemon')
  const statement = readStatement(cursor)
  cursor.acceptMark(';')
  expectTextEnd(cursor)
  return statement
}

/** Parses statements separated by `;`. Nothing between two of them is fine, and so is nothing at all. */
export function parseScript(text: string, options: ParseOptions = {}): Statement[] {
  const cursor = new TokenCursor(text, options.dialect ?? 'daemon')
  const statements: Statement[] = []
  for (;;) {
    while (cursor.acceptMark(';'));
    if (cursor.atKind('end')) return statements
    statements.push(readStatement(cursor))
  }
}

/** Parses what stands between the parentheses of CREATE TABLE, e.g. `id bigint, name string`. */
export function parseColumnList(text: string): ColumnDefinition[] {
  const cursor = definitionCursor(text)
  const columns = readColumns(cursor)
  expectTextEnd(cursor)
  return columns
}

/** Parses what stands behind them, e.g. `min_infix_len='2' morphology='stem_en'`. No text, no options. */
export function parseTableOptions(text: string): TableOption[] {
  const cursor = definitionCursor(text)
  const options = readOptions(cursor)
  expectTextEnd(cursor)
  return options
}

function definitionCursor(text: string): TokenCursor {
  const cursor = new TokenCursor(text, 'extended')
  cursor.section = 'P03'
  return cursor
}

function expectTextEnd(cursor: TokenCursor): void {
  if (!cursor.atKind('end')) throw cursor.error('$end')
}

interface Opening {
  readonly section: SqlSection
  /** Reads what stands behind the first word. `start` is that word's offset. */
  readonly read: (cursor: TokenCursor, start: number) => Statement
}

/** First word of a statement → how it goes on. */
const OPENINGS: ReadonlyMap<string, Opening> = new Map<string, Opening>([
  ['create', { section: 'P03', read: readCreate }],
  ['drop', { section: 'P03', read: readDrop }],
  ['alter', { section: 'P03', read: readAlter }],
  ['join', { section: 'P03', read: readJoinCluster }],
  ['exit', { section: 'P03', read: readExitCluster }],
  ['truncate', { section: 'P01', read: readTruncate }],
  ['insert', { section: 'P01', read: (cursor) => readInsert(cursor, 'insert') }],
  ['replace', { section: 'P01', read: (cursor) => readInsert(cursor, 'replace') }],
  ['update', { section: 'P01', read: readUpdate }],
  ['delete', { section: 'P01', read: readDelete }],
  ['select', { section: 'P01', read: readSelect }],
  ['show', { section: 'P01', read: readShow }],
  ['desc', { section: 'P01', read: readDescribe }],
  ['describe', { section: 'P01', read: readDescribe }],
  ['set', { section: 'P01', read: readSet }],
  ['begin', { section: 'P01', read: () => ({ kind: 'begin' }) }],
  ['start', { section: 'P01', read: readStart }],
  ['commit', { section: 'P01', read: () => ({ kind: 'commit' }) }],
  ['rollback', { section: 'P01', read: () => ({ kind: 'rollback' }) }],
  ['verify', { section: 'P01', read: readVerify }],
])

/** One statement up to its `;` or the end of the text, which is not read. */
function readStatement(cursor: TokenCursor): Statement {
  cursor.section = 'P02'
  const first = cursor.peek()
  const opening = first.kind === 'word' ? OPENINGS.get(first.value) : undefined
  if (opening === undefined || !isKnown(first.value, cursor.dialect)) throw cursor.error(null)
  cursor.next()
  cursor.section = opening.section
  const statement = opening.read(cursor, first.position)
  cursor.expectEnd()
  return statement
}

/** The daemon knows nothing of the statements that only we run. */
function isKnown(word: string, dialect: Dialect): boolean {
  return dialect === 'extended' || word !== 'verify'
}

/** Behind the word VERIFY. */
function readVerify(cursor: TokenCursor): VerifyTables {
  cursor.expectWord('tables')
  const tables = cursor.list(() => cursor.localTable())
  cursor.expectWord('on')
  return { kind: 'verify_tables', tables, nodes: cursor.list(() => cursor.expectString()) }
}

function readCreate(cursor: TokenCursor): Statement {
  if (cursor.acceptWords('table')) return readCreateTable(cursor)
  if (cursor.acceptWords('cluster')) return readCreateCluster(cursor)
  throw cursor.error(null)
}

function readDrop(cursor: TokenCursor): Statement {
  cursor.expectWord('table')
  return readDropTable(cursor)
}

function readAlter(cursor: TokenCursor): Statement {
  if (cursor.acceptWords('table')) return readAlterTable(cursor)
  if (cursor.acceptWords('cluster')) return readAlterCluster(cursor)
  throw cursor.error(null)
}

function readSet(cursor: TokenCursor, start: number): Statement {
  return cursor.acceptWords('cluster') ? readSetCluster(cursor) : readSetVariable(cursor, start)
}

function readStart(cursor: TokenCursor): Statement {
  cursor.expectWord('transaction')
  return { kind: 'begin' }
}
