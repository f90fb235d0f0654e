import { describe, expect, test } from 'vitest'
import type { Statement } from '../domain/statement.ts'
import { effectOf, type Effect } from './effect.ts'
import { inverseOf, inverseOfScript } from './inverse.ts'
import { NOTHING_OBSERVED, type ObservedObjects } from './observed-objects.ts'
import { parseScript, parseStatement } from './parse.ts'
import { renderStatement } from './render.ts'

function inverse(sql: string, before?: ObservedObjects): string | null {
  const statement = inverseOf(parseStatement(sql), before)
  return statement === null ? null : renderStatement(statement)
}

describe('what a statement changes', () => {
  test.each<[string, Effect]>([
    ['TRUNCATE TABLE t', { kind: 'table_emptied', table: 't' }],
    ['DROP TABLE IF EXISTS system.t_s0', { kind: 'table_dropped', table: 'system.t_s0' }],
    [
      'ALTER TABLE t ADD COLUMN a int',
      {
        kind: 'table_altered',
        table: 't',
        action: 'add_column',
        column: 'a',
      },
    ],
    ['CREATE CLUSTER c', { kind: 'cluster_made', cluster: 'c' }],
    ["JOIN CLUSTER c AT 'h:1'", { kind: 'cluster_joined', cluster: 'c', at: 'h:1' }],
    ['EXIT CLUSTER c', { kind: 'cluster_left', cluster: 'c' }],
    ['DELETE CLUSTER c', { kind: 'cluster_deleted', cluster: 'c' }],
    ['ALTER CLUSTER c ADD a, system.b', { kind: 'tables_added', cluster: 'c', tables: ['a', 'system.b'] }],
    ['ALTER CLUSTER c DROP a', { kind: 'tables_removed', cluster: 'c', tables: ['a'] }],
    ['ALTER CLUSTER c UPDATE nodes', { kind: 'members_updated', cluster: 'c' }],
    ["SET CLUSTER c GLOBAL 'pc.bootstrap' = 1", { kind: 'bootstrapped', cluster: 'c' }],
    [
      "SET CLUSTER c GLOBAL 'gcache.size' = '8M'",
      {
        kind: 'cluster_configured',
        cluster: 'c',
        variable: 'gcache.size',
      },
    ],
    ['INSERT INTO t (a,id) VALUES (1,7),(1,3),(1,7)', { kind: 'rows_inserted', table: 't', ids: [3, 7] }],
    [
      'INSERT INTO c:t (id) VALUES (9007199254740993)',
      {
        kind: 'rows_inserted',
        table: 't',
        ids: [9007199254740993n],
      },
    ],
    ['INSERT INTO t (id) VALUES (0)', { kind: 'rows_inserted', table: 't', ids: null }],
    ['INSERT INTO t (a) VALUES (1)', { kind: 'rows_inserted', table: 't', ids: null }],
    ['INSERT INTO t VALUES (1)', { kind: 'rows_inserted', table: 't', ids: null }],
    ['REPLACE INTO t (id) VALUES (2)', { kind: 'rows_replaced', table: 't', ids: [2] }],
    [
      "UPDATE t SET a=1, b='x' WHERE id=4 AND epoch=5",
      {
        kind: 'rows_updated',
        table: 't',
        columns: ['a', 'b'],
        ids: [4],
      },
    ],
    ['UPDATE t SET a=1 WHERE a=2', { kind: 'rows_updated', table: 't', columns: ['a'], ids: null }],
    ['DELETE FROM t WHERE id IN (2,1) OR id=5', { kind: 'rows_deleted', table: 't', ids: [1, 2, 5] }],
    ['DELETE FROM t WHERE id IN (1,2) AND id IN (2,3)', { kind: 'rows_deleted', table: 't', ids: [2] }],
    ['DELETE FROM t WHERE id=1 OR a=5', { kind: 'rows_deleted', table: 't', ids: null }],
    ['DELETE FROM t WHERE id NOT IN (1)', { kind: 'rows_deleted', table: 't', ids: null }],
    ['DELETE FROM t WHERE NOT id=1', { kind: 'rows_deleted', table: 't', ids: null }],
    ['DELETE FROM t WHERE id>1', { kind: 'rows_deleted', table: 't', ids: null }],
    ['SELECT * FROM t', { kind: 'none' }],
    ['SET NAMES utf8', { kind: 'none' }],
    ['SHOW TABLES', { kind: 'none' }],
    ['BEGIN', { kind: 'none' }],
  ])('%s', (sql, effect) => {
    expect(effectOf(parseStatement(sql))).toEqual(effect)
  })

  test('a table that is made comes with its definition', () => {
    const definition = parseStatement('CREATE TABLE t (a int)')
    expect(effectOf(definition)).toEqual({ kind: 'table_made', table: 't', definition })
  })
})

