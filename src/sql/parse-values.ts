import type { Literal } from '../domain/statement.ts'
import type { TokenCursor } from './cursor.ts'
import type { Token } from './lexer.ts'

/** An integer of any length: a number when a double holds it exactly, else a bigint. */
export function integerOf(digits: string): number | bigint {
  const number = Number(digits)
  return Number.isSafeInteger(number) ? number : BigInt(digits)
}

/** Where a number stands, perhaps with a minus before it. */
function startsNumber(cursor: TokenCursor): boolean {
  const token = cursor.peek(cursor.atMark('-') ? 1 : 0)
  return token.kind === 'integer' || token.kind === 'float'
}

/** A number or nothing; nothing is read then. */
export function acceptNumber(cursor: TokenCursor): number | bigint | null {
  if (!startsNumber(cursor)) return null
  const negative = cursor.acceptMark('-')
  const value = numberOf(cursor.next())
  // A zero has no sign in the language; -0 would not be equal to itself after a round trip.
  return negative && value !== 0 ? -value : value
}

function numberOf(token: Token): number | bigint {
  return token.kind === 'integer' ? integerOf(token.value) : Number(token.value)
}

/** A string or number. */
export function readScalar(cursor: TokenCursor): string | number | bigint {
  if (cursor.atKind('string')) return cursor.next().value
  const number = acceptNumber(cursor)
  if (number === null) throw cursor.error(null)
  return number
}

/** A string, a number, or a list of numbers in parentheses for a multi-value column. */
export function readLiteral(cursor: TokenCursor): Literal {
  if (!cursor.acceptMark('(')) return readScalar(cursor)
  if (cursor.acceptMark(')')) return []
  const numbers = cursor.list(() => {
    const number = acceptNumber(cursor)
    if (number === null) throw cursor.error(null)
    return number
  })
  cursor.expectMark(')')
  return numbers
}

/** A count of rows. */
export function readCount(cursor: TokenCursor): number {
  const token = cursor.peek()
  const count = token.kind === 'integer' ? integerOf(token.value) : null
  if (typeof count !== 'number') throw cursor.error('integer')
  cursor.next()
  return count
}
