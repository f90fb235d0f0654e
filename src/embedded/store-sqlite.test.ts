import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Row } from '../domain/values.ts'
import { parseStatement } from '../sql/index.ts'
import { createNodeSession, executeLocal } from './local-statements.ts'
import { SqliteTableStore } from './store-sqlite.ts'
import { DaemonError, type StatementResult, type StoredRow } from './store.ts'

let store: SqliteTableStore

beforeEach(() => {
  store = new SqliteTableStore(':memory:')
})

afterEach(() => store.close())

function run(sql: string): StatementResult {
  return executeLocal(store, parseStatement(sql), createNodeSession())
}

function rows(sql: string): readonly Row[] {
  return run(sql).rows
}

/** Ids that a query gives, in its order. */
function ids(sql: string): readonly unknown[] {
  return rows(sql).map((row) => row['id'])
}

function types(sql: string): readonly string[] {
  return run(sql).columns.map(({ name, type }) => `${name}: ${type}`)
}

describe('values', () => {
  test('go in as their column says: integers cut, floats of 32 bits, lists sorted without duplicates', () => {
    run('CREATE TABLE t (n int, big bigint, f float, b bool, ts timestamp, m multi, m64 multi64)')
    run(
      'INSERT INTO t (id,n,big,f,b,ts,m,m64) VALUES (1,-1,-9223372036854775808,0.1,7,5,(3,1,3,2),(9007199254740993,-2))',
    )
    expect(rows('SELECT * FROM t')).toEqual([
      {
        id: 1,
        n: 4_294_967_295,
        big: -9_223_372_036_854_775_808n,
        f: Math.fround(0.1),
        b: 1,
        ts: 5,
        m: '1,2,3',
        m64: '-2,9007199254740993',
      },
    ])
    expect(ids('SELECT id FROM t WHERE f=0.1 AND b=1 AND big<0')).toEqual([1])
  })

  test('lists and plain values do not mix; nothing is written then', () => {
    run('CREATE TABLE t (n int, m multi)')
    expect(() => run('INSERT INTO t (id,m) VALUES (1,(1)),(2,5)')).toThrow(
      'row 2, column 2: non-MVA value specified for a MVA column',
    )
    expect(() => run('INSERT INTO t (id,n) VALUES (1,(1,2))')).toThrow(
      'row 1, column 2: MVA value specified for a non-MVA column',
    )
    expect(rows('SELECT COUNT(*) c FROM t')).toEqual([{ c: 0 }])
  })

  test('comparisons of multi-values: ANY by default, ALL when asked, IN', () => {
    run('CREATE TABLE t (m multi)')
    run('INSERT INTO t (id,m) VALUES (1,(1,2)),(2,(2,3)),(3,())')
    expect(ids('SELECT id FROM t WHERE m=2')).toEqual([1, 2])
    expect(ids('SELECT id FROM t WHERE ANY(m)>2')).toEqual([2])
    expect(ids('SELECT id FROM t WHERE ALL(m)>1')).toEqual([2])
    expect(ids('SELECT id FROM t WHERE m IN (1,9)')).toEqual([1])
  })

  test('JSON is compared with its own type, missing equals nothing and so differs from everything', () => {
    run('CREATE TABLE t (j json)')
    run(
      `INSERT INTO t (id,j) VALUES (1,'{"a":{"n":5,"s":"x"},"l":[1,{"k":true}]}'),(2,'{"a":{"n":6}}'),(3,'')`,
    )
    expect(ids('SELECT id FROM t WHERE j.a.n=5')).toEqual([1])
    expect(ids('SELECT id FROM t WHERE j.a.n>=5 ORDER BY id DESC')).toEqual([2, 1])
    expect(ids("SELECT id FROM t WHERE j.a.s!='x'")).toEqual([2, 3])
    expect(ids("SELECT id FROM t WHERE NOT j.a.s='x'")).toEqual([2, 3])
    expect(ids("SELECT id FROM t WHERE j.a.s IN ('x','y')")).toEqual([1])
    expect(rows('SELECT j.a a, j.l[1].k k, j.nosuch n FROM t WHERE id=1')).toEqual([
      { a: '{"n":5,"s":"x"}', k: 'true', n: null },
    ])
  })

  test('strings are compared and grouped without case, as the default collation does', () => {
    run('CREATE TABLE t (s string)')
    run("INSERT INTO t (id,s) VALUES (1,'Ab'),(2,'aB'),(3,'c')")
    expect(ids("SELECT id FROM t WHERE s='AB'")).toEqual([1, 2])
    expect(rows('SELECT COUNT(*) c FROM t GROUP BY s ORDER BY c DESC')).toEqual([{ c: 2 }, { c: 1 }])
  })

  test('long IN lists of numbers and strings', () => {
    run('CREATE TABLE t (s string)')
    const numbers = Array.from({ length: 50 }, (_, index) => index + 1)
    run(`INSERT INTO t (id,s) VALUES ${numbers.map((n) => `(${n},'s"${n}')`).join(',')}`)
    const listed = numbers.slice(10, 30)
    expect(ids(`SELECT id FROM t WHERE id IN (${listed.join(',')}) LIMIT 100`)).toEqual(listed)
    expect(ids(`SELECT id FROM t WHERE s IN (${listed.map((n) => `'s"${n}'`).join(',')}) LIMIT 100`)).toEqual(
      listed,
    )
    expect(ids(`SELECT id FROM t WHERE id NOT IN (${listed.join(',')}) LIMIT 100`)).toHaveLength(30)
  })
})

