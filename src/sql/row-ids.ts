import type { Expression, InsertRows } from '../domain/statement.ts'

/** A row's id. */
export type RowId = number | bigint

/** Ids without repetition, ascending. */
function sortedIds(ids: readonly RowId[]): RowId[] {
  return [...new Set(ids.map((id) => shortest(id)))].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
}

/** 5n and 5 are one row. */
function shortest(id: RowId): RowId {
  return Number.isSafeInteger(Number(id)) ? Number(id) : id
}

export function sameIds(a: readonly RowId[], b: readonly RowId[]): boolean {
  const [left, right] = [sortedIds(a), sortedIds(b)]
  return left.length === right.length && left.every((id, index) => id === right[index])
}

/** The ids of inserted rows, or null when the daemon chooses at least one of them. */
export function insertedIds({ columns, rows }: InsertRows): RowId[] | null {
  const position = columns?.indexOf('id') ?? -1
  if (position < 0) return null
  const ids: RowId[] = []
  for (const row of rows) {
    const id = row[position]
    // An id of 0 asks the daemon for one of its own choice.
    if (!isInteger(id) || id <= 0) return null
    ids.push(id)
  }
  return sortedIds(ids)
}

function isInteger(value: unknown): value is RowId {
  return typeof value === 'bigint' || (typeof value === 'number' && Number.isSafeInteger(value))
}

/** The ids that a filter cannot go beyond, or null when it may touch any row. */
export function idsWithin(filter: Expression | null): RowId[] | null {
  const exact = exactIds(filter)
  if (exact !== null || filter?.kind !== 'binary') return exact
  const left = idsWithin(filter.left)
  const right = idsWithin(filter.right)
  if (filter.operator === 'and') {
    if (left === null || right === null) return left ?? right
    return left.filter((id) => right.includes(id))
  }
  return filter.operator === 'or' && left !== null && right !== null ? sortedIds([...left, ...right]) : null
}

/** The ids that a filter names, when it is about nothing but ids; else null. */
export function exactIds(filter: Expression | null): RowId[] | null {
  if (filter?.kind === 'in') {
    const { values } = filter
    return isIdColumn(filter.operand) && !filter.negated && values.every((value) => isInteger(value))
      ? sortedIds(values)
      : null
  }
  if (filter?.kind !== 'binary') return null
  if (filter.operator === '=' && isIdColumn(filter.left) && filter.right.kind === 'literal') {
    return isInteger(filter.right.value) ? sortedIds([filter.right.value]) : null
  }
  if (filter.operator !== 'or') return null
  const [left, right] = [exactIds(filter.left), exactIds(filter.right)]
  return left === null || right === null ? null : sortedIds([...left, ...right])
}

function isIdColumn(expression: Expression): boolean {
  return expression.kind === 'column' && expression.column === 'id' && expression.path.length === 0
}
