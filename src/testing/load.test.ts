import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../app/runtime.ts'
import type { Clock } from '../domain/ports.ts'
import type { Row } from '../domain/values.ts'
import { shardTableName } from '../domain/words.ts'
import { EmbeddedCluster } from '../embedded/index.ts'
import { Table } from '../library/table.ts'
import { type Member, openMember } from '../../test/support/member.ts'
import { insertRow, LOAD_STRUCTURE } from './load-rows.ts'
import { Load, type LoadOptions, type LoadReport } from './load.ts'

const SHARDS = 3
const NOTHING_WRONG = { missing: [], doubled: [], foreign: [], changed: [] }

let cluster: EmbeddedCluster
let member: Member
let nodes: readonly string[]
let tables = 0
const running: Load[] = []

beforeEach(async () => {
  cluster = await EmbeddedCluster.start({
    nodes: 3,
    cluster: 'c',
    dataDir: ':memory:',
    failureDetectionMs: 50,
  })
  nodes = cluster.nodes.map(({ id }) => id)
  member = openMember(nodes)
})

afterEach(async () => {
  for (const load of running.splice(0)) await load.stop()
  await member.close()
  await cluster.close()
})

async function newTable(rf: number): Promise<string> {
  tables += 1
  const name = `t${tables}`
  await new Table(member.client, member.cluster, name, LOAD_STRUCTURE).shard(member.queue, SHARDS, rf)
  return name
}

/** A load, and a way to wait for what becomes true while its clients pause. */
function startLoad(
  table: string,
  options: Partial<LoadOptions> = {},
): { load: Load; until: (holds: (load: Load) => boolean) => Promise<void> } {
  const waiting = new Set<() => void>()
  const clock: Clock = {
    now: () => systemClock.now(),
    sleep: async (ms, signal) => {
      for (const look of waiting) look()
      // What is waited for before a further try need not be waited for here.
      await systemClock.sleep(Math.min(ms, 2), signal)
    },
  }
  const { connector } = member.client.parts
  const load = Load.start({ connector, clock, nodes, table, ...options })
  running.push(load)
  const until = async (holds: (load: Load) => boolean): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const look = () => {
      if (!holds(load)) return
      waiting.delete(look)
      resolve()
    }
    waiting.add(look)
    await promise
  }
  return { load, until }
}

/** A load that has written `rows` rows or more and has stopped, with the report that it ended with. */
async function finishedLoad(
  table: string,
  rows: number,
  options: Partial<LoadOptions> = {},
): Promise<{ load: Load; report: LoadReport }> {
  const { load, until } = startLoad(table, options)
  await until(({ acknowledged }) => acknowledged >= rows)
  return { load, report: await load.stop() }
}

async function run(node: string, sql: string): Promise<readonly Row[]> {
  return (await cluster.node(node).query(sql)).rows
}

/** The node and table of every shard of a table with one copy of each. */
async function shardsOf(table: string): Promise<{ node: string; shard: string; ids: number[] }[]> {
  const found: { node: string; shard: string; ids: number[] }[] = []
  for (const node of nodes) {
    const held = await member.client.parts.catalog.tables(node)
    for (let number = 0; number < SHARDS; number++) {
      const shard = shardTableName(table, number)
      if (!held.has(shard)) continue
      const rows = await run(node, `SELECT id FROM ${shard} ORDER BY id ASC LIMIT 1000`)
      found.push({ node, shard, ids: rows.map(({ id }) => Number(id)) })
    }
  }
  return found
}

/** Kills a node. Replica sets of two then go on with the member that is left. */
async function lose(victim: string): Promise<void> {
  await cluster.crash(victim)
  const memberships = () => cluster.nodes.flatMap(({ process }) => [...(process?.memberships.values() ?? [])])
  await cluster.until(
    () => memberships().every(({ view }) => !view.members.includes(victim)),
    AbortSignal.timeout(10_000),
  )
  for (const { node, cluster: name, view } of memberships()) {
    if (!view.primary) await run(node, `SET CLUSTER ${name} GLOBAL 'pc.bootstrap' = 1`)
  }
}

