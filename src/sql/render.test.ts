import { describe, expect, test } from 'vitest'
import { InputError } from '../domain/errors.ts'
import type { Expression, Statement } from '../domain/statement.ts'
import { quoteString, renderLiteral } from './literals.ts'
import { checkClusterName, checkTableName } from './names.ts'
import { parseStatement } from './parse.ts'
import { renderStatement } from './render.ts'
import { renderExpression, renderFilter } from './render-expressions.ts'

describe('literals', () => {
  test.each([
    ["it's", String.raw`'it\'s'`],
    ['back\\slash', String.raw`'back\\slash'`],
    ['two\nlines', String.raw`'two\nlines'`],
    ['юникод 漢字 🙂 `x`', "'юникод 漢字 🙂 `x`'"],
    [9007199254740993n, '9007199254740993'],
    [1e-7, '0.0000001'],
    [-2.5e-9, '-0.0000000025'],
    [-0, '0'],
    [[1, 2n, -3], '(1,2,-3)'],
    [[], '()'],
  ])('case %#: %s', (value, sql) => {
    expect(renderLiteral(value)).toBe(sql)
  })

  test.each([['a\0b'], ['half \ud800'], [Number.NaN], [Infinity], [2 ** 53]])(
    'case %#: %s is refused',
    (value) => {
      expect(() => renderLiteral(value)).toThrow(InputError)
    },
  )

  test('a quote cannot end a string early', () => {
    expect(quoteString("\\' OR id>0 -- ")).toBe(String.raw`'\\\' OR id>0 -- '`)
  })
})

describe('the names that users choose', () => {
  test.each(['users', '_u1', 'a'.repeat(64), 'status'])('%s is fine', (name) => {
    expect(checkTableName(name)).toBe(name)
    expect(checkClusterName(name)).toBe(name)
  })

  test.each([
    ['Users', "table names are lower case in Manticore; use 'users'"],
    ['a'.repeat(70), 'has 70 characters; use at most 64'],
    ['my.users', 'has a dot in it; use only letters'],
    ["o'users", 'has a quote in it'],
    ['`users`', 'has a quote in it'],
    ['9users', 'begins with a digit'],
    ['c:users', 'has a cluster prefix in it; give the cluster separately'],
    ['bad-name', 'cannot be used; use only letters'],
    ['naïve', 'cannot be used'],
    ['users\n', 'cannot be used'],
    ['select', "'select' is a word of the SQL language; choose another table name"],
    ['system', 'choose another name'],
    ['', 'give the table a name'],
  ])('%j is refused', (name, message) => {
    expect(() => checkTableName(name)).toThrow(InputError)
    expect(() => checkTableName(name)).toThrow(message)
  })

  test('a cluster is called a cluster', () => {
    expect(() => checkClusterName('Posts')).toThrow("cluster names are lower case in Manticore; use 'posts'")
  })

  test.each(['select', 'if', 'like', 'table', 'values'])(
    'what is refused as a word of the language does fail as a table: %s',
    (word) => {
      expect(() => parseStatement(`CREATE TABLE ${word} (a int)`)).toThrow(/unexpected/)
    },
  )
})

