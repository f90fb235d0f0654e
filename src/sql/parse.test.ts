import { describe, expect, test } from 'vitest'
import type { Expression, Statement } from '../domain/statement.ts'
import { SqlSyntaxError } from './errors.ts'
import {
  parseColumnList,
  parseScript,
  parseStatement,
  parseTableOptions,
  type ParseOptions,
} from './parse.ts'
import { renderStatement } from './render.ts'

function syntaxErrorOf(sql: string, options?: ParseOptions): SqlSyntaxError {
  try {
    parseStatement(sql, options)
  } catch (error) {
    if (error instanceof SqlSyntaxError) return error
    throw error
  }
  throw new Error(`'${sql}' was accepted`)
}

function filterOf(condition: string): Expression | null {
  const statement = parseStatement(`SELECT id FROM t WHERE ${condition}`)
  return statement.kind === 'select' ? statement.where : null
}

const column = (name: string): Expression => ({ kind: 'column', column: name, path: [] })
const literal = (value: string | number | bigint): Expression => ({ kind: 'literal', value })

describe('what users say and the daemon does not know', () => {
  test.each([
    "CREATE TABLE IF NOT EXISTS c:users (name string) shards='4' rf='2'",
    'DROP TABLE IF EXISTS c:users',
    'SHOW VERSION',
  ])('%s', (sql) => {
    expect(renderStatement(parseStatement(sql, { dialect: 'extended' }))).toBe(sql)
    expect(() => parseStatement(sql)).toThrow(SqlSyntaxError)
  })

  test('the cluster of a table that is created', () => {
    expect(parseStatement("create table C:Users (Name string) SHARDS='4'", { dialect: 'extended' })).toEqual({
      kind: 'create_table',
      table: { cluster: 'c', name: 'users' },
      ifNotExists: false,
      columns: [{ name: 'name', type: 'string', properties: [] }],
      options: [{ name: 'shards', value: '4' }],
    })
  })
})

describe('what stock MySQL clients send by themselves', () => {
  test.each<[string, Statement['kind']]>([
    ['SET NAMES utf8mb4', 'set_variable'],
    ["SET NAMES 'utf8' COLLATE 'utf8_general_ci'", 'set_variable'],
    ['SET autocommit=1', 'set_variable'],
    ['SET character_set_results = NULL', 'set_variable'],
    ['SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED', 'set_variable'],
    ['/* mysql-connector */SET @@session.sql_mode = CONCAT(@@sql_mode, 1)', 'set_variable'],
    ['SELECT @@version_comment LIMIT 1', 'select'],
    ['SELECT @@session.auto_increment_increment AS a, @@max_allowed_packet', 'select'],
    ['SELECT DATABASE()', 'select'],
    ['SHOW DATABASES', 'show_other'],
    ["SHOW VARIABLES LIKE 'lower_case%'", 'show_other'],
    ['SHOW SESSION VARIABLES', 'show_other'],
    ['SHOW WARNINGS', 'show_other'],
    ['SHOW THREADS;', 'show_other'],
    ['START TRANSACTION', 'begin'],
    ['-- a comment\nCOMMIT -- another\n;', 'commit'],
    ['rollback', 'rollback'],
  ])('%s', (sql, kind) => {
    expect(parseStatement(sql).kind).toBe(kind)
  })

  test('a system variable is a column of that name', () => {
    expect(parseStatement('SELECT @@Version_Comment')).toMatchObject({
      items: [{ expression: column('@@version_comment'), alias: null }],
      from: null,
    })
  })
})