async function bringBack(victim: string): Promise<void> {
  await cluster.restart(victim)
  await cluster.untilSynced(AbortSignal.timeout(10_000))
}

const first = () => nodes[0] ?? ''
const last = () => nodes.at(-1) ?? ''

describe('a load on a healthy cluster', () => {
  it('finds nothing wrong, through any node', async () => {
    const { load, report } = await finishedLoad(await newTable(2), 150)
    expect(report).toMatchObject({ failedRequests: 0, longestGapMs: 0, failures: [], wrongCounts: [] })
    expect(report.acknowledged).toBe(load.acknowledged)
    expect(report.acknowledged).toBeGreaterThanOrEqual(150)
    expect(report.updates).toBeGreaterThanOrEqual(20)
    expect(report.reads).toBeGreaterThan(0)
    for (const node of nodes) expect(await load.verify(node)).toEqual(NOTHING_WRONG)
  })

  it('gives ids without gaps from the first one on, and writes nothing after it has stopped', async () => {
    const table = await newTable(1)
    const { report } = await finishedLoad(table, 30, { firstId: 5_000, writers: 4 })
    const rows = await run(first(), `SELECT MIN(id) l, MAX(id) h, COUNT(*) c FROM ${table}`)
    const { acknowledged } = report
    expect(rows).toEqual([{ l: 5_000, h: 4_999 + acknowledged, c: acknowledged }])
  })

  it('moves over to other nodes', async () => {
    const used = new Set<string>()
    const { connector } = member.client.parts
    const watched: LoadOptions['connector'] = {
      connection: (node) => {
        used.add(node)
        return connector.connection(node)
      },
      close: async () => await Promise.resolve(),
    }
    const { load, until } = startLoad(await newTable(2), { connector: watched, nodes: [first()] })
    await until(({ acknowledged }) => acknowledged >= 10)
    expect([...used]).toEqual([first()])
    load.setNodes([last()])
    used.clear()
    await until(({ acknowledged }) => acknowledged >= 20)
    expect([...used]).toEqual([last()])
    const report = await load.stop()
    expect(report.wrongCounts).toEqual([])
    expect(await load.verify(first())).toEqual(NOTHING_WRONG)
  })

  it('refuses what makes no load, and a proof before the end', async () => {
    const { load } = startLoad(await newTable(1))
    await expect(load.verify(first())).rejects.toThrow('await stop() first')
    expect(() => load.setNodes([])).toThrow('at least one node')
    expect(() => startLoad('t', { nodes: [] })).toThrow('at least one node')
    expect(() => startLoad('t', { updateEvery: 1 })).toThrow('updateEvery is 1')
    expect(() => startLoad('No Table')).toThrow('No Table')
  })
})

describe('a load of which a node dies', () => {
  it('counts failures and the gap, and misses no acknowledged row of two copies', async () => {
    const table = await newTable(2)
    const { load, until } = startLoad(table)
    await until(({ acknowledged }) => acknowledged >= 50)
    const victim = last()
    const crashedAt = systemClock.now()
    await lose(victim)
    const before = load.acknowledged
    await until(({ acknowledged }) => acknowledged >= before + 50)
    await bringBack(victim)
    const restartedAt = systemClock.now()
    const after = load.acknowledged
    await until(({ acknowledged }) => acknowledged >= after + 50)
    const report = await load.stop()
    const ofVictim = report.failures.filter(({ node }) => node === victim)
    expect(ofVictim.length).toBeGreaterThan(0)
    expect(ofVictim[0]?.firstAt).toBeGreaterThanOrEqual(crashedAt)
    expect(ofVictim.map(({ text }) => text).join()).not.toContain('INSERT')
    expect(report.failedRequests).toBe(report.failures.reduce((sum, { count }) => sum + count, 0))
    expect(report.longestGapMs).toBeGreaterThan(0)
    expect(report.longestGapMs).toBeLessThan(systemClock.now() - crashedAt)
    expect(report.longestGapMs).toBeGreaterThan((restartedAt - crashedAt) / 10)
    for (const node of nodes) expect(await load.verify(node)).toEqual(NOTHING_WRONG)
  })

  it('takes a count without the shards of a dead node for a failed request', async () => {
    const table = await newTable(1)
    const { load, until } = startLoad(table, { nodes: [first()] })
    await until(({ acknowledged }) => acknowledged >= 30)
    await cluster.crash(last())
    const before = load.acknowledged
    await until(({ acknowledged }) => acknowledged >= before + 30)
    const report = await load.stop()
    expect(report.failures.some(({ text }) => text.includes(`agent ${last()}: connect`))).toBe(true)
    expect(report.wrongCounts).toEqual([])
    await expect(load.verify(first())).rejects.toThrow('answered only in part')
    await bringBack(last())
    expect(await load.verify(first())).toEqual(NOTHING_WRONG)
  })
})

