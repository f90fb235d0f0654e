import { InputError, unreachable } from '../domain/errors.ts'
import type { BinaryOperator, Expression } from '../domain/statement.ts'
import { isReservedColumn } from './keywords.ts'
import { quoteString, renderLiteral } from './literals.ts'
import { isSystemVariable, renderColumnName, renderWord } from './names.ts'

/** How tightly an operator binds; see `parse-expressions.ts`. */
const RANKS: Readonly<Record<BinaryOperator, number>> = {
  or: 1,
  and: 2,
  '=': 4,
  '!=': 4,
  '<': 4,
  '<=': 4,
  '>': 4,
  '>=': 4,
  '|': 5,
  '&': 6,
  '+': 7,
  '-': 7,
  '*': 8,
  '/': 8,
  '%': 8,
}
const NOT_RANK = 3
const COMPARISON_RANK = 4
const PRIMARY_RANK = 9

const PATH_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/

/**
 * An expression with as few parentheses as give the same tree back. Calls come out as the daemon heads their
 * column: `count(*)`, `sum(v)`.
 *
 * @throws InputError for names and values that cannot stand in a statement
 */
export function renderExpression(expression: Expression): string {
  switch (expression.kind) {
    case 'literal':
      return renderLiteral(expression.value)
    case 'column':
      return renderColumn(expression.column, expression.path)
    case 'star':
      throw new InputError('expression', '* can only stand alone in a SELECT list or in COUNT(*)')
    case 'call':
      return renderCall(expression)
    case 'binary':
      return renderBinary(expression)
    case 'not':
      return `NOT ${operand(expression.operand, COMPARISON_RANK)}`
    case 'in': {
      if (expression.values.length === 0) throw new InputError('expression', 'IN () with no values')
      const values = expression.values.map((value) => renderLiteral(value)).join(',')
      const not = expression.negated ? ' NOT' : ''
      return `${operand(expression.operand, COMPARISON_RANK + 1)}${not} IN (${values})`
    }
    case 'between': {
      const [tested, low, high] = [expression.operand, expression.low, expression.high].map((part) =>
        operand(part, COMPARISON_RANK + 1),
      )
      return `${tested} BETWEEN ${low} AND ${high}`
    }
    default:
      return unreachable(expression)
  }
}

function rankOf(expression: Expression): number {
  switch (expression.kind) {
    case 'binary':
      return RANKS[expression.operator]
    case 'not':
      return NOT_RANK
    case 'in':
    case 'between':
      return COMPARISON_RANK
    case 'literal':
    case 'column':
    case 'star':
    case 'call':
      return PRIMARY_RANK
    default:
      return unreachable(expression)
  }
}

function operand(expression: Expression, minRank: number): string {
  const text = renderExpression(expression)
  return rankOf(expression) < minRank ? `(${text})` : text
}

type Binary = Extract<Expression, { kind: 'binary' }>

/** Goes down the left side in a loop: a filter of thousands of ANDs is a chain of that depth. */
function renderBinary(expression: Binary): string {
  const parts: string[] = []
  let left: Expression = expression
  let minLeftRank = PRIMARY_RANK
  while (left.kind === 'binary' && (parts.length === 0 || RANKS[left.operator] >= minLeftRank)) {
    const rank = RANKS[left.operator]
    parts.push(`${operatorText(left.operator)}${rightOperand(left.right, rank)}`)
    // Comparisons do not chain: `a=b=c` is not in the language.
    minLeftRank = rank === COMPARISON_RANK ? rank + 1 : rank
    left = left.left
  }
  return operand(left, minLeftRank) + parts.reverse().join('')
}

function rightOperand(right: Expression, rank: number): string {
  const isNegative = right.kind === 'literal' && typeof right.value !== 'string' && right.value < 0
  // `1--1` would be one space away from a comment.
  return isNegative && rank > COMPARISON_RANK ? `(${renderExpression(right)})` : operand(right, rank + 1)
}

function operatorText(operator: BinaryOperator): string {
  return operator === 'and' || operator === 'or' ? ` ${operator.toUpperCase()} ` : operator
}

function renderColumn(column: string, path: readonly (string | number)[]): string {
  if (isSystemVariable(column) && path.length === 0) return column
  return renderColumnName(column) + path.map((step) => renderStep(step)).join('')
}

function renderStep(step: string | number): string {
  if (typeof step === 'string') return PATH_NAME.test(step) ? `.${step}` : `[${quoteString(step)}]`
  if (!Number.isSafeInteger(step) || step < 0) {
    throw new InputError('expression', `${step} is no position in a JSON list`)
  }
  return `[${step}]`
}

function renderCall(call: Extract<Expression, { kind: 'call' }>): string {
  const name = renderWord('function', call.name)
  if (name !== 'if' && isReservedColumn(name)) {
    throw new InputError('function', `'${name}' cannot be the name of a function`)
  }
  const [first] = call.arguments
  if (first?.kind === 'star' && call.arguments.length === 1 && !call.distinct) return `${name}(*)`
  if (call.distinct && first === undefined) throw new InputError('expression', 'DISTINCT of nothing')
  const values = call.arguments.map((argument) => renderExpression(argument)).join(',')
  return `${name}(${call.distinct ? 'distinct ' : ''}${values})`
}

/**
 * What stands behind WHERE and HAVING. The daemon knows less there than elsewhere: a column or call on the
 * left, a constant on the right.
 *
 * @throws InputError for anything else
 */
export function renderFilter(filter: Expression): string {
  checkFilter(filter)
  return renderExpression(filter)
}

function checkFilter(filter: Expression): void {
  // In a loop along the left side, for the same reason as in renderBinary.
  let rest = filter
  while (rest.kind === 'binary' && (rest.operator === 'and' || rest.operator === 'or')) {
    checkFilter(rest.right)
    rest = rest.left
  }
  if (rest.kind === 'not') checkFilter(rest.operand)
  else if (!isTest(rest)) {
    throw new InputError(
      'filter',
      'a filter compares a column or function with constants; anything else is not in the language',
    )
  }
}

function isTest(filter: Expression): boolean {
  switch (filter.kind) {
    case 'call':
      return true
    case 'binary':
      return RANKS[filter.operator] === COMPARISON_RANK && isOperand(filter.left) && isConstant(filter.right)
    case 'in':
      return isOperand(filter.operand)
    case 'between':
      return isOperand(filter.operand) && isConstant(filter.low) && isConstant(filter.high)
    case 'literal':
    case 'column':
    case 'star':
    case 'not':
      return false
    default:
      return unreachable(filter)
  }
}

function isOperand(expression: Expression): boolean {
  return expression.kind === 'column' || expression.kind === 'call'
}

function isConstant(expression: Expression): boolean {
  return expression.kind === 'literal'
}
