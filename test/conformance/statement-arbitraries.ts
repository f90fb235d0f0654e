import * as fc from 'fast-check'
import type {
  ColumnDefinition,
  ColumnType,
  Expression,
  InsertRows,
  Literal,
  Select,
  Statement,
  StatementKind,
  TableName,
  TableOption,
} from '../../src/domain/statement.ts'
import { isReservedColumn, isReservedName } from '../../src/sql/keywords.ts'
import { quoteString } from '../../src/sql/literals.ts'
import { COLUMN_FLAGS, COLUMN_SETTINGS } from '../../src/sql/parse-tables.ts'

/** Random statements of every kind, each one sayable in the language and in its canonical form. */

/** Any Unicode text that a node can store. */
export const text = fc
  .string({ unit: 'binary', maxLength: 40 })
  .filter((value) => !value.includes('\0') && value.isWellFormed())

const optionalText: fc.Arbitrary<string | null> = fc.option(text)
const word = fc.stringMatching(/^[a-z_][a-z0-9_]{0,11}$/)
const plainName = word.filter((name) => !isReservedName(name))
/** Reserved words too: they get back-quoted. */
const columnName = fc.oneof(word, fc.constantFrom('key', 'value', 'status', 'table', 'select', 'order', 'if'))
const localTable = fc.oneof(
  plainName,
  word.map((name) => `system.${name}`),
)
const local: fc.Arbitrary<TableName> = fc.record({ cluster: fc.constant(null), name: localTable })
const clusterTable: fc.Arbitrary<TableName> = fc.record({ cluster: fc.option(plainName), name: localTable })

const hugeInteger = fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n - 1n })
const number: fc.Arbitrary<number | bigint> = fc.oneof(
  fc.maxSafeInteger().map((value) => (value === 0 ? 0 : value)),
  hugeInteger,
  hugeInteger.map((value) => -value),
  fc
    .double({ noDefaultInfinity: true, noNaN: true })
    .filter((value) => !Object.is(value, -0))
    .filter((value) => !Number.isInteger(value) || Number.isSafeInteger(value)),
)
const scalar: fc.Arbitrary<string | number | bigint> = fc.oneof(text, number)
const literal: fc.Arbitrary<Literal> = fc.oneof(scalar, fc.array(number, { maxLength: 4 }))

const column: fc.Arbitrary<Expression> = fc.record({
  kind: fc.constant('column' as const),
  column: columnName,
  path: fc.array(fc.oneof(fc.nat(), text), { maxLength: 3 }),
})
const systemVariable: fc.Arbitrary<Expression> = word.map((name) => ({
  kind: 'column',
  column: `@@${name}`,
  path: [],
}))
const constant: fc.Arbitrary<Expression> = scalar.map((value) => ({ kind: 'literal', value }))
const functionName = word.filter((name) => name === 'if' || !isReservedColumn(name))

function callOf(argument: fc.Arbitrary<Expression>): fc.Arbitrary<Expression> {
  const values = fc.array(argument, { maxLength: 3 })
  return fc.oneof(
    values.chain((given) => call(given, fc.constant(false))),
    fc.array(argument, { minLength: 1, maxLength: 2 }).chain((given) => call(given, fc.boolean())),
    call([{ kind: 'star' }], fc.constant(false)),
  )
}

function call(given: readonly Expression[], distinct: fc.Arbitrary<boolean>): fc.Arbitrary<Expression> {
  return fc.record({
    kind: fc.constant('call' as const),
    name: functionName,
    distinct,
    arguments: fc.constant(given),
  })
}

function inOf(operand: fc.Arbitrary<Expression>): fc.Arbitrary<Expression> {
  return fc.record({
    kind: fc.constant('in' as const),
    operand,
    values: fc.array(scalar, { minLength: 1, maxLength: 4 }),
    negated: fc.boolean(),
  })
}

function betweenOf(
  operand: fc.Arbitrary<Expression>,
  bound: fc.Arbitrary<Expression>,
): fc.Arbitrary<Expression> {
  return fc.record({ kind: fc.constant('between' as const), operand, low: bound, high: bound })
}

const comparison = fc.constantFrom('=' as const, '!=' as const, '<' as const, '<=' as const, '>' as const)
const logical = fc.constantFrom('and' as const, 'or' as const)
const arithmetic = fc.constantFrom('+' as const, '-' as const, '*' as const, '/' as const, '|' as const)