describe('writes', () => {
  test('a statement is all or nothing, and REPLACE brings a row to the front', () => {
    run('CREATE TABLE t (n int)')
    run('INSERT INTO t (id,n) VALUES (1,1),(2,2),(3,3)')
    expect(() => run('INSERT INTO t (id,n) VALUES (4,4),(5,5),(2,9)')).toThrow("duplicate id '2'")
    expect(() => run('INSERT INTO t (id,n) VALUES (7,1),(7,2)')).toThrow("duplicate id '7'")
    expect(ids('SELECT id FROM t')).toEqual([1, 2, 3])
    run('REPLACE INTO t (id,n) VALUES (2,20)')
    expect(rows('SELECT * FROM t')).toEqual([
      { id: 2, n: 20 },
      { id: 1, n: 1 },
      { id: 3, n: 3 },
    ])
  })

  test('the ids of an INSERT come back in order, those given and those made', () => {
    run('CREATE TABLE t (n int)')
    const insert = (sql: string): readonly (number | bigint)[] => {
      const statement = parseStatement(sql)
      if (statement.kind !== 'insert') throw new TypeError('not an INSERT')
      return store.insert(statement).ids
    }
    expect(insert('INSERT INTO t (id,n) VALUES (9,1),(0,2),(5,3)')).toEqual([9, 10, 5])
    expect(insert('INSERT INTO t (n) VALUES (1),(2)')).toEqual([11, 12])
    expect(insert('INSERT INTO t (id,n) VALUES (9007199254740993,1)')).toEqual([9_007_199_254_740_993n])
  })

  test('without a column list values go to id, text fields, attributes', () => {
    run('CREATE TABLE t (n int, title text)')
    run("INSERT INTO t VALUES (1,'words',7)")
    expect(rows('SELECT * FROM t')).toEqual([{ id: 1, n: 7, title: 'words' }])
    expect(() => run("INSERT INTO t VALUES (2,'words')")).toThrow(
      'column count does not match schema (expected 3, got 2)',
    )
  })

  test.each([
    ['INSERT INTO t (id,nosuch) VALUES (1,1)', "unknown column: 'nosuch'"],
    ['UPDATE t SET nosuch=1 WHERE id=1', "table t: attribute 'nosuch' not found"],
    ["UPDATE t SET title='x' WHERE id=1", "table t: attribute 'title' not found"],
    ['UPDATE t SET id=2 WHERE id=1', "table t: 'id' attribute cannot be updated"],
    ['UPDATE t SET n=1 WHERE nosuch=1', "table t: no such filter attribute 'nosuch'"],
    ['DELETE FROM t WHERE nosuch=1', "table t: no such filter attribute 'nosuch'"],
    ["SELECT id FROM t WHERE title='x'", "table t: no such filter attribute 'title'"],
    ['SELECT nosuch FROM t', 'table t: parse error: unknown column: nosuch'],
    ['SELECT id FROM t ORDER BY nosuch ASC', "table t: sort-by attribute 'nosuch' not found"],
    ['SELECT id FROM t GROUP BY nosuch', "table t: group-by attribute 'nosuch' not found"],
    ["SELECT id FROM t WHERE REGEX(s,'(')", "invalid regular expression '('"],
    ['SELECT frobnicate(id) FROM t', 'the function FROBNICATE() is not supported by an embedded node'],
  ])('%s is refused, with rows and without', (sql, text) => {
    run('CREATE TABLE t (title text, n int, s string)')
    expect(() => run(sql)).toThrow(text)
    run("INSERT INTO t (id,title) VALUES (1,'a')")
    expect(() => run(sql)).toThrow(text)
    expect(() => run(sql)).toThrow(DaemonError)
  })
})

