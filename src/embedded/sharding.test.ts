import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { EmbeddedCluster, VirtualClock } from './index.ts'
import type { StatementResult } from './store.ts'

let cluster: EmbeddedCluster
let clock: VirtualClock

beforeEach(async () => {
  clock = new VirtualClock()
  cluster = await EmbeddedCluster.start({
    nodes: 3,
    dataDir: ':memory:',
    listen: false,
    clock,
    failureDetectionMs: 5_000,
  })
})

afterEach(async () => {
  await cluster.close()
})

async function query(index: number, sql: string): Promise<StatementResult> {
  const node = cluster.nodes[index]
  if (node === undefined) throw new Error(`no node ${index}`)
  return await clock.run(node.query(withNodes(sql)))
}

function withNodes(sql: string): string {
  return sql.replaceAll(/\{n(\d)\}/gu, (_match, index) => cluster.nodes[Number(index)]?.id ?? '')
}

async function crash(index: number): Promise<void> {
  await cluster.crash(withNodes(`{n${index}}`))
}

/** Shard `s` of a table with one copy on node `s`; the sharded table is on every node. */
async function createSpread(name: string, columns: string): Promise<void> {
  for (const shard of [0, 1, 2]) await query(shard, `CREATE TABLE system.${name}_s${shard} (${columns})`)
  for (const node of [0, 1, 2]) {
    const targets = [2, 0, 1].map((shard) =>
      shard === node ? `local='system.${name}_s${shard}'` : `agent='{n${shard}}:system.${name}_s${shard}'`,
    )
    await query(node, `CREATE TABLE ${name} (${columns}) type='shard' ${targets.join(' ')}`)
  }
}

/** Two shards, both on nodes 0 and 1 in one replication cluster. */
async function createMirrored(name: string, columns: string): Promise<void> {
  for (const node of [0, 1]) await query(node, 'CREATE TABLE system.rs (x int)')
  await query(0, "CREATE CLUSTER rs 'system.rs' as path")
  await query(1, "JOIN CLUSTER rs AT '{n0}' 'system.rs' as path")
  for (const shard of [0, 1]) await query(0, `CREATE TABLE system.${name}_s${shard} (${columns})`)
  await query(0, `ALTER CLUSTER rs ADD system.${name}_s0, system.${name}_s1`)
  const agents = [0, 1].map(
    (shard) =>
      `agent='{n0}:system.${name}_s${shard}|{n1}:system.${name}_s${shard}[retry_count=2,ha_strategy=noerrors]'`,
  )
  for (const node of [0, 1, 2]) {
    await query(node, `CREATE TABLE ${name} (${columns}) type='shard' ${agents.join(' ')}`)
  }
}

const VALUES = Array.from(
  { length: 50 },
  (_value, index) => `(${index + 1}, 'word${index % 5} all', ${index})`,
)

describe('reads over shards', () => {
  beforeEach(async () => {
    await createSpread('w', 'title text, v int')
    await query(1, `INSERT INTO w (id, title, v) VALUES ${VALUES.join(', ')}`)
  })

  it('are the same from every node, whatever the order of the shards in its definition', async () => {
    for (const node of [0, 1, 2]) {
      const { rows, total } = await query(
        node,
        'SELECT id, v FROM w WHERE v >= 10 ORDER BY v DESC LIMIT 3 OFFSET 1',
      )
      expect(rows).toEqual([
        { id: 49, v: 48 },
        { id: 48, v: 47 },
        { id: 47, v: 46 },
      ])
      expect(total).toBe(3)
    }
  })

  it('aggregate over all shards', async () => {
    const { rows } = await query(0, 'SELECT COUNT(*) c, SUM(v) s, MIN(v) l, MAX(v) h FROM w')
    expect(rows).toEqual([{ c: 50, s: 1_225, l: 0, h: 49 }])
    // The one row that matches is in one shard; MIN of the empty ones must not be 0.
    expect((await query(0, 'SELECT MIN(v), COUNT(*) FROM w WHERE v=7')).rows).toEqual([
      { 'min(v)': 7, 'count(*)': 1 },
    ])
    expect((await query(2, 'SELECT AVG(v) a FROM w')).rows).toEqual([{ a: 24.5 }])
    expect((await query(2, 'SELECT COUNT(DISTINCT v) d FROM w')).rows).toEqual([{ d: 50 }])
  })

  it('group, sort and cut over all shards', async () => {
    const sql = 'SELECT v%5 r, COUNT(*) c, MAX(id) m FROM w GROUP BY r ORDER BY m DESC LIMIT 2'
    expect((await query(0, sql)).rows).toEqual([
      { r: 4, c: 10, m: 50 },
      { r: 3, c: 10, m: 49 },
    ])
  })

  it('give 20 rows without LIMIT, and as many as asked for with it', async () => {
    expect((await query(0, 'SELECT id FROM w')).total).toBe(20)
    expect((await query(0, 'SELECT * FROM w ORDER BY id ASC LIMIT 5000')).total).toBe(50)
  })

  it('search in the shards', async () => {
    const { rows } = await query(0, "SELECT id FROM w WHERE MATCH('word3') AND v < 20 ORDER BY id ASC")
    expect(rows).toEqual([{ id: 4 }, { id: 9 }, { id: 14 }, { id: 19 }])
    expect((await query(1, "SELECT COUNT(*) c FROM w WHERE MATCH('all')")).rows).toEqual([{ c: 50 }])
  })

  it('go without a shard that is down, and say so; nothing left is an error', async () => {
    const all = Number((await query(1, 'SELECT COUNT(*) c FROM w')).rows[0]?.['c'])
    const lost = Number((await query(0, 'SELECT COUNT(*) c FROM system.w_s0')).rows[0]?.['c'])
    await crash(0)
    const { rows, warning } = await query(1, 'SELECT COUNT(*) c FROM w')
    expect(rows).toEqual([{ c: all - lost }])
    expect(warning).toContain(withNodes('agent {n0}'))
    await expect(query(1, 'SELECT nosuch FROM w')).rejects.toThrow('nosuch')
  })
})