describe('statements', () => {
  const table = { cluster: null, name: 'users' }

  test('a sharded table with local shards and mirrored agents', () => {
    const sql =
      "CREATE TABLE users (id bigint, title text, v int) type='shard' local='system.users_s0' agent='h1:9312:system.users_s1|h2:9312:system.users_s1[retry_count=2,ha_strategy=noerrors]'"
    expect(renderStatement(parseStatement(sql))).toBe(sql)
  })

  test('columns that the language has a use for are back-quoted', () => {
    const insert: Statement = {
      kind: 'insert',
      table: { cluster: 'c', name: 'system.sharding_table' },
      columns: ['id', 'table', 'status', 'shards'],
      rows: [[1, 'users', 'x', [0, 1]]],
    }
    expect(renderStatement(insert)).toBe(
      "INSERT INTO c:system.sharding_table (id,`table`,`status`,shards) VALUES (1,'users','x',(0,1))",
    )
  })

  test.each<[string, Statement]>([
    ['a quote in a table', { kind: 'truncate_table', table: { cluster: null, name: "t' x" } }],
    ['upper case in a table', { kind: 'truncate_table', table: { cluster: null, name: 'Users' } }],
    ['a foreign database', { kind: 'truncate_table', table: { cluster: null, name: 'other.t' } }],
    ['a reserved table', { kind: 'truncate_table', table: { cluster: null, name: 'order' } }],
    ['a statement in a cluster', { kind: 'delete_cluster', cluster: 'c; DROP TABLE t' }],
    ['a backtick in a column', { kind: 'insert', table, columns: ['a`b'], rows: [[1]] }],
    ['a row that is too short', { kind: 'insert', table, columns: ['a', 'b'], rows: [[1]] }],
    ['no rows', { kind: 'insert', table, columns: ['a'], rows: [] }],
    ['no columns', { kind: 'create_table', table, ifNotExists: false, columns: [], options: [] }],
    [
      'an invented property',
      {
        kind: 'create_table',
        table,
        ifNotExists: false,
        columns: [{ name: 'a', type: 'text', properties: ["indexed) type='x'"] }],
        options: [],
      },
    ],
    [
      'a quote in the name of an option',
      {
        kind: 'create_table',
        table,
        ifNotExists: false,
        columns: null,
        options: [{ name: "a'", value: '' }],
      },
    ],
    [
      'SHOW CREATE of a system table',
      {
        kind: 'show_create_table',
        table: { cluster: null, name: 'system.t' },
        force: false,
      },
    ],
    ['another statement as a setting', { kind: 'set_variable', text: 'SET a=1; DROP TABLE t' }],
    ['no setting at all', { kind: 'set_variable', text: 'DROP TABLE t' }],
    [
      'a column without a type',
      { kind: 'alter_table', table, action: 'add_column', column: 'a', type: null },
    ],
  ])('%s is refused', (_what, statement) => {
    expect(() => renderStatement(statement)).toThrow(InputError)
  })
})

describe('expressions', () => {
  test('calls come out as the daemon heads their column', () => {
    const items = parseStatement('SELECT COUNT(*), SUM(V), COUNT(DISTINCT a)')
    const heads =
      items.kind === 'select' ? items.items.map(({ expression }) => renderExpression(expression)) : []
    expect(heads).toEqual(['count(*)', 'sum(v)', 'count(distinct a)'])
  })

  test.each([
    'a=1 AND b=2 AND c=3',
    '(a=1 OR b=2) AND c=3',
    'a=1 AND (b=2 AND c=3)',
    'NOT (a=1 OR b=2)',
    "NOT a IN (1,2) AND b NOT IN ('x')",
    'a BETWEEN -1 AND 2 AND any(tags)=3',
  ])('%s needs no more parentheses', (filter) => {
    const statement = parseStatement(`SELECT a FROM t WHERE ${filter}`)
    const where = statement.kind === 'select' ? statement.where : null
    expect(where === null ? null : renderFilter(where)).toBe(filter)
  })

  const one: Expression = { kind: 'literal', value: 1 }
  const a: Expression = { kind: 'column', column: 'a', path: [] }
  test.each<[string, Expression]>([
    ['a constant', one],
    ['a bare column', a],
    ['a column on the right', { kind: 'binary', operator: '=', left: a, right: a }],
    ['a constant on the left', { kind: 'binary', operator: '=', left: one, right: one }],
    ['arithmetic', { kind: 'binary', operator: '+', left: a, right: one }],
    [
      'one of these inside',
      { kind: 'binary', operator: 'and', left: one, right: { kind: 'not', operand: a } },
    ],
    ['IN nothing', { kind: 'in', operand: a, values: [], negated: false }],
  ])('a filter refuses %s', (_what, filter) => {
    expect(() => renderFilter(filter)).toThrow(InputError)
  })
})