describe('results', () => {
  test('types of expressions', () => {
    run('CREATE TABLE t (n int, big bigint, f float, s string, j json)')
    expect(
      types(
        'SELECT n+1, n+big, n/2, SUM(n), SUM(f), AVG(f), MIN(n), MAX(s), IF(n=1,2,3) i, j.a, n=1, crc32(s) FROM t GROUP BY n',
      ),
    ).toEqual([
      'n+1: long',
      'n+big: long long',
      'n/2: float',
      'sum(n): long long',
      'sum(f): double',
      'avg(f): double',
      'min(n): long',
      'max(s): string',
      'i: long',
      'j.a: string',
      'n=1: long',
      'crc32(s): long',
    ])
  })

  test('aggregates over nothing are one row of zeros; a group without rows is none', () => {
    run('CREATE TABLE t (n int, s string)')
    const all = 'SELECT COUNT(*) c, SUM(n) s, MIN(id) m, AVG(n) a, s t FROM t'
    expect(rows(all)).toEqual([{ c: 0, s: 0, m: 0, a: 0, t: '' }])
    expect(rows(`${all} GROUP BY n`)).toEqual([])
    run('INSERT INTO t (id,n) VALUES (1,1)')
    expect(rows(`${all} WHERE n>5`)).toEqual([{ c: 0, s: 0, m: 0, a: 0, t: '' }])
  })

  test('aliases: of items in WHERE, ORDER BY and HAVING; columns win in WHERE, aliases in ORDER BY', () => {
    run('CREATE TABLE t (n int)')
    run('INSERT INTO t (id,n) VALUES (1,30),(2,20),(3,10)')
    expect(ids('SELECT id, n+1 AS x FROM t WHERE x>11 ORDER BY x ASC')).toEqual([2, 1])
    expect(rows('SELECT n AS id FROM t WHERE id=2')).toEqual([{ id: 20 }])
    expect(rows('SELECT 0-n AS n FROM t ORDER BY n ASC LIMIT 1')).toEqual([{ n: -30 }])
    expect(rows('SELECT n, COUNT(*) AS c FROM t GROUP BY n HAVING n>10 AND c=1 ORDER BY n ASC')).toEqual([
      { n: 20, c: 1 },
      { n: 30, c: 1 },
    ])
  })

  test('younger statements first among equals, groups by their first row', () => {
    run('CREATE TABLE t (n int)')
    run('INSERT INTO t (id,n) VALUES (5,1),(6,2)')
    run('INSERT INTO t (id,n) VALUES (1,2),(2,1)')
    expect(ids('SELECT id FROM t')).toEqual([1, 2, 5, 6])
    expect(ids('SELECT id FROM t ORDER BY n ASC')).toEqual([2, 5, 1, 6])
    expect(rows('SELECT n FROM t GROUP BY n')).toEqual([{ n: 2 }, { n: 1 }])
  })

  test('a column called __proto__ is a column like others', () => {
    run('CREATE TABLE t (`__proto__` int)')
    run('INSERT INTO t (id,`__proto__`) VALUES (1,5)')
    expect(Object.entries(rows('SELECT * FROM t')[0] ?? {})).toEqual([
      ['id', 1],
      ['__proto__', 5],
    ])
  })
})