describe('a load with requests that have no answer', () => {
  it('takes writes that may have happened for both, and those refused for neither', async () => {
    const isWrite = (kind: string) => kind === 'insert' || kind === 'update'
    for (const effect of [
      { kind: 'lose_request' },
      { kind: 'lose_reply' },
      { kind: 'error_before', message: 'not today' },
    ] as const) {
      const table = await newTable(2)
      let seen = 0
      cluster.faults.add({ when: ({ kind }) => isWrite(kind) && seen++ % 7 === 6, effect, times: 10 })
      const { load, report } = await finishedLoad(table, 100)
      expect(report.failedRequests, effect.kind).toBe(10)
      expect(report.wrongCounts, effect.kind).toEqual([])
      expect(await load.verify(first()), effect.kind).toEqual(NOTHING_WRONG)
    }
  })

  it('finds a row that was refused and is there all the same', async () => {
    const table = await newTable(1)
    let id = 0
    cluster.faults.add({
      when: (statement) => {
        if (statement.kind === 'insert') id = Number(statement.rows[0]?.[0])
        return statement.kind === 'insert'
      },
      effect: { kind: 'error_after', message: 'no' },
    })
    const { load, report } = await finishedLoad(table, 20, { writers: 1, readers: 0 })
    expect(report.failures).toMatchObject([{ node: first(), text: 'no', count: 1 }])
    expect(id).toBeGreaterThan(0)
    expect(await load.verify(first())).toEqual({ ...NOTHING_WRONG, foreign: [1] })
  })
})

