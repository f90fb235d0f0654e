import type { BinaryOperator, Expression } from '../domain/statement.ts'
import type { TokenCursor } from './cursor.ts'
import { isReservedColumn } from './keywords.ts'
import { acceptNumber, integerOf, readScalar } from './parse-values.ts'

/**
 * Expressions as the list of a SELECT, GROUP BY, ORDER BY and the arguments of functions know them. Filters
 * are narrower: see `parse-filters.ts`.
 */

const COMPARISONS: readonly BinaryOperator[] = ['=', '!=', '<', '<=', '>', '>=']

/** Operators of equal rank that take their operands from the left, weakest rank first. */
const ARITHMETIC: readonly (readonly BinaryOperator[])[] = [['|'], ['&'], ['+', '-'], ['*', '/', '%']]

export function readExpression(cursor: TokenCursor): Expression {
  return cursor.nested(() =>
    readLogical(cursor, 'or', () => readLogical(cursor, 'and', () => readNegation(cursor))),
  )
}

/** `operand {word operand}`. */
export function readLogical(
  cursor: TokenCursor,
  operator: 'and' | 'or',
  readOperand: () => Expression,
): Expression {
  let left = readOperand()
  while (cursor.acceptWords(operator)) {
    left = { kind: 'binary', operator, left, right: readOperand() }
  }
  return left
}

function readNegation(cursor: TokenCursor): Expression {
  if (!cursor.acceptWords('not')) return readComparison(cursor)
  return { kind: 'not', operand: cursor.nested(() => readNegation(cursor)) }
}

function readComparison(cursor: TokenCursor): Expression {
  const left = readArithmetic(cursor, 0)
  const operator = acceptOperator(cursor, COMPARISONS)
  if (operator !== null) return { kind: 'binary', operator, left, right: readArithmetic(cursor, 0) }
  return readMembership(cursor, left, () => readArithmetic(cursor, 0)) ?? left
}

/** `IN (…)`, `NOT IN (…)`, `BETWEEN … AND …` behind `operand`, or null. */
export function readMembership(
  cursor: TokenCursor,
  operand: Expression,
  readBound: () => Expression,
): Expression | null {
  if (cursor.acceptWords('between')) {
    const low = readBound()
    cursor.expectWord('and')
    return { kind: 'between', operand, low, high: readBound() }
  }
  const negated = cursor.acceptWords('not', 'in')
  if (!negated && !cursor.acceptWords('in')) return null
  cursor.expectMark('(')
  const values = cursor.list(() => readScalar(cursor))
  cursor.expectMark(')')
  return { kind: 'in', operand, values, negated }
}

export function acceptComparison(cursor: TokenCursor): BinaryOperator | null {
  return acceptOperator(cursor, COMPARISONS)
}

function acceptOperator(cursor: TokenCursor, operators: readonly BinaryOperator[]): BinaryOperator | null {
  const operator = operators.find((candidate) => cursor.atMark(candidate))
  if (operator === undefined) return null
  cursor.next()
  return operator
}

function readArithmetic(cursor: TokenCursor, rank: number): Expression {
  const operators = ARITHMETIC[rank]
  if (operators === undefined) return readPrimary(cursor)
  let left = readArithmetic(cursor, rank + 1)
  for (;;) {
    const operator = acceptOperator(cursor, operators)
    if (operator === null) return left
    left = { kind: 'binary', operator, left, right: readArithmetic(cursor, rank + 1) }
  }
}

function readPrimary(cursor: TokenCursor): Expression {
  if (cursor.acceptMark('(')) {
    const inner = readExpression(cursor)
    cursor.expectMark(')')
    return inner
  }
  if (cursor.atKind('string')) return { kind: 'literal', value: cursor.next().value }
  const number = acceptNumber(cursor)
  if (number !== null) return { kind: 'literal', value: number }
  return readOperand(cursor)
}

/** A column with its path, a system variable, or a call. */
export function readOperand(cursor: TokenCursor): Expression {
  if (cursor.atKind('variable') && cursor.peek().value.startsWith('@@')) {
    return { kind: 'column', column: cursor.next().value, path: [] }
  }
  const { kind, value } = cursor.peek()
  const isFunction = kind === 'word' && (value === 'if' || !isReservedColumn(value))
  if (isFunction && cursor.atMark('(', 1)) return readCall(cursor)
  return { kind: 'column', column: cursor.columnName(), path: readPath(cursor) }
}

function readCall(cursor: TokenCursor): Expression {
  const name = cursor.next().value
  cursor.expectMark('(')
  const distinct = cursor.acceptWords('distinct')
  if (!distinct && cursor.acceptMark(')')) return { kind: 'call', name, distinct, arguments: [] }
  const values: Expression[] =
    !distinct && cursor.acceptMark('*') ? [{ kind: 'star' }] : cursor.list(() => readExpression(cursor))
  // Many tokens could go on with an argument, so the daemon names none.
  if (!cursor.acceptMark(')')) throw cursor.error(null)
  return { kind: 'call', name, distinct, arguments: values }
}

function readPath(cursor: TokenCursor): (string | number)[] {
  const path: (string | number)[] = []
  for (;;) {
    if (cursor.atKind('subkey')) path.push(cursor.next().value)
    else if (cursor.acceptMark('[')) path.push(readPathIndex(cursor))
    else return path
  }
}

function readPathIndex(cursor: TokenCursor): string | number {
  const token = cursor.peek()
  const index = token.kind === 'integer' ? integerOf(token.value) : token.value
  const usable = token.kind === 'string' || typeof index === 'number'
  if (!usable || typeof index === 'bigint') throw cursor.error(null)
  cursor.next()
  cursor.expectMark(']')
  return index
}
