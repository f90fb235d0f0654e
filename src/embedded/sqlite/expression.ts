import type { BinaryOperator, ColumnDefinition, Expression } from '../../domain/statement.ts'
import { unreachable } from '../../domain/errors.ts'
import { DaemonError, type StoredTable } from '../store.ts'
import { compileCall } from './calls.ts'
import { COLUMN_KINDS, columnOf, isIndexed, isStored, isTextField, unsupported } from './column-kinds.ts'
import { betweenFragment, compareFragments, inFragment, isComparison } from './comparisons.ts'
import { combined, fragment, literalFragment, widestNumber, type Fragment } from './fragment.ts'
import { fullTextExpression } from './full-text.ts'

/** Where in a statement an expression stands; it decides what names mean and how errors are worded. */
export type Place = 'item' | 'filter' | 'group' | 'order'

export interface Scope {
  readonly table: StoredTable
  /** Name of the FTS5 table; null while the table has none, e.g. because it is empty. */
  readonly fullTextTable: string | null
  readonly aliases: ReadonlyMap<string, Expression>
  readonly place: Place
}

/**
 * An expression of the dialect as SQLite text with bound parameters.
 *
 * @throws DaemonError for unknown columns and for what embedded nodes do not know.
 */
export function compileExpression(expression: Expression, scope: Scope): Fragment {
  const compile = (part: Expression): Fragment => compileExpression(part, scope)
  switch (expression.kind) {
    case 'literal':
      return literalFragment(expression.value)
    case 'column':
      return compileName(expression, scope)
    case 'star':
      throw unsupported('* in an expression')
    case 'call':
      return expression.name === 'match'
        ? compileMatch(expression.arguments, scope)
        : compileFunction(expression, scope)
    case 'binary':
      refuseTextOperands(expression, scope)
      return compileBinary(expression.operator, compile(expression.left), compile(expression.right))
    case 'not':
      return combined('long', [compile(expression.operand)], (text = '') => `(NOT ${text})`)
    case 'in':
      return inFragment(compile(expression.operand), expression.values, expression.negated)
    case 'between':
      return betweenFragment(compile(expression.operand), compile(expression.low), compile(expression.high))
    default:
      return unreachable(expression)
  }
}

function compileFunction(call: Extract<Expression, { kind: 'call' }>, scope: Scope): Fragment {
  const star = call.arguments.some((argument) => argument.kind === 'star')
  if (scope.place === 'item') refuseTextFields(call, scope)
  const parts = star ? [] : call.arguments.map((argument) => compileExpression(argument, scope))
  return compileCall({ name: call.name, distinct: call.distinct, star, table: scope.table.name }, parts)
}

const NUMERIC_AGGREGATES: ReadonlySet<string> = new Set(['sum', 'min', 'max', 'avg'])

/** What a text field holds comes back from a SELECT, and that is all. */
function refuseTextFields(call: Extract<Expression, { kind: 'call' }>, scope: Scope): void {
  const field = call.arguments.find((argument) => isTextFieldName(argument, scope))
  if (field?.kind !== 'column') return
  const table = scope.table.name
  if (NUMERIC_AGGREGATES.has(call.name)) {
    const name = call.name.toUpperCase()
    throw new DaemonError(`table ${table}: ${name}() cannot be used on text/string column '${field.column}'`)
  }
  if (call.name === 'count') {
    throw new DaemonError(`table ${table}: group-count-distinct attribute '${field.column}' not found`)
  }
  throw new DaemonError(`table ${table}: parse error: stored fields can't be used in expressions`)
}

function refuseTextOperands(
  { operator, left, right }: Extract<Expression, { kind: 'binary' }>,
  scope: Scope,
): void {
  if (scope.place !== 'item' || (!isTextFieldName(left, scope) && !isTextFieldName(right, scope))) return
  const problem = isComparison(operator)
    ? "stored fields can't be used in expressions"
    : 'numeric operation applied to non-numeric operands'
  throw new DaemonError(`table ${scope.table.name}: parse error: ${problem}`)
}

function isTextFieldName(expression: Expression, { table }: Scope): boolean {
  if (expression.kind !== 'column') return false
  const column = columnOf(table, expression.column)
  return column !== undefined && isTextField(column) && isStored(column)
}

type ColumnExpression = Extract<Expression, { kind: 'column' }>

