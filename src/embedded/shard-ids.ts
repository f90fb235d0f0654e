import type { Expression, InsertRows } from '../domain/statement.ts'

/** The id of every row of an INSERT or REPLACE, as decimal text. */
export function idsOfRows(statement: InsertRows): readonly string[] {
  const position = statement.columns === null ? 0 : statement.columns.indexOf('id')
  return statement.rows.map((row) => String(row[position] ?? 0))
}

/**
 * The ids that a condition limits itself to, as decimal text, or null when it may hold for any id. Errs on the side
 * of null; the condition may exclude some of the ids for other reasons.
 */
export function idsNamedBy(where: Expression | null): ReadonlySet<string> | null {
  if (where === null) return null
  if (where.kind === 'binary') return idsNamedByBinary(where)
  if (where.kind !== 'in' || where.negated || !isId(where.operand)) return null
  return new Set(where.values.map(String))
}

function idsNamedByBinary(where: Extract<Expression, { kind: 'binary' }>): ReadonlySet<string> | null {
  const { left, right, operator } = where
  if (operator === '=') {
    if (isId(left) && right.kind === 'literal') return new Set([String(right.value)])
    if (isId(right) && left.kind === 'literal') return new Set([String(left.value)])
    return null
  }
  if (operator !== 'and' && operator !== 'or') return null
  const leftIds = idsNamedBy(left)
  const rightIds = idsNamedBy(right)
  if (leftIds !== null && rightIds !== null) {
    const both = [...leftIds].filter((id) => rightIds.has(id))
    return new Set(operator === 'and' ? both : [...leftIds, ...rightIds])
  }
  return operator === 'and' ? (leftIds ?? rightIds) : null
}

function isId(expression: Expression): boolean {
  return expression.kind === 'column' && expression.column === 'id' && expression.path.length === 0
}