describe('full text', () => {
  beforeEach(() => {
    run('CREATE TABLE t (title text, body text, n int)')
    run(
      "INSERT INTO t (id,title,body) VALUES (1,'hello big world','red Café'),(2,'hello world','blue'),(3,'other','hello'),(4,'snake_case x-ray','')",
    )
  })

  test.each([
    ['hello', [1, 2, 3]],
    ['HELLO world', [1, 2]],
    ['"hello world"', [2]],
    ['"hello world"~1', [1, 2]],
    ['blue|red', [1, 2]],
    ['hello blue|red', [1, 2]],
    ['hello -world', [3]],
    ['hello !(blue|other)', [1]],
    ['wor*', [1, 2]],
    ['@title hello', [1, 2]],
    ['@!title hello', [3]],
    ['@(title,body) hello', [1, 2, 3]],
    ['@body hello @title other', [3]],
    ['^other', [3]],
    ['cafe', [1]],
    ['snake_case', [4]],
    ['snake', []],
    ['x-ray', [4]],
    [String.raw`hello\-world`, [1, 2]],
    ['', [1, 2, 3, 4]],
    ['...', [1, 2, 3, 4]],
    ['NOT OR AND', []],
    ['" OR rowid:1', []],
    ['c_title:hello', []],
  ])('MATCH %s', (query, expected) => {
    const escaped = query.replaceAll('\\', '\\\\')
    expect(ids(`SELECT id FROM t WHERE MATCH('${escaped}') ORDER BY id ASC`)).toEqual(expected)
  })

  test.each([
    ['-hello', 'query is non-computable'],
    ['@nosuch hello', "no field 'nosuch' found in schema"],
    ['(hello', "syntax error, unexpected $end, expecting ')'"],
    ['hello)', "syntax error, unexpected ')'"],
    ['*llo', 'not supported by an embedded node'],
    ['a MAYBE b', 'not supported by an embedded node'],
  ])('MATCH %s is refused', (query, text) => {
    expect(() => run(`SELECT id FROM t WHERE MATCH('${query}')`)).toThrow(text)
  })

  test('the index follows inserts, replaces, deletes, columns added and TRUNCATE', () => {
    const found = (word: string): readonly unknown[] =>
      ids(`SELECT id FROM t WHERE MATCH('${word}') AND id>0 ORDER BY id ASC`)
    expect(found('hello')).toEqual([1, 2, 3])
    run("INSERT INTO t (id,title) VALUES (5,'hello again')")
    run("REPLACE INTO t (id,title) VALUES (1,'bye')")
    expect(found('hello')).toEqual([2, 3, 5])
    expect(run("DELETE FROM t WHERE MATCH('hello') AND id<4").total).toBe(2)
    expect(found('hello')).toEqual([5])
    run('ALTER TABLE t ADD COLUMN extra text')
    run("INSERT INTO t (id,extra) VALUES (6,'hello')")
    expect(found('hello')).toEqual([5, 6])
    expect(found('@extra hello')).toEqual([6])
    run('TRUNCATE TABLE t')
    expect(found('hello')).toEqual([])
    run("INSERT INTO t (id,title) VALUES (7,'hello')")
    expect(found('hello')).toEqual([7])
  })

  test('an indexed string is an attribute, too', () => {
    run('CREATE TABLE s (name string attribute indexed)')
    run("INSERT INTO s (id,name) VALUES (1,'red apple')")
    expect(ids("SELECT id FROM s WHERE MATCH('apple') AND name='red apple'")).toEqual([1])
    run("UPDATE s SET name='green pear' WHERE MATCH('apple')")
    expect(ids("SELECT id FROM s WHERE MATCH('apple')")).toEqual([])
    expect(ids("SELECT id FROM s WHERE MATCH('pear')")).toEqual([1])
  })
})

