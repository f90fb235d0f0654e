import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseStatement, quoteString } from '../sql/index.ts'
import { createNodeSession, executeLocal } from './local-statements.ts'
import { decodeReply, encodeError, encodeReply } from './reply-json.ts'
import { SqliteTableStore } from './store-sqlite.ts'
import { DaemonError } from './store.ts'

test('long integers are bare numbers, floats have six digits, columns keep their order', () => {
  const body = encodeReply({
    columns: [
      { name: 'b', type: 'long long' },
      { name: '1', type: 'float' },
      { name: 'd', type: 'double' },
      { name: 'n', type: 'string' },
    ],
    rows: [{ b: 9007199254740993n, '1': 1.5, d: 0.1, n: null }],
    total: 1,
    warning: 'a "b"',
  })
  expect(body).toBe(
    '[{"columns":[{"b":{"type":"long long"}},{"1":{"type":"float"}},{"d":{"type":"double"}},{"n":{"type":"string"}}],' +
      '"data":[{"b":9007199254740993,"1":1.500000,"d":0.1,"n":null}],"total":1,"error":"","warning":"a \\"b\\""}]',
  )
  expect(decodeReply(body)).toMatchObject({ rows: [{ b: 9007199254740993n, '1': 1.5, d: 0.1, n: null }] })
})

test('a statement without rows has neither columns nor data', () => {
  const done = { columns: [], rows: [], total: 3, warning: '' }
  expect(encodeReply(done)).toBe('[{"total":3,"error":"","warning":""}]')
  expect(decodeReply(encodeReply(done))).toEqual(done)
})

test('an error body is thrown as the error it tells', () => {
  expect(() => decodeReply(encodeError("duplicate id '1'"))).toThrow(new DaemonError("duplicate id '1'"))
  expect(() => decodeReply('{}')).toThrow(TypeError)
})

test('any string without NUL survives literal, store and reply', () => {
  const store = new SqliteTableStore(':memory:')
  const session = createNodeSession()
  const run = (sql: string): string => encodeReply(executeLocal(store, parseStatement(sql), session))
  run('CREATE TABLE t (title text, s string)')
  const text = fc.string({ unit: 'binary', maxLength: 40 }).map((string) => string.replaceAll('\0', ''))
  fc.assert(
    fc.property(text, (string) => {
      run(`REPLACE INTO t (id,title,s) VALUES (1,${quoteString(string)},${quoteString(string)})`)
      const { rows } = decodeReply(run(`SELECT title, s FROM t WHERE s=${quoteString(string)}`))
      expect(rows).toEqual([{ title: string, s: string }])
    }),
    { numRuns: 500 },
  )
  store.close()
})
