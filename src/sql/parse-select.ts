import type { OrderBy, Select, SelectItem } from '../domain/statement.ts'
import type { TokenCursor } from './cursor.ts'
import { isReservedColumn } from './keywords.ts'
import { readExpression } from './parse-expressions.ts'
import { readOptionalFilter } from './parse-filters.ts'
import { readCount, readScalar } from './parse-values.ts'

/** Behind the word SELECT. */
export function readSelect(cursor: TokenCursor): Select {
  const items = cursor.list(() => readItem(cursor))
  const from = cursor.acceptWords('from') ? cursor.readTable() : null
  const where = readOptionalFilter(cursor, 'where')
  const groupBy = cursor.acceptWords('group', 'by') ? cursor.list(() => readExpression(cursor)) : []
  const having = readOptionalFilter(cursor, 'having')
  const orderBy = cursor.acceptWords('order', 'by') ? cursor.list(() => readOrder(cursor)) : []
  const { limit, offset } = readLimit(cursor)
  const options = cursor.acceptWords('option') ? cursor.list(() => readOption(cursor)) : []
  return { kind: 'select', items, from, where, groupBy, having, orderBy, limit, offset, options }
}

function readItem(cursor: TokenCursor): SelectItem {
  if (cursor.acceptMark('*')) return { expression: { kind: 'star' }, alias: null }
  return { expression: readExpression(cursor), alias: readAlias(cursor) }
}

function readAlias(cursor: TokenCursor): string | null {
  if (cursor.acceptWords('as')) return cursor.columnName()
  const { kind, value } = cursor.peek()
  const isAlias = kind === 'quoted_word' || (kind === 'word' && !isReservedColumn(value))
  return isAlias ? cursor.columnName() : null
}

function readOrder(cursor: TokenCursor): OrderBy {
  const expression = readExpression(cursor)
  if (cursor.acceptWords('desc')) return { expression, direction: 'desc' }
  cursor.acceptWords('asc')
  return { expression, direction: 'asc' }
}

/** `LIMIT 10`, `LIMIT 20,10`, `LIMIT 10 OFFSET 20`. */
function readLimit(cursor: TokenCursor): { limit: number | null; offset: number } {
  if (!cursor.acceptWords('limit')) return { limit: null, offset: 0 }
  const first = readCount(cursor)
  if (cursor.acceptMark(',')) return { limit: readCount(cursor), offset: first }
  if (cursor.acceptWords('offset')) return { limit: first, offset: readCount(cursor) }
  return { limit: first, offset: 0 }
}

function readOption(cursor: TokenCursor): { name: string; value: string | number | bigint } {
  if (!cursor.atKind('word')) throw cursor.error('identifier')
  const name = cursor.next().value
  cursor.expectMark('=')
  const value = cursor.atKind('word') ? cursor.next().value : readScalar(cursor)
  return { name, value }
}