describe('what undoes a statement', () => {
  test.each([
    ['CREATE TABLE t (a int)', 'DROP TABLE IF EXISTS t'],
    ["CREATE TABLE t (a int) type='shard' local='system.t_s0'", 'DROP TABLE IF EXISTS t OPTION force=1'],
    ['ALTER TABLE t ADD COLUMN a int', 'ALTER TABLE t DROP COLUMN a'],
    ["CREATE CLUSTER c 'system.c' as path", 'DELETE CLUSTER c'],
    ["JOIN CLUSTER c AT 'h:1'", 'EXIT CLUSTER c'],
    ['ALTER CLUSTER c ADD a,b', 'ALTER CLUSTER c DROP a,b'],
    ['ALTER CLUSTER c DROP a,b', 'ALTER CLUSTER c ADD a,b'],
    ['INSERT INTO c:t (id,a) VALUES (5,1),(4,1)', 'DELETE FROM c:t WHERE id IN (4,5)'],
  ])('%s', (sql, undone) => {
    expect(inverse(sql)).toBe(undone)
  })

  test.each([
    'DROP TABLE t',
    'DROP TABLE t OPTION force=1',
    'ALTER TABLE t DROP COLUMN a',
    'TRUNCATE TABLE t',
    'DELETE CLUSTER c',
    'EXIT CLUSTER c',
    'ALTER CLUSTER c UPDATE nodes',
    "SET CLUSTER c GLOBAL 'pc.bootstrap' = 1",
    'INSERT INTO t (a) VALUES (1)',
    'REPLACE INTO t (id) VALUES (1)',
    'UPDATE t SET a=1 WHERE id=1',
    'DELETE FROM t WHERE id=1',
    'SELECT 1',
  ])('nothing known: %s', (sql) => {
    expect(inverse(sql)).toBeNull()
  })

  const definition = parseStatement("CREATE TABLE t (a int) type='shard' local='system.t_s0'")
  const before: ObservedObjects = {
    node: 'n0:1',
    tables: new Set(['t', 'plain']),
    clusters: new Map([
      ['c', ['n0:1', 'n1:1']],
      ['alone', ['n0:1']],
      ['full', ['n0:1']],
    ]),
    definitions: new Map(definition.kind === 'create_table' ? [['t', definition]] : []),
    clusterDetails: new Map([
      ['c', { path: 'system.c', tables: ['a'] }],
      ['alone', { path: null, tables: [] }],
      ['full', { path: null, tables: ['a'] }],
    ]),
  }

  test.each([
    ['DROP TABLE t OPTION force=1', "CREATE TABLE IF NOT EXISTS t (a int) type='shard' local='system.t_s0'"],
    ['DROP TABLE plain', null],
    ['CREATE TABLE plain (a int)', null],
    ['CREATE CLUSTER c', null],
    ["JOIN CLUSTER c AT 'n1:1'", null],
    ['EXIT CLUSTER c', "JOIN CLUSTER c AT 'n1:1' 'system.c' as path"],
    ['EXIT CLUSTER alone', null],
    ['DELETE CLUSTER alone', 'CREATE CLUSTER alone'],
    ['DELETE CLUSTER c', null],
    ['DELETE CLUSTER full', null],
  ])('with what was there before: %s', (sql, undone) => {
    expect(inverse(sql, before)).toBe(undone)
  })

  test('a script is undone from its end, each statement as it found the node', () => {
    const script = parseScript(
      "DROP TABLE t OPTION force=1; CREATE TABLE t (a int) type='shard' local='system.t_s1'; SELECT 1",
    )
    expect(
      inverseOfScript(script, before)?.map((statement: Statement) => renderStatement(statement)),
    ).toEqual([
      'DROP TABLE IF EXISTS t OPTION force=1',
      "CREATE TABLE IF NOT EXISTS t (a int) type='shard' local='system.t_s0'",
    ])
    expect(inverseOfScript(script, NOTHING_OBSERVED)).toBeNull()
  })
})