/** Sorting sees aliases first, everything else columns first. */
function compileName(expression: ColumnExpression, scope: Scope): Fragment {
  const column = columnOf(scope.table, expression.column)
  const alias = expression.path.length === 0 ? scope.aliases.get(expression.column) : undefined
  const isUsable = column !== undefined && (scope.place === 'item' ? isStored(column) : !isTextField(column))
  if (alias !== undefined && (scope.place === 'order' || !isUsable)) {
    const aliases = new Map(scope.aliases)
    aliases.delete(expression.column)
    return compileExpression(alias, {
      ...scope,
      aliases,
      place: scope.place === 'order' ? 'item' : scope.place,
    })
  }
  if (!isUsable) throw unknownColumn(expression.column, scope)
  return expression.path.length === 0 ? columnFragment(column) : pathFragment(column, expression.path)
}

/** Aliases are unknown to other aliases' own names only, so the text of the error depends on the place alone. */
function unknownColumn(name: string, scope: Scope): DaemonError {
  const texts: Readonly<Record<Place, string>> = {
    item: `parse error: unknown column: ${name}`,
    filter: `no such filter attribute '${name}'`,
    group: `group-by attribute '${name}' not found`,
    order: `sort-by attribute '${name}' not found`,
  }
  return new DaemonError(`table ${scope.table.name}: ${texts[scope.place]}`)
}

/** Name of a column in SQLite; prefixed, so that no name of a user can collide with one of SQLite's. */
export function sqliteName(column: string): string {
  return column === 'id' ? '"id"' : `"c_${column}"`
}

function columnFragment(column: ColumnDefinition): Fragment {
  return fragment(sqliteName(column.name), [], COLUMN_KINDS[column.type].result)
}

/**
 * What lies at a path of a JSON attribute: compared with its own type, shown as text. Missing is NULL.
 */
function pathFragment(column: ColumnDefinition, path: readonly (string | number)[]): Fragment {
  if (column.type !== 'json') throw unsupported(`a path into the ${column.type} attribute '${column.name}'`)
  const steps = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${JSON.stringify(step)}`))
  const place = quoted(`$${steps.join('')}`)
  const document = `NULLIF(${sqliteName(column.name)}, '')`
  const value = `json_extract(${document}, ${place})`
  const shown =
    `(CASE json_type(${document}, ${place}) WHEN 'real' THEN printf('%f', ${value})` +
    ` WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(${value} AS TEXT) END)`
  return fragment(value, [], 'string', { nullable: true, shown })
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

function compileBinary(operator: BinaryOperator, left: Fragment, right: Fragment): Fragment {
  if (isComparison(operator)) return compareFragments(operator, left, right)
  const parts = [left, right]
  switch (operator) {
    case 'and':
    case 'or':
      return combined('long', parts, (l = '', r = '') => `(${l} ${operator.toUpperCase()} ${r})`)
    case '+':
    case '-':
    case '*':
    case '&':
    case '|':
      return combined(widestNumber(parts), parts, (l = '', r = '') => `(${l} ${operator} ${r})`)
    case '/':
      return combined('float', parts, (l = '', r = '') => `IFNULL(CAST(${l} AS REAL) / ${r}, 0.0)`)
    case '%':
      return combined(widestNumber(parts), parts, (l = '', r = '') => `IFNULL(${l} % ${r}, 0)`)
    default:
      return unreachable(operator)
  }
}

/** MATCH('query'): the ids that the full-text index names. */
function compileMatch(parts: readonly Expression[], scope: Scope): Fragment {
  const [query] = parts
  if (query?.kind !== 'literal' || parts.length !== 1) throw unsupported('MATCH() of anything but one string')
  const fields = scope.table.columns.filter(isIndexed).map((column) => column.name)
  if (fields.length === 0) throw new DaemonError(`table ${scope.table.name}: no full-text fields to search`)
  const expression = fullTextExpression(String(query.value), fields, scope.table.name)
  if (expression === null) return fragment('1', [], 'long')
  const { fullTextTable } = scope
  if (fullTextTable === null) return fragment('0', [], 'long')
  const sql = `("id" IN (SELECT rowid FROM ${fullTextTable} WHERE ${fullTextTable} MATCH ?))`
  return fragment(sql, [expression], 'long')
}

/** Whether MATCH stands anywhere in it. */
export function searchesText(expression: Expression | null): boolean {
  if (expression?.kind === 'call') {
    return expression.name === 'match' || expression.arguments.some(searchesText)
  }
  if (expression?.kind === 'binary') return searchesText(expression.left) || searchesText(expression.right)
  return expression?.kind === 'not' && searchesText(expression.operand)
}
