import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseStatement, quoteString } from '../sql/index.ts'
import type { Select } from '../domain/statement.ts'
import { createNodeSession, executeLocal } from './local-statements.ts'
import { runSelectOverRows } from './store-rows-select.ts'
import { SqliteTableStore } from './store-sqlite.ts'

const QUERIES = [
  'SELECT * FROM t ORDER BY id ASC LIMIT 100',
  'SELECT * FROM t ORDER BY n DESC, id ASC LIMIT 3,5',
  'SELECT COUNT(*), SUM(n), MIN(s), MAX(id), AVG(f), COUNT(DISTINCT s) FROM t',
  'SELECT s, COUNT(*) c, SUM(n) FROM t GROUP BY s ORDER BY s ASC LIMIT 100',
  'SELECT n, COUNT(*) c FROM t GROUP BY n HAVING c>1 ORDER BY n DESC',
  'SELECT id, j.a x, n+1 y FROM t WHERE n>2 OR j.a=1 ORDER BY id DESC',
  'SELECT id, m FROM t WHERE ANY(m)=1 ORDER BY id ASC',
  "SELECT id FROM t WHERE MATCH('red|blue') AND n<5 ORDER BY id ASC",
]

function select(sql: string): Select {
  const statement = parseStatement(sql)
  if (statement.kind !== 'select') throw new TypeError('not a SELECT')
  return statement
}

const row = fc.record({
  title: fc.constantFrom('red', 'blue', 'green', 'red blue'),
  s: fc.constantFrom('a', 'b', 'c', ''),
  n: fc.nat(6),
  f: fc.constantFrom('0.5', '1.25', '3'),
  m: fc.constantFrom('()', '(1)', '(2,1)'),
  j: fc.constantFrom('{"a":1}', '{"a":"x"}', '[]', ''),
})

test('gathered rows answer a SELECT as the same rows in one table do: types, names, values, order', () => {
  fc.assert(
    fc.property(fc.array(row, { minLength: 1, maxLength: 25 }), (made) => {
      const store = new SqliteTableStore(':memory:')
      const run = (sql: string): unknown => executeLocal(store, parseStatement(sql), createNodeSession())
      run('CREATE TABLE t (title text, s string, n int, f float, m multi, j json)')
      const values = made.map(
        ({ title, s, n, f, m, j }, index) =>
          `(${index + 1},${quoteString(title)},${quoteString(s)},${n},${f},${m},${quoteString(j)})`,
      )
      run(`INSERT INTO t (id,title,s,n,f,m,j) VALUES ${values.join(',')}`)
      const table = store.table('t')
      if (table === undefined) throw new TypeError('no table')
      const rows = [...store.scan('t', null)]
      for (const sql of QUERIES) {
        expect(runSelectOverRows(table, [...rows, ...rows].reverse(), select(sql))).toEqual(
          store.select(select(sql)),
        )
      }
      store.close()
    }),
    { numRuns: 30 },
  )
})

test('without ORDER BY rows come as given', () => {
  const table = {
    name: 't',
    kind: 'shard',
    columns: [{ name: 'n', type: 'int', properties: [] }],
    options: [],
  } as const
  const rows = [3, 1, 2].map(
    (id) =>
      new Map([
        ['id', id],
        ['n', id * 10],
      ]),
  )
  expect(runSelectOverRows(table, rows, select('SELECT * FROM t')).rows).toEqual([
    { id: 3, n: 30 },
    { id: 1, n: 10 },
    { id: 2, n: 20 },
  ])
  expect(runSelectOverRows(table, [], select('SELECT COUNT(*) FROM t')).rows).toEqual([{ 'count(*)': 0 }])
})
