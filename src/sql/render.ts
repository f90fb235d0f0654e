import { InputError, unreachable } from '../domain/errors.ts'
import type {
  AlterCluster,
  AlterTable,
  ColumnDefinition,
  CreateTable,
  InsertRows,
  JoinCluster,
  Select,
  SelectItem,
  SetVariable,
  ShowCreateTable,
  Statement,
  TableOption,
  UpdateRows,
} from '../domain/statement.ts'
import { SqlSyntaxError } from './errors.ts'
import { tokenize } from './lexer.ts'
import { quoteString, renderLiteral, renderNumber } from './literals.ts'
import {
  renderClusterName,
  renderColumnName,
  renderLocalTable,
  renderReadTable,
  renderTableName,
  renderWord,
} from './names.ts'
import { parseStatement } from './parse.ts'
import { COLUMN_FLAGS, COLUMN_SETTINGS } from './parse-tables.ts'
import { renderExpression, renderFilter } from './render-expressions.ts'

/**
 * The text of a statement. Whatever comes out parses to the same statement again.
 *
 * @throws InputError for a name, value or combination that cannot be said in the language
 */
export function renderStatement(statement: Statement): string {
  switch (statement.kind) {
    case 'create_table':
      return renderCreateTable(statement)
    case 'drop_table': {
      const ifExists = statement.ifExists ? 'IF EXISTS ' : ''
      return `DROP TABLE ${ifExists}${renderTableName(statement.table)}${forceOption(statement.force)}`
    }
    case 'alter_table':
      return renderAlterTable(statement)
    case 'truncate_table':
      return `TRUNCATE TABLE ${renderTableName(statement.table)}`
    case 'create_cluster':
      return `CREATE CLUSTER ${renderClusterName(statement.cluster)}${clusterSettings(statement)}`
    case 'join_cluster':
      return renderJoinCluster(statement)
    case 'delete_cluster':
      return `DELETE CLUSTER ${renderClusterName(statement.cluster)}`
    case 'exit_cluster':
      return `EXIT CLUSTER ${renderClusterName(statement.cluster)}`
    case 'alter_cluster':
      return renderAlterCluster(statement)
    case 'set_cluster': {
      const setting = `${quoteString(statement.variable)} = ${scalar(statement.value)}`
      return `SET CLUSTER ${renderClusterName(statement.cluster)} GLOBAL ${setting}`
    }
    case 'insert':
    case 'replace':
      return renderInsert(statement)
    case 'update':
      return renderUpdate(statement)
    case 'delete':
      return `DELETE FROM ${renderTableName(statement.table)}${clause('WHERE', statement.where)}`
    case 'select':
      return renderSelect(statement)
    case 'show_tables':
      return `SHOW TABLES${statement.system ? ' FROM system' : ''}${like(statement.like)}`
    case 'show_status':
      return `SHOW STATUS${like(statement.like)}`
    case 'show_table_status':
      return `SHOW TABLE STATUS${like(statement.like)}`
    case 'show_create_table':
      return renderShowCreateTable(statement)
    case 'describe':
      return `DESC ${localTable(statement.table)}${forceOption(statement.force)}`
    case 'show_other':
      return `SHOW ${statement.what.toUpperCase()}${like(statement.like)}`
    case 'begin':
    case 'commit':
    case 'rollback':
      return statement.kind.toUpperCase()
    case 'set_variable':
      return renderSetVariable(statement)
    case 'verify_tables': {
      const tables = statement.tables.map(renderLocalTable).join(', ')
      return `VERIFY TABLES ${tables} ON ${statement.nodes.map(quoteString).join(', ')}`
    }
    default:
      return unreachable(statement)
  }
}

function localTable(table: { cluster: string | null; name: string }): string {
  if (table.cluster !== null) {
    throw new InputError('table', `this statement takes no cluster prefix; use '${table.name}'`)
  }
  return renderLocalTable(table.name)
}

