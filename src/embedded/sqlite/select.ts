import type { Expression, Select, SelectItem } from '../../domain/statement.ts'
import type { ResultColumn, Row, Value } from '../../domain/values.ts'
import type { StatementResult, StoredTable } from '../store.ts'
import { COLUMN_KINDS, starColumns, unsupported } from './column-kinds.ts'
import { columnLabel } from './column-label.ts'
import { bindable, plainCell, type Database, type SqlCell } from './database.ts'
import { compileExpression, type Place, type Scope, searchesText } from './expression.ts'
import { emptyOf, fragment, type Fragment } from './fragment.ts'

/** Rows that a SELECT without LIMIT returns. */
export const DEFAULT_LIMIT = 20

/** Where the rows of a table lie in SQLite. */
export interface TableSource {
  readonly table: StoredTable
  /** A table or a subquery in parentheses, with the columns `id`, `o` (order of arrival) and `c_…`. */
  readonly rows: string
  readonly fullTextTable: string | null
}

interface ResultItem {
  readonly column: ResultColumn
  readonly fragment: Fragment
}

interface CompiledSelect {
  readonly sql: string
  readonly parameters: readonly SqlCell[]
  readonly columns: readonly ResultColumn[]
}

/** Runs a SELECT on one table. */
export function runSelect(database: Database, source: TableSource, select: Select): StatementResult {
  const compiled = compileSelect(source, select)
  const cells = database.rows(compiled.sql, compiled.parameters)
  const rows = cells.map((row) => rowOf(compiled.columns, row.map(plainCell)))
  return { columns: compiled.columns, rows, total: rows.length, warning: '' }
}

/** Own properties only, also for a column called `__proto__`. */
function rowOf(columns: readonly ResultColumn[], cells: readonly Value[]): Row {
  const row: Record<string, Value> = {}
  columns.forEach((column, index) => {
    const cell = cells[index] ?? null
    if (column.name === '__proto__') {
      Object.defineProperty(row, column.name, {
        value: cell,
        enumerable: true,
        writable: true,
        configurable: true,
      })
    } else {
      row[column.name] = cell
    }
  })
  return row
}

function compileSelect(source: TableSource, select: Select): CompiledSelect {
  const scopes = scopesOf(source, select.items)
  const items = select.items.flatMap((item) => resultItems(item, scopes.item))
  const having = select.having === null ? null : compileExpression(select.having, scopes.having)
  const groups = select.groupBy.map((expression) => groupFragment(expression, scopes.group))
  const isAggregated = items.some((item) => item.fragment.aggregate) || having !== null
  const whole = isAggregated && groups.length === 0
  const where = select.where === null ? null : compileExpression(select.where, scopes.filter)
  const orders = orderFragments(select, scopes.order, groups.length > 0, whole)
  const limit = [bindable(select.limit ?? DEFAULT_LIMIT), bindable(select.offset)]

  const shown = items.map((item) => shownText(item.fragment, whole))
  const from = select.from === null ? '' : ` FROM ${source.rows}`
  const clauses = [
    `SELECT ${shown.join(', ')}${from}`,
    where === null ? '' : ` WHERE ${where.sql}`,
    groups.length === 0 ? '' : ` GROUP BY ${groups.map((group) => group.sql).join(', ')}`,
    having === null ? '' : ` HAVING ${having.sql}`,
    orders.length === 0 ? '' : ` ORDER BY ${orders.map((order) => order.sql).join(', ')}`,
    ' LIMIT ? OFFSET ?',
  ]
  const bound = [
    ...items.map((item) => item.fragment),
    ...(where === null ? [] : [where]),
    ...groups,
    ...(having === null ? [] : [having]),
    ...orders,
  ]
  return {
    sql: clauses.join(''),
    parameters: [...bound.flatMap((part) => part.parameters), ...limit],
    columns: items.map((item) => item.column),
  }
}

type Scopes = Readonly<Record<Place | 'having', Scope>>

function scopesOf(source: TableSource, items: readonly SelectItem[]): Scopes {
  const aliases = new Map<string, Expression>()
  for (const { alias, expression } of items) {
    const isPlain = alias === null && (expression.kind === 'column' || expression.kind === 'star')
    if (!isPlain) aliases.set(alias ?? columnLabel(expression), expression)
  }
  const { table, fullTextTable } = source
  const scope = (place: Place): Scope => ({ table, fullTextTable, aliases, place })
  return {
    item: scope('item'),
    filter: scope('filter'),
    group: scope('group'),
    order: scope('order'),
    having: scope('order'),
  }
}

function resultItems(item: SelectItem, scope: Scope): readonly ResultItem[] {
  if (item.expression.kind === 'star') {
    return starColumns(scope.table).map((column) => ({
      column: { name: column.name, type: COLUMN_KINDS[column.type].result },
      fragment: compileExpression(
        { kind: 'column', column: column.name, path: [] },
        { ...scope, aliases: new Map() },
      ),
    }))
  }
  const compiled = compileExpression(item.expression, ownScope(item, scope))
  return [
    { column: { name: item.alias ?? columnLabel(item.expression), type: compiled.type }, fragment: compiled },
  ]
}

/** An item may use the aliases of others, not its own: `value[0] AS value` means the column. */
function ownScope(item: SelectItem, scope: Scope): Scope {
  const aliases = new Map(scope.aliases)
  aliases.delete(item.alias ?? columnLabel(item.expression))
  return { ...scope, aliases }
}

function groupFragment(expression: Expression, scope: Scope): Fragment {
  const group = compileExpression(expression, scope)
  if (group.type === 'multi') throw unsupported('GROUP BY a multi-value')
  return group
}

/**
 * A group over the whole table has a row also when no row matched: zero or empty in every column. JSON that is
 * missing stays NULL otherwise.
 */
function shownText(part: Fragment, whole: boolean): string {
  const text = part.shown ?? part.sql
  return whole && !part.aggregate ? `COALESCE(${text}, ${emptyOf(part.type)})` : text
}

/**
 * Without ORDER BY, and among equals, the rows of later statements come first, and the rows of one statement in
 * the order given: the daemon searches its youngest segment first. Groups come in the order of their first row.
 */
function orderFragments(select: Select, scope: Scope, grouped: boolean, whole: boolean): readonly Fragment[] {
  if (whole || select.from === null) return []
  const given = select.orderBy.map((order) => {
    const key = compileExpression(order.expression, scope)
    return { ...key, sql: `${key.sql} ${order.direction.toUpperCase()}` }
  })
  const isUnique = !grouped && select.orderBy.some((order) => isPlainId(order.expression, scope))
  if (isUnique) return given
  return [...given, fragment(grouped ? 'MIN("o")' : '"o"', [], 'long long', { aggregate: grouped })]
}

function isPlainId(expression: Expression, scope: Scope): boolean {
  if (expression.kind !== 'column' || expression.column !== 'id' || expression.path.length > 0) return false
  const meant = scope.aliases.get('id')
  return meant === undefined || (meant.kind === 'column' && meant.column === 'id')
}

/** Whether it needs the full-text index. */
export function selectSearchesText(select: Select): boolean {
  const { items, where, groupBy, having, orderBy } = select
  const listed = [...items, ...orderBy].map(({ expression }) => expression)
  return [where, having, ...groupBy, ...listed].some(searchesText)
}