describe('values', () => {
  test('integers are exact, however long', () => {
    expect(filterOf('id=9007199254740991')).toMatchObject({ right: literal(9007199254740991) })
    expect(filterOf('id=9007199254740993')).toMatchObject({ right: literal(9007199254740993n) })
    expect(filterOf('id=-9007199254740993')).toMatchObject({ right: literal(-9007199254740993n) })
  })

  test.each([
    ['1.5', 1.5],
    ['-.25', -0.25],
    ['1e3', 1000],
    ['2.5E-3', 0.0025],
    ['-0', 0],
  ])('%s', (text, value) => {
    expect(filterOf(`x=${text}`)).toMatchObject({ right: literal(value) })
  })

  test('escapes are decoded as the daemon does', () => {
    expect(filterOf(String.raw`x='it\'s a \\ \n \d \t'`)).toMatchObject({
      right: literal("it's a \\ \n d \t"),
    })
  })

  test('a very long string is no burden', () => {
    const long = 'ab\\\\'.repeat(300_000)
    expect(filterOf(`x='${long}'`)).toMatchObject({ right: { value: 'ab\\'.repeat(300_000) } })
  })
})

describe('expressions', () => {
  test('AND binds tighter than OR, NOT tighter than AND', () => {
    expect(filterOf('NOT a=1 AND b=2 OR c IN (3)')).toMatchObject({
      operator: 'or',
      left: { operator: 'and', left: { kind: 'not' }, right: { left: column('b') } },
      right: { kind: 'in', negated: false },
    })
  })

  test('paths into JSON keep their spelling', () => {
    expect(filterOf("Doc[0].Key['x y']=1")).toMatchObject({
      left: { column: 'doc', path: [0, 'Key', 'x y'] },
    })
  })

  test('arithmetic has ranks, and parentheses leave no trace', () => {
    expect(parseStatement('SELECT (a+b)*2-1 x')).toMatchObject({
      items: [
        {
          alias: 'x',
          expression: {
            operator: '-',
            left: { operator: '*', left: { operator: '+' } },
            right: literal(1),
          },
        },
      ],
    })
  })

  test('two dashes without a space are arithmetic', () => {
    expect(parseStatement('SELECT 1--1')).toMatchObject({
      items: [{ expression: { operator: '-', left: literal(1), right: literal(-1) } }],
    })
  })

  test('a filter of ten thousand conditions parses and renders', () => {
    const where = Array.from({ length: 10_000 }, (_, id) => `a!=${id}`).join(' AND ')
    const sql = `DELETE FROM t WHERE ${where}`
    expect(renderStatement(parseStatement(sql))).toBe(sql)
  })

  test('nesting has an end, which is a syntax error', () => {
    const deep = (levels: number): string => `SELECT ${'('.repeat(levels)}1${')'.repeat(levels)}`
    expect(parseStatement(deep(50)).kind).toBe('select')
    expect(syntaxErrorOf(deep(5_000)).daemonMessage).toMatch(/^P01: nested too deeply near '\(/)
    expect(syntaxErrorOf(`SELECT 1 FROM t WHERE ${'NOT '.repeat(5_000)}a=1`).message).toMatch(/nested/)
  })
})

describe('words that are reserved', () => {
  test('are columns where the daemon takes them as such, and always in back quotes', () => {
    const names = 'key, value, status, node, query, name, shards, table, updated_at, options, tables, path'
    for (const sql of [`SELECT ${names} FROM t`, `SELECT ${names.replaceAll(/\w+/g, '`$&`')} FROM t`]) {
      const statement = parseStatement(sql)
      expect(statement).toMatchObject({
        items: names.split(', ').map((name) => ({ expression: column(name) })),
      })
    }
    expect(filterOf('`order`=1')).toMatchObject({ left: column('order') })
    expect(syntaxErrorOf('SELECT order FROM t').unexpected).toBe('ORDER')
  })

  test('are no names of tables, quoted or not', () => {
    expect(syntaxErrorOf('SELECT * FROM select').unexpected).toBe('SELECT')
    expect(syntaxErrorOf('SELECT * FROM `users`').unexpected).toBe('invalid token')
  })
})

describe('lists of columns and options by themselves', () => {
  test('all spellings of types', () => {
    expect(
      parseColumnList(
        "id bigint, A integer, b uint, n string attribute, s string attribute indexed, t text indexed stored, e json engine='columnar'",
      ),
    ).toEqual([
      { name: 'id', type: 'bigint', properties: [] },
      { name: 'a', type: 'int', properties: [] },
      { name: 'b', type: 'int', properties: [] },
      { name: 'n', type: 'string', properties: [] },
      { name: 's', type: 'string', properties: ['attribute', 'indexed'] },
      { name: 't', type: 'text', properties: ['indexed', 'stored'] },
      { name: 'e', type: 'json', properties: ["engine='columnar'"] },
    ])
  })

  test('options', () => {
    expect(parseTableOptions("min_infix_len='2' morphology='stem_en'")).toEqual([
      { name: 'min_infix_len', value: '2' },
      { name: 'morphology', value: 'stem_en' },
    ])
    expect(parseTableOptions('  ')).toEqual([])
  })

  test.each([
    ['', "P03: syntax error, unexpected $end near ''"],
    ['id bigint,', "P03: syntax error, unexpected $end near ''"],
    ['id bigint) type=', "P03: syntax error, unexpected ')', expecting $end near ') type='"],
    ['v float_vector', "P03: unknown column type 'float_vector' near ''"],
  ])("the columns '%s' are refused", (columns, message) => {
    expect(() => parseColumnList(columns)).toThrow(expect.objectContaining({ daemonMessage: message }))
  })

  test('an option without quotes is refused', () => {
    expect(() => parseTableOptions('shards=4')).toThrow(/unexpected integer.*expected string/)
  })
})

describe('scripts', () => {
  test('statements stand between semicolons, of which some may be too many', () => {
    const kinds = parseScript("; DROP TABLE a;; CREATE TABLE a (b string) x=';' ;").map(({ kind }) => kind)
    expect(kinds).toEqual(['drop_table', 'create_table'])
    expect(parseScript(' /* nothing */ ')).toEqual([])
  })

  test('an error is placed in the whole text', () => {
    expect(() => parseScript('COMMIT;\n COMIT')).toThrow(
      expect.objectContaining({ line: 2, column: 2, position: 9, section: 'P02' }),
    )
  })
})

describe('errors', () => {
  test('say what, where and what would have been right', () => {
    const error = syntaxErrorOf('SELECT 1\nFROM t\n  LIMIT many')
    expect(error).toMatchObject({
      code: 'syntax',
      position: 24,
      line: 3,
      column: 9,
      section: 'P01',
      unexpected: 'identifier',
      expecting: 'integer',
      near: 'many',
      daemonMessage: "P01: syntax error, unexpected identifier, expecting integer near 'many'",
    })
    expect(error.message).toBe(
      'syntax error at line 3, column 9: unexpected identifier, near "many"; expected integer',
    )
  })

  test.each([
    ['', "P02: syntax error, unexpected $end near ''"],
    [' ;', "P02: syntax error, unexpected ';' near ';'"],
    ["SELECT 'open", "P01: syntax error, unexpected invalid token near ''open'"],
    ['COMMIT /* open', "P01: syntax error, unexpected invalid token, expecting $end near '/* open'"],
    ["SHOW TABLES LIKE 'a' x", "P01: syntax error, unexpected identifier, expecting $end near 'x'"],
    ['SET x', "P01: syntax error, unexpected $end, expecting '=' near ''"],
    ['SELECT id FROM t WHERE a', "P01: syntax error, unexpected $end near ''"],
    ['INSERT INTO t (a) VALUES (1', "P01: syntax error, unexpected $end, expecting ',' or ')' near ''"],
    ["ALTER TABLE t x='1'", "P03: changing the settings of a table is not supported near ''1''"],
  ])("the daemon's words for '%s'", (sql, message) => {
    expect(syntaxErrorOf(sql).daemonMessage).toBe(message)
  })

  test('a message quotes no more than the place', () => {
    const error = syntaxErrorOf(`SELECT 1 2${' '.repeat(5_000)}`)
    expect(error.message.length).toBeLessThan(200)
    expect(error.near).toHaveLength(5_001)
  })
})
