import { unreachable } from '../../domain/errors.ts'
import type { Expression } from '../../domain/statement.ts'

/** Name of a result column that has no alias: the expression in lower case, as in `count(*)` and `id+1`. */
export function columnLabel(expression: Expression): string {
  switch (expression.kind) {
    case 'literal':
      return typeof expression.value === 'string' ? `'${expression.value}'` : String(expression.value)
    case 'column':
      return `${expression.column}${expression.path.map(pathLabel).join('')}`
    case 'star':
      return '*'
    case 'call': {
      const list = expression.arguments.map(columnLabel).join(',')
      return `${expression.name}(${expression.distinct ? 'distinct ' : ''}${list})`
    }
    case 'binary': {
      const { operator } = expression
      const sign = operator === 'and' || operator === 'or' ? ` ${operator} ` : operator
      return `${columnLabel(expression.left)}${sign}${columnLabel(expression.right)}`
    }
    case 'not':
      return `not ${columnLabel(expression.operand)}`
    case 'in':
      return `${columnLabel(expression.operand)} ${expression.negated ? 'not ' : ''}in (${expression.values.join(',')})`
    case 'between':
      return `${columnLabel(expression.operand)} between ${columnLabel(expression.low)} and ${columnLabel(expression.high)}`
    default:
      return unreachable(expression)
  }
}

function pathLabel(step: string | number): string {
  return typeof step === 'number' ? `[${step}]` : `.${step}`
}
