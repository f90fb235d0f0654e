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
  switch (where.kind) {
    case 'binary':
      return idsNamedByBinary(where)
    case 'in':
      return !where.negated && isId(where.operand) ? new Set(where.values.map(String)) : null
    default:
      return null
  }
}

function idsNamedByBinary(where: Extract<Expression, { kind: 'binary' }>): ReadonlySet<string> | null {
  const { left, right } = where
  switch (where.operator) {
    case '=':
      if (isId(left) && right.kind === 'literal') return new Set([String(right.value)])
      if (isId(right) && left.kind === 'literal') return new Set([String(left.value)])
      return null
    case 'and': {
      const leftIds = idsNamedBy(left)
      const rightIds = idsNamedBy(right)
      if (leftIds === null || rightIds === null) return leftIds ?? rightIds
      return new Set([...leftIds].filter((id) => rightIds.has(id)))
    }
    case 'or': {
      const leftIds = idsNamedBy(left)
      const rightIds = idsNamedBy(right)
      return leftIds === null || rightIds === null ? null : new Set([...leftIds, ...rightIds])
    }
    default:
      return null
  }
}

function isId(expression: Expression): boolean {
  return expression.kind === 'column' && expression.column === 'id' && expression.path.length === 0
}