const { expression } = fc.letrec<{ expression: Expression; leaf: Expression }>((tie) => ({
  leaf: fc.oneof(column, constant, systemVariable),
  expression: fc.oneof(
    { depthSize: 'small' },
    tie('leaf'),
    callOf(tie('expression')),
    inOf(tie('expression')),
    betweenOf(tie('expression'), tie('expression')),
    fc.record({ kind: fc.constant('not' as const), operand: tie('expression') }),
    fc.record({
      kind: fc.constant('binary' as const),
      operator: fc.oneof(
        comparison,
        logical,
        arithmetic,
        fc.constantFrom('%' as const, '&' as const, '>=' as const),
      ),
      left: tie('expression'),
      right: tie('expression'),
    }),
  ),
}))

const operand = fc.oneof(column, callOf(fc.oneof(column, constant)))

const { filter } = fc.letrec<{ filter: Expression }>((tie) => ({
  filter: fc.oneof(
    { depthSize: 'small' },
    fc.record({
      kind: fc.constant('binary' as const),
      operator: comparison,
      left: operand,
      right: constant,
    }),
    callOf(fc.oneof(column, constant)),
    inOf(operand),
    betweenOf(operand, constant),
    fc.record({ kind: fc.constant('not' as const), operand: tie('filter') }),
    fc.record({
      kind: fc.constant('binary' as const),
      operator: logical,
      left: tie('filter'),
      right: tie('filter'),
    }),
  ),
}))

const optionalFilter: fc.Arbitrary<Expression | null> = fc.option(filter)

const columnType: fc.Arbitrary<ColumnType> = fc.constantFrom(
  'text',
  'string',
  'int',
  'bigint',
  'float',
  'bool',
  'timestamp',
  'multi',
  'multi64',
  'json',
)
const property = fc.oneof(
  fc.constantFrom(...COLUMN_FLAGS),
  fc.tuple(fc.constantFrom(...COLUMN_SETTINGS), text).map(([name, value]) => `${name}=${quoteString(value)}`),
)
const columnDefinition: fc.Arbitrary<ColumnDefinition> = fc
  .record({ name: columnName, type: columnType, properties: fc.array(property, { maxLength: 3 }) })
  // `string attribute` is the long spelling of `string`; the short one is canonical.
  .map((definition) =>
    definition.type === 'string' && definition.properties.join() === 'attribute'
      ? { ...definition, properties: [] }
      : definition,
  )
export const columnList = fc.array(columnDefinition, { minLength: 1, maxLength: 4 })
const optionalColumns: fc.Arbitrary<ColumnDefinition[] | null> = fc.option(columnList)
export const tableOptions: fc.Arbitrary<TableOption[]> = fc.array(
  fc.record({
    name: fc.oneof(
      fc.constantFrom('type', 'local', 'agent', 'shards'),
      word.filter((name) => name !== 'like'),
    ),
    value: fc.oneof(text, fc.constant('shard')),
  }),
  { maxLength: 4 },
)

const insertRows: fc.Arbitrary<Pick<InsertRows, 'columns' | 'rows'>> = fc
  .array(columnName, { minLength: 1, maxLength: 4 })
  .chain((columns) =>
    fc.record({
      columns: fc.constantFrom(columns, null),
      rows: fc.array(fc.array(literal, { minLength: columns.length, maxLength: columns.length }), {
        minLength: 1,
        maxLength: 4,
      }),
    }),
  )

const optionValue = fc.oneof(scalar, word)
const limit: fc.Arbitrary<Pick<Select, 'limit' | 'offset'>> = fc.oneof(
  fc.constant({ limit: null, offset: 0 }),
  fc.record({ limit: fc.nat(), offset: fc.nat() }),
)

const select: fc.Arbitrary<Select> = fc
  .record({
    kind: fc.constant('select' as const),
    items: fc.array(
      fc.oneof(
        fc.constant({ expression: { kind: 'star' as const }, alias: null }),
        fc.record({ expression, alias: fc.option(columnName) }),
      ),
      { minLength: 1, maxLength: 3 },
    ),
    from: fc.option(
      fc.oneof(
        clusterTable,
        clusterTable.map((table) => ({ ...table, name: `${table.name}.@status` })),
      ),
    ),
    where: optionalFilter,
    groupBy: fc.array(expression, { maxLength: 2 }),
    having: optionalFilter,
    orderBy: fc.array(
      fc.record({ expression, direction: fc.constantFrom('asc' as const, 'desc' as const) }),
      {
        maxLength: 2,
      },
    ),
    options: fc.array(fc.record({ name: word, value: optionValue }), { maxLength: 2 }),
  })
  .chain((rest) => limit.map((rows) => ({ ...rest, ...rows })))

const clusterSettings = { path: fc.option(text), options: fc.option(text) }
const like = fc.option(text)