describe('definitions', () => {
  test('ALTER TABLE adds empty columns and takes columns out', () => {
    run('CREATE TABLE t (n int)')
    run('INSERT INTO t (id,n) VALUES (1,5)')
    run('ALTER TABLE t ADD COLUMN s string')
    run('ALTER TABLE t ADD COLUMN m multi')
    expect(rows('SELECT * FROM t')).toEqual([{ id: 1, n: 5, s: '', m: '' }])
    run('ALTER TABLE t DROP COLUMN n')
    run("UPDATE t SET s='x', m=(2,1) WHERE id=1")
    expect(rows('SELECT * FROM t')).toEqual([{ id: 1, s: 'x', m: '1,2' }])
    expect(() => run('ALTER TABLE t ADD COLUMN s int')).toThrow("'s' attribute already in schema")
    expect(() => run('ALTER TABLE t DROP COLUMN n')).toThrow("attribute 'n' does not exist")
    expect(() => run('ALTER TABLE nosuch DROP COLUMN n')).toThrow("'nosuch'")
  })

  test('text fields come first in DESC and SHOW CREATE TABLE; what can be told apart is told', () => {
    run("CREATE TABLE t (n int, a text, b text indexed, c text stored) morphology='stem_en, libstemmer_de'")
    expect(rows('DESC t').map((row) => [row['Field'], row['Properties']])).toEqual([
      ['id', ''],
      ['a', 'indexed stored'],
      ['b', 'indexed'],
      ['c', 'stored'],
      ['n', ''],
    ])
    expect(rows('SHOW CREATE TABLE t')[0]?.['Create Table']).toBe(
      "CREATE TABLE t (\nid bigint,\na text,\nb text indexed,\nc text stored,\nn integer\n) morphology='stem_en, libstemmer_de'",
    )
    expect(types('SELECT * FROM t').map((type) => type.split(':')[0])).toEqual(['id', 'n', 'a', 'c'])
  })

  test('a sharded table hides its layout, and is dropped by force only', () => {
    run(
      "CREATE TABLE u (v int) type='shard' local='system.u_s0' agent='a:1:system.u_s1|b:1:system.u_s1[retry_count=2]'",
    )
    const created = (sql: string): unknown => rows(sql)[0]?.['Create Table']
    expect(created('SHOW CREATE TABLE u')).toBe(
      "CREATE TABLE u (\nid bigint,\nv integer\n) shards='2' rf='2'",
    )
    expect(created('SHOW CREATE TABLE u OPTION force=1')).toContain(
      "type='shard' local='system.u_s0' agent='a:1:system.u_s1|b:1:system.u_s1[retry_count=2]'",
    )
    expect(rows('SHOW TABLES')).toEqual([{ Table: 'u', Type: 'shard' }])
    expect(() => run('SELECT * FROM u')).toThrow(DaemonError)
    expect(() => run('DROP TABLE IF EXISTS u')).toThrow(
      "can not drop table 'u' because it contains system table",
    )
    run('DROP TABLE u OPTION force=1')
    expect(rows('SHOW TABLES')).toEqual([])
  })

  test('LIKE of SHOW TABLES: `_` is any character, nothing else is special', () => {
    run('CREATE TABLE ab (n int)')
    run('CREATE TABLE a_b (n int)')
    const like = (pattern: string): readonly unknown[] =>
      rows(`SHOW TABLES LIKE '${pattern}'`).map((row) => row['Table'])
    expect(like('a_')).toEqual(['ab'])
    expect(like('a%')).toEqual(['a_b', 'ab'])
    expect(like('a.')).toEqual([])
    expect(like('A_B')).toEqual(['a_b'])
  })
})