function forceOption(force: boolean): string {
  return force ? ' OPTION force=1' : ''
}

function like(pattern: string | null): string {
  return pattern === null ? '' : ` LIKE ${quoteString(pattern)}`
}

function clause(word: string, filter: UpdateRows['where']): string {
  return filter === null ? '' : ` ${word} ${renderFilter(filter)}`
}

function scalar(value: Parameters<typeof renderLiteral>[0]): string {
  if (typeof value === 'object') throw new InputError('value', 'a list of numbers cannot stand here')
  return renderLiteral(value)
}

function needSome(field: string, list: readonly unknown[]): void {
  if (list.length === 0) throw new InputError(field, `give at least one: the list of ${field} is empty`)
}

function renderCreateTable(statement: CreateTable): string {
  const ifNotExists = statement.ifNotExists ? 'IF NOT EXISTS ' : ''
  const columns = statement.columns === null ? '' : ` (${renderColumnList(statement.columns)})`
  const options = statement.options.length === 0 ? '' : ` ${renderTableOptions(statement.options)}`
  return `CREATE TABLE ${ifNotExists}${renderTableName(statement.table)}${columns}${options}`
}

/** `id bigint, name string`: what stands between the parentheses of CREATE TABLE. */
export function renderColumnList(columns: readonly ColumnDefinition[]): string {
  needSome('columns', columns)
  return columns
    .map(({ name, type, properties }) =>
      [renderColumnName(name), type, ...properties.map((property) => checkedProperty(property))].join(' '),
    )
    .join(', ')
}

function checkedProperty(property: string): string {
  if (COLUMN_FLAGS.includes(property)) return property
  const [name, equals, value, end] = tokenize(property)
  const isSetting =
    name?.kind === 'word' &&
    COLUMN_SETTINGS.includes(name.value) &&
    equals?.value === '=' &&
    value?.kind === 'string' &&
    end?.kind === 'end'
  if (!isSetting) {
    throw new InputError('columns', `${JSON.stringify(property)} is no property of a column`)
  }
  return `${name.value}=${quoteString(value.value)}`
}

/** `min_infix_len='2' …`: what stands behind the columns of CREATE TABLE. */
export function renderTableOptions(options: readonly TableOption[]): string {
  return options
    .map(({ name, value }) => {
      if (name === 'like') throw new InputError('options', "'like' is no option of a table")
      return `${renderWord('options', name)}=${quoteString(value)}`
    })
    .join(' ')
}

function renderAlterTable(statement: AlterTable): string {
  const start = `ALTER TABLE ${localTable(statement.table)}`
  const column = renderColumnName(statement.column)
  if (statement.action === 'drop_column') return `${start} DROP COLUMN ${column}`
  if (statement.type === null) throw new InputError('columns', `give the type of the column '${column}'`)
  return `${start} ADD COLUMN ${column} ${statement.type}`
}

function clusterSettings(settings: { path: string | null; options: string | null }): string {
  const parts = [
    ...(settings.path === null ? [] : [`${quoteString(settings.path)} as path`]),
    ...(settings.options === null ? [] : [`${quoteString(settings.options)} as options`]),
  ]
  return parts.length === 0 ? '' : ` ${parts.join(', ')}`
}

function renderJoinCluster(statement: JoinCluster): string {
  const at = statement.at === null ? '' : ` AT ${quoteString(statement.at)}`
  return `JOIN CLUSTER ${renderClusterName(statement.cluster)}${at}${clusterSettings(statement)}`
}

function renderAlterCluster(statement: AlterCluster): string {
  const start = `ALTER CLUSTER ${renderClusterName(statement.cluster)}`
  if (statement.action === 'update_nodes') return `${start} UPDATE nodes`
  needSome('tables', statement.tables)
  const tables = statement.tables.map((table) => renderLocalTable(table)).join(',')
  return `${start} ${statement.action.toUpperCase()} ${tables}`
}

