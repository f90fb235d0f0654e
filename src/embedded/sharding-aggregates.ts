import type { Select } from '../domain/statement.ts'
import type { Row, Value } from '../domain/values.ts'
import { DaemonError, type StatementResult } from './store.ts'

/** Name under which every shard also says how many rows it aggregated. */
const ROW_COUNT_ALIAS = 'shard_row_count'

const MERGEABLE: ReadonlySet<string> = new Set(['count', 'sum', 'min', 'max'])

/** Whether a SELECT asks for one row of aggregates that can be made out of those of the shards. */
export function isMergeableAggregate(select: Select): boolean {
  return (
    select.groupBy.length === 0 &&
    select.having === null &&
    select.orderBy.length === 0 &&
    select.offset === 0 &&
    (select.limit ?? 1) > 0 &&
    select.items.length > 0 &&
    select.items.every(
      ({ expression }) =>
        expression.kind === 'call' && MERGEABLE.has(expression.name) && !expression.distinct,
    )
  )
}

/** The same, and the number of rows behind it. */
export function withRowCount(select: Select): Select {
  const count = { kind: 'call', name: 'count', distinct: false, arguments: [{ kind: 'star' }] } as const
  return { ...select, items: [...select.items, { expression: count, alias: ROW_COUNT_ALIAS }] }
}

/** Makes the aggregates of a table out of those of its shards, asked with {@link withRowCount}. */
export function mergeAggregates(select: Select, parts: readonly StatementResult[]): StatementResult {
  const first = parts[0]
  if (first === undefined) throw new DaemonError('no shard answered')
  const columns = first.columns.slice(0, select.items.length)
  const rows = parts.flatMap((part) => part.rows.slice(0, 1))
  // MIN of no rows is a 0 that must not win over the numbers of other shards.
  const filled = rows.filter((row) => Number(row[ROW_COUNT_ALIAS]) > 0)
  const merged = (filled.length > 0 ? filled : rows.slice(0, 1)).reduce<Row | null>(
    (left, right) => (left === null ? right : mergeRows(select, columns, left, right)),
    null,
  )
  const row = Object.fromEntries(columns.map(({ name }) => [name, merged?.[name] ?? 0]))
  return { columns, rows: [row], total: 1, warning: '' }
}

function mergeRows(select: Select, columns: StatementResult['columns'], left: Row, right: Row): Row {
  return Object.fromEntries(
    columns.map(({ name }, index) => {
      const expression = select.items[index]?.expression
      const operation = expression?.kind === 'call' ? expression.name : 'count'
      return [name, mergeValues(operation, left[name] ?? 0, right[name] ?? 0)]
    }),
  )
}

function mergeValues(operation: string, left: Value, right: Value): Value {
  if (operation === 'min') return isLess(left, right) ? left : right
  if (operation === 'max') return isLess(left, right) ? right : left
  return sum(left, right)
}

function isLess(left: Value, right: Value): boolean {
  if (left === null || right === null) return right !== null
  return left < right
}

function sum(left: Value, right: Value): Value {
  const isWhole = (value: Value): value is number | bigint =>
    typeof value === 'bigint' || (typeof value === 'number' && Number.isSafeInteger(value))
  if (!isWhole(left) || !isWhole(right)) return Number(left) + Number(right)
  const total = BigInt(left) + BigInt(right)
  const narrow = Number(total)
  return Number.isSafeInteger(narrow) ? narrow : total
}