describe('transactions and the file', () => {
  test('an undone transaction leaves definitions, rows and facts as they were; inner ones undo alone', () => {
    run('CREATE TABLE t (n int)')
    run('INSERT INTO t (id,n) VALUES (1,1)')
    const boom = new Error('boom')
    const outer = (): void =>
      store.transaction(() => {
        run('CREATE TABLE u (n int)')
        run('INSERT INTO u (id,n) VALUES (1,1)')
        run('DROP TABLE t')
        store.setFact('k', '1')
        throw boom
      })
    expect(outer).toThrow(boom)
    expect(store.tables().map((table) => table.name)).toEqual(['t'])
    expect(store.fact('k')).toBeUndefined()
    store.transaction(() => {
      run('INSERT INTO t (id,n) VALUES (2,2)')
      expect(() => run('INSERT INTO t (id,n) VALUES (3,3),(1,1)')).toThrow('duplicate')
      run('CREATE TABLE u (n int)')
    })
    expect(ids('SELECT id FROM t ORDER BY id ASC')).toEqual([1, 2])
    run('INSERT INTO u (id,n) VALUES (1,1)')
    expect(ids('SELECT id FROM u')).toEqual([1])
  })

  test('what was written is there after the node starts again, in the same order', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'store-'))
    const file = path.join(folder, 'node.sqlite')
    store.close()
    store = new SqliteTableStore(file)
    run("CREATE TABLE t (title text, n int) min_infix_len='2'")
    run("INSERT INTO t (id,title,n) VALUES (1,'hello',1)")
    run("INSERT INTO t (id,title,n) VALUES (2,'hello',2)")
    expect(ids("SELECT id FROM t WHERE MATCH('hello')")).toEqual([2, 1])
    store.setFact('clusters', '["c"]')
    const definition = store.table('t')
    store.close()
    store = new SqliteTableStore(file)
    expect(store.table('t')).toEqual(definition)
    expect(store.fact('clusters')).toBe('["c"]')
    run("INSERT INTO t (id,title,n) VALUES (3,'hello',3)")
    expect(ids("SELECT id FROM t WHERE MATCH('hello')")).toEqual([3, 2, 1])
    store.setFact('clusters', undefined)
    expect(store.fact('clusters')).toBeUndefined()
    store.close()
    rmSync(folder, { recursive: true })
  })

  test('scan gives ids from 2^63 on, which are kept as negative ones, and the largest', () => {
    run('CREATE TABLE t (n int)')
    const values = Array.from({ length: 998 }, (_, index) => `(${index + 1},0)`)
    run(
      `INSERT INTO t (id,n) VALUES (18446744073709551615,0),${values.join(',')},(9223372036854775807,0),(9223372036854775808,0)`,
    )
    const scanned = [...store.scan('t', null)].map((row) => row.get('id'))
    expect(scanned.slice(0, 3)).toEqual([-(2n ** 63n), -1, 1])
    expect(scanned.at(-1)).toBe(2n ** 63n - 1n)
    expect(scanned).toHaveLength(1_001)
    run('DELETE FROM t WHERE id=1')
    expect([...store.scan('t', null)]).toHaveLength(1_000)
  })

  test('scan gives every row once by id, in pages, and replaceTable takes them', () => {
    run('CREATE TABLE t (title text, m multi64, j json, f float, big bigint)')
    const values = Array.from(
      { length: 2_500 },
      (_, index) => `(${2_500 - index},'w${index}',(${index},-1),'[${index}]',1.5,9007199254740993)`,
    )
    run(`INSERT INTO t (id,title,m,j,f,big) VALUES ${values.join(',')}`)
    const table = store.table('t')
    if (table === undefined) throw new TypeError('no table')
    const scanned: StoredRow[] = [...store.scan('t', null)]
    expect(scanned.map((row) => row.get('id'))).toEqual(values.map((_, index) => index + 1))
    expect(scanned[0]).toEqual(
      new Map<string, unknown>([
        ['id', 1],
        ['title', 'w2499'],
        ['m', [-1, 2_499]],
        ['j', '[2499]'],
        ['f', 1.5],
        ['big', 9_007_199_254_740_993n],
      ]),
    )
    const copy = new SqliteTableStore(':memory:')
    copy.create({ name: 't', kind: 'rt', columns: [], options: [] })
    copy.replaceTable(table, scanned)
    expect([...copy.scan('t', null)]).toEqual(scanned)
    copy.close()
    expect(run('DELETE FROM t WHERE id>100').total).toBe(2_400)
    expect([...store.scan('t', null)]).toHaveLength(100)
  })
})