function renderInsert(statement: InsertRows): string {
  const { columns, rows } = statement
  needSome('rows', rows)
  if (columns !== null) needSome('columns', columns)
  const names = columns === null ? '' : ` (${columns.map((name) => renderColumnName(name)).join(',')})`
  const values = rows.map((row) => {
    needSome('values', row)
    if (columns !== null && row.length !== columns.length) {
      throw new InputError('rows', `a row has ${row.length} values for ${columns.length} columns`)
    }
    return `(${row.map((value) => renderLiteral(value)).join(',')})`
  })
  const verb = statement.kind.toUpperCase()
  return `${verb} INTO ${renderTableName(statement.table)}${names} VALUES ${values.join(',')}`
}

function renderUpdate(statement: UpdateRows): string {
  needSome('assignments', statement.assignments)
  const assignments = statement.assignments
    .map(({ column, value }) => `${renderColumnName(column)}=${renderLiteral(value)}`)
    .join(', ')
  return `UPDATE ${renderTableName(statement.table)} SET ${assignments}${clause('WHERE', statement.where)}`
}

function renderSelect(statement: Select): string {
  needSome('items', statement.items)
  if (statement.limit === null && statement.offset !== 0) {
    throw new InputError('limit', 'an offset needs a limit')
  }
  const list = (word: string, parts: readonly string[]): string =>
    parts.length === 0 ? '' : ` ${word} ${parts.join(', ')}`
  const limit = statement.limit === null ? '' : ` LIMIT ${count(statement.limit)}`
  const offset = statement.offset === 0 ? '' : ` OFFSET ${count(statement.offset)}`
  const orders = statement.orderBy.map(
    ({ expression, direction }) => `${renderExpression(expression)} ${direction.toUpperCase()}`,
  )
  const options = statement.options.map(
    ({ name, value }) => `${renderWord('options', name)}=${optionValue(value)}`,
  )
  return [
    `SELECT ${statement.items.map((item) => renderItem(item)).join(', ')}`,
    statement.from === null ? '' : ` FROM ${renderReadTable(statement.from)}`,
    clause('WHERE', statement.where),
    list(
      'GROUP BY',
      statement.groupBy.map((expression) => renderExpression(expression)),
    ),
    clause('HAVING', statement.having),
    list('ORDER BY', orders),
    limit,
    offset,
    list('OPTION', options),
  ].join('')
}

function renderItem({ expression, alias }: SelectItem): string {
  if (expression.kind === 'star' && alias === null) return '*'
  return renderExpression(expression) + (alias === null ? '' : ` AS ${renderColumnName(alias)}`)
}

function count(rows: number): string {
  if (rows < 0 || !Number.isSafeInteger(rows)) {
    throw new InputError('limit', `${rows} is no number of rows; give an integer from 0`)
  }
  return renderNumber(rows)
}

/** Words such as `none` stand bare behind an option's name. */
function optionValue(value: string | number | bigint): string {
  return typeof value === 'string' && /^[a-z_][a-z0-9_]*$/.test(value) ? value : renderLiteral(value)
}

function renderShowCreateTable(statement: ShowCreateTable): string {
  if (statement.table.name.includes('.')) {
    throw new InputError('table', `SHOW CREATE TABLE does not know system tables; use DESC`)
  }
  return `SHOW CREATE TABLE ${localTable(statement.table)}${forceOption(statement.force)}`
}

/** The text is free, so it has to prove that it is such a statement and nothing more. */
function renderSetVariable({ text }: SetVariable): string {
  if (!isSetVariable(text)) {
    throw new InputError('statement', `${JSON.stringify(text)} does not set a session variable`)
  }
  return text
}

function isSetVariable(text: string): boolean {
  try {
    const parsed = parseStatement(text)
    return parsed.kind === 'set_variable' && parsed.text === text
  } catch (error) {
    if (error instanceof SqlSyntaxError) return false
    throw error
  }
}