describe('writes over shards', () => {
  it('change the rows that a condition or an id names, and count them', async () => {
    await createSpread('w', 'title text, v int')
    await query(0, `INSERT INTO w (id, title, v) VALUES ${VALUES.join(', ')}`)
    expect((await query(1, 'UPDATE w SET v=100 WHERE v >= 40')).total).toBe(10)
    expect((await query(2, 'UPDATE w SET v=7 WHERE id IN (50, 49, 99)')).total).toBe(2)
    expect((await query(2, 'DELETE FROM w WHERE v=100')).total).toBe(8)
    expect((await query(0, 'DELETE FROM w WHERE id=1')).total).toBe(1)
    expect((await query(0, 'SELECT COUNT(*) c FROM w')).rows).toEqual([{ c: 41 }])
  })

  it('give rows an id that have none', async () => {
    await createSpread('w', 'v int')
    expect((await query(0, 'INSERT INTO w (v) VALUES (1), (2), (3)')).total).toBe(3)
    expect((await query(1, 'SELECT COUNT(*) c, MIN(id) > 0 p FROM w')).rows[0]?.['c']).toBe(3)
  })

  it('fail when the shard has no live copy', async () => {
    await createSpread('w', 'v int')
    await crash(0)
    await expect(query(1, 'INSERT INTO w (id, v) VALUES (6, 1)')).rejects.toThrow(
      withNodes("remote table 'system.w_s0' at {n0} failed:"),
    )
    expect((await query(1, 'INSERT INTO w (id, v) VALUES (1, 1)')).total).toBe(1)
  })

  it('go to one live mirror and are on all of them', async () => {
    await createMirrored('m', 'v int')
    expect((await query(2, 'INSERT INTO m (id, v) VALUES (1, 1), (2, 2), (3, 3), (4, 4)')).total).toBe(4)
    for (const node of [0, 1]) {
      for (const shard of [0, 1]) {
        expect((await query(node, `SELECT COUNT(*) c FROM system.m_s${shard}`)).rows).toEqual([{ c: 2 }])
      }
    }
  })

  it('a dead mirror costs reads nothing, and writes only the quorum of its set', async () => {
    await createMirrored('m', 'v int')
    await query(2, 'INSERT INTO m (id, v) VALUES (1, 1), (2, 2), (3, 3), (4, 4)')
    await crash(0)
    expect(await query(2, 'SELECT COUNT(*) c FROM m')).toMatchObject({ rows: [{ c: 4 }], warning: '' })
    await expect(query(2, 'UPDATE m SET v=9 WHERE id=1')).rejects.toThrow(
      withNodes("at {n1} failed: remote error: cluster 'rs' is not ready, not primary state"),
    )
    await query(1, "SET CLUSTER rs GLOBAL 'pc.bootstrap' = 1")
    expect((await query(2, 'UPDATE m SET v=9 WHERE id=1')).total).toBe(1)
  })
})

describe('an online move', () => {
  it('from one node to another loses no row and refuses none but in the gaps', async () => {
    await query(0, 'CREATE TABLE system.t_s0 (v int)')
    const define = async (agents: string): Promise<void> => {
      for (const node of [0, 1, 2]) {
        await query(node, 'DROP TABLE IF EXISTS t OPTION force=1')
        await query(node, `CREATE TABLE t (v int) type='shard' agent='${agents}'`)
      }
    }
    let written = 0
    const write = async (): Promise<void> => {
      written += 1
      await query(2, `INSERT INTO t (id, v) VALUES (${written}, ${written})`)
    }
    await define('{n0}:system.t_s0')
    await write()
    for (const node of [0, 1]) await query(node, 'CREATE TABLE system.move (x int)')
    await query(0, "CREATE CLUSTER move 'system.move' as path")
    await query(0, 'ALTER CLUSTER move ADD system.t_s0')
    await write()
    await query(1, "JOIN CLUSTER move AT '{n0}' 'system.move' as path")
    await write()
    await define('{n0}:system.t_s0|{n1}:system.t_s0')
    await write()
    await define('{n1}:system.t_s0')
    await write()
    await query(0, 'EXIT CLUSTER move')
    await query(0, 'DROP TABLE system.t_s0')
    await write()
    expect((await query(0, 'SELECT COUNT(*) c, MAX(v) m FROM t')).rows).toEqual([{ c: written, m: written }])
  })
})

describe('speed', () => {
  it('10,000 rows go over four shards in batches of 500', async () => {
    for (const shard of [0, 1, 2, 3])
      await query(shard % 3, `CREATE TABLE system.big_s${shard} (title text, v int)`)
    const agents = [0, 1, 2, 3].map((shard) => `agent='{n${shard % 3}}:system.big_s${shard}'`)
    await query(0, `CREATE TABLE big (title text, v int) type='shard' ${agents.join(' ')}`)
    const begun = performance.now()
    for (let first = 1; first <= 10_000; first += 500) {
      const rows = Array.from(
        { length: 500 },
        (_row, index) => `(${first + index}, 'some words ${index}', ${index})`,
      )
      await query(0, `INSERT INTO big (id, title, v) VALUES ${rows.join(', ')}`)
    }
    const insertedMs = performance.now() - begun
    expect((await query(0, 'SELECT COUNT(*) c FROM big')).rows).toEqual([{ c: 10_000 }])
    expect(insertedMs).toBeLessThan(4_000)
  })
})