/** One arbitrary a kind: a new kind does not compile until it is here. */
export const STATEMENTS: { readonly [Kind in StatementKind]: fc.Arbitrary<Statement> } = {
  create_table: fc.record({
    kind: fc.constant('create_table' as const),
    table: clusterTable,
    ifNotExists: fc.boolean(),
    columns: optionalColumns,
    options: tableOptions,
  }),
  drop_table: fc.record({
    kind: fc.constant('drop_table' as const),
    table: clusterTable,
    ifExists: fc.boolean(),
    force: fc.boolean(),
  }),
  alter_table: fc.oneof(
    fc.record({
      kind: fc.constant('alter_table' as const),
      table: local,
      action: fc.constant('add_column' as const),
      column: columnName,
      type: columnType,
    }),
    fc.record({
      kind: fc.constant('alter_table' as const),
      table: local,
      action: fc.constant('drop_column' as const),
      column: columnName,
      type: fc.constant(null),
    }),
  ),
  truncate_table: fc.record({ kind: fc.constant('truncate_table' as const), table: clusterTable }),
  create_cluster: fc.record({
    kind: fc.constant('create_cluster' as const),
    cluster: plainName,
    ...clusterSettings,
  }),
  join_cluster: fc.record({
    kind: fc.constant('join_cluster' as const),
    cluster: plainName,
    at: optionalText,
    ...clusterSettings,
  }),
  delete_cluster: fc.record({ kind: fc.constant('delete_cluster' as const), cluster: plainName }),
  exit_cluster: fc.record({ kind: fc.constant('exit_cluster' as const), cluster: plainName }),
  alter_cluster: fc.oneof(
    fc.record({
      kind: fc.constant('alter_cluster' as const),
      cluster: plainName,
      action: fc.constantFrom('add' as const, 'drop' as const),
      tables: fc.uniqueArray(localTable, { minLength: 1, maxLength: 4 }),
    }),
    fc.record({
      kind: fc.constant('alter_cluster' as const),
      cluster: plainName,
      action: fc.constant('update_nodes' as const),
      tables: fc.constant([]),
    }),
  ),
  set_cluster: fc.record({
    kind: fc.constant('set_cluster' as const),
    cluster: plainName,
    variable: fc.oneof(text, fc.constant('pc.bootstrap')),
    value: scalar,
  }),
  insert: insertRows.chain((rows) =>
    clusterTable.map((table) => ({ kind: 'insert' as const, table, ...rows })),
  ),
  replace: insertRows.chain((rows) =>
    clusterTable.map((table) => ({ kind: 'replace' as const, table, ...rows })),
  ),
  update: fc.record({
    kind: fc.constant('update' as const),
    table: clusterTable,
    assignments: fc.array(fc.record({ column: columnName, value: literal }), { minLength: 1, maxLength: 3 }),
    where: optionalFilter,
  }),
  delete: fc.record({ kind: fc.constant('delete' as const), table: clusterTable, where: optionalFilter }),
  select,
  show_tables: fc.record({ kind: fc.constant('show_tables' as const), system: fc.boolean(), like }),
  show_status: fc.record({ kind: fc.constant('show_status' as const), like }),
  show_table_status: fc.record({ kind: fc.constant('show_table_status' as const), like }),
  show_create_table: fc.record({
    kind: fc.constant('show_create_table' as const),
    table: fc.record({ cluster: fc.constant(null), name: plainName }),
    force: fc.boolean(),
  }),
  describe: fc.record({ kind: fc.constant('describe' as const), table: local, force: fc.boolean() }),
  show_other: fc.oneof(
    fc.record({
      kind: fc.constant('show_other' as const),
      what: fc.constantFrom(
        'settings' as const,
        'meta' as const,
        'warnings' as const,
        'variables' as const,
        'threads' as const,
        'databases' as const,
      ),
      like,
    }),
    fc.constant({ kind: 'show_other' as const, what: 'version' as const, like: null }),
  ),
  begin: fc.constant({ kind: 'begin' as const }),
  commit: fc.constant({ kind: 'commit' as const }),
  rollback: fc.constant({ kind: 'rollback' as const }),
  set_variable: fc
    .oneof(
      fc.constantFrom('SET NAMES utf8mb4', 'SET autocommit=1', 'SET character_set_results = NULL'),
      fc.tuple(word, text).map(([name, value]) => `SET @@session.${name} = ${quoteString(value)}`),
    )
    .map((setting) => ({ kind: 'set_variable' as const, text: setting })),
  verify_tables: fc.record({
    kind: fc.constant('verify_tables' as const),
    tables: fc.array(localTable, { minLength: 1, maxLength: 3 }),
    nodes: fc.array(text, { minLength: 1, maxLength: 3 }),
  }),
}

export const anyStatement: fc.Arbitrary<Statement> = fc.oneof(...Object.values(STATEMENTS))