describe('the proof of a load', () => {
  it('misses a row that was deleted behind its back, and an update that was undone', async () => {
    const table = await newTable(2)
    const { load } = await finishedLoad(table, 60)
    await run(first(), `DELETE FROM ${table} WHERE id=7`)
    await run(first(), `UPDATE ${table} SET n=123456 WHERE id=9`)
    await run(first(), `REPLACE INTO ${table} (id, title, n) VALUES (11, 'another title', 341)`)
    await run(first(), `INSERT INTO ${table} (id, title, n) VALUES (999999, 'a stranger', 1)`)
    expect(await load.verify(last())).toEqual({
      missing: [7],
      doubled: [],
      foreign: [999_999],
      changed: [9, 11],
    })
  })

  it('looks again before a row is missing: a node may leave out a shard without a word', async () => {
    const { connector } = member.client.parts
    let hides = 0
    const hiding: LoadOptions['connector'] = {
      connection: (node) => {
        const inner = connector.connection(node)
        const read: typeof inner.read = async (sql, options) => {
          const reply = await inner.read(sql, options)
          if (hides === 0 || !sql.includes('ORDER BY')) return reply
          hides -= 1
          return { ...reply, rows: reply.rows.filter(({ id }) => Number(id) % SHARDS > 0) }
        }
        return { node, read, execute: inner.execute.bind(inner), close: inner.close.bind(inner) }
      },
      close: async () => await Promise.resolve(),
    }
    const { load } = await finishedLoad(await newTable(2), 60, { connector: hiding })
    hides = 3
    expect(await load.verify(first())).toEqual(NOTHING_WRONG)
    expect(hides).toBe(0)
    hides = 1_000
    expect((await load.verify(first())).missing).toContain(SHARDS)
  })

  it('finds the rows that are in two shards', async () => {
    const table = await newTable(1)
    const { load } = await finishedLoad(table, 60, { updateEvery: 1_000_000 })
    const shards = await shardsOf(table)
    expect(shards.length).toBe(SHARDS)
    const doubled = [3, 4, 40]
    for (const id of doubled) {
      const other = shards.find(({ ids }) => !ids.includes(id))
      await run(other?.node ?? '', insertRow(other?.shard ?? '', id))
    }
    for (const node of nodes) expect(await load.verify(node)).toEqual({ ...NOTHING_WRONG, doubled })
  })

  it('reads all pages', async () => {
    const table = await newTable(1)
    const { load } = await finishedLoad(table, 2_100, { writers: 12, readers: 0, pauseMs: 0 })
    await run(first(), `DELETE FROM ${table} WHERE id=2050`)
    expect(await load.verify(first())).toEqual({ ...NOTHING_WRONG, missing: [2_050] })
  })
})

describe('the counts of a load', () => {
  it('are wrong when acknowledged rows are gone, or rows of others are there', async () => {
    const table = await newTable(2)
    const { load, until } = startLoad(table)
    await until(({ acknowledged }) => acknowledged >= 50)
    await run(first(), `DELETE FROM ${table} WHERE id IN (1,2,3,4,5,6,7,8,9,10,11,12)`)
    const before = load.acknowledged
    await until(({ acknowledged }) => acknowledged >= before + 20)
    const report = await load.stop()
    expect(report.wrongCounts.length).toBeGreaterThan(0)
    expect(report.wrongCounts.every(({ found, expectedMin }) => found < expectedMin)).toBe(true)
    expect(nodes).toContain(report.wrongCounts[0]?.node)

    const other = await newTable(2)
    const strangers = Array.from({ length: 30 }, (_, index) => `(${900_000 + index}, 'x', 1)`)
    await run(first(), `INSERT INTO ${other} (id, title, n) VALUES ${strangers.join(', ')}`)
    const crowded = await finishedLoad(other, 20)
    expect(crowded.report.wrongCounts.length).toBeGreaterThan(0)
    expect(crowded.report.wrongCounts.length).toBeLessThanOrEqual(100)
    expect(crowded.report.wrongCounts.every(({ found, expectedMax }) => found > expectedMax)).toBe(true)
  })

  it('may be behind by the time that writes may take to settle', async () => {
    const table = await newTable(2)
    const { load, until } = startLoad(table, { settleMs: 60_000 })
    await until(({ acknowledged }) => acknowledged >= 50)
    await run(first(), `DELETE FROM ${table} WHERE id IN (1,2,3,4,5,6,7,8,9,10,11,12)`)
    const before = load.acknowledged
    await until(({ acknowledged }) => acknowledged >= before + 20)
    expect(await load.stop()).toMatchObject({ wrongCounts: [], updates: 0, failedRequests: 0 })
  })

  it('that are refused are failed requests of their node', async () => {
    const table = await newTable(2)
    const fault = cluster.faults.add({
      node: first(),
      when: ({ kind }) => kind === 'select',
      effect: { kind: 'error_before', message: 'too tired to count' },
      times: 3,
    })
    const { load, until } = startLoad(table, { writers: 0, readers: 1 })
    await until(() => fault.hits === 3)
    const report = await load.stop()
    expect(report.failures).toMatchObject([{ node: first(), text: 'too tired to count', count: 3 }])
    expect(report.failedRequests).toBe(3)
    expect(report.wrongCounts).toEqual([])
  })
})
