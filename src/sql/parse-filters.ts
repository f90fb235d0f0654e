import type { Expression } from '../domain/statement.ts'
import type { TokenCursor } from './cursor.ts'
import { acceptComparison, readLogical, readMembership, readOperand } from './parse-expressions.ts'
import { readScalar } from './parse-values.ts'

/**
 * What the daemon understands behind WHERE and HAVING: a column or call on the left, a constant on the right,
 * joined by AND, OR, NOT. No arithmetic, no columns on the right, no LIKE.
 */

function readFilter(cursor: TokenCursor): Expression {
  return cursor.nested(() =>
    readLogical(cursor, 'or', () => readLogical(cursor, 'and', () => readCondition(cursor))),
  )
}

/** The condition behind the word, or null when the word is not there. */
export function readOptionalFilter(cursor: TokenCursor, word: 'where' | 'having'): Expression | null {
  return cursor.acceptWords(word) ? readFilter(cursor) : null
}

function readCondition(cursor: TokenCursor): Expression {
  if (cursor.acceptWords('not')) {
    return { kind: 'not', operand: cursor.nested(() => readCondition(cursor)) }
  }
  if (cursor.acceptMark('(')) {
    const inner = readFilter(cursor)
    cursor.expectMark(')')
    return inner
  }
  return readTest(cursor)
}

function readTest(cursor: TokenCursor): Expression {
  const operand = readOperand(cursor)
  const operator = acceptComparison(cursor)
  if (operator !== null) return { kind: 'binary', operator, left: operand, right: readConstant(cursor) }
  const membership = readMembership(cursor, operand, () => readConstant(cursor))
  if (membership !== null) return membership
  // MATCH('…') and REGEX(column, '…') are conditions by themselves; a bare column is not.
  if (operand.kind === 'call') return operand
  throw cursor.error(null)
}

function readConstant(cursor: TokenCursor): Expression {
  return { kind: 'literal', value: readScalar(cursor) }
}
