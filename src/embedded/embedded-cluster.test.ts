import { afterEach, describe, expect, it } from 'vitest'
import type { NodeId } from '../domain/words.ts'
import { EmbeddedCluster, type EmbeddedClusterOptions, VirtualClock } from './index.ts'

const DETECTION_MS = 5_000

const NOT_PRIMARY = "cluster 'c' is not ready, not primary state"

const CONFLICT = 'DaemonError: error at PostRollback, code 3 (transaction aborted, server can continue)'

let clusters: EmbeddedCluster[] = []
let clock = new VirtualClock()

afterEach(async () => {
  for (const cluster of clusters) await cluster.close()
  clusters = []
})

/** A cluster in memory, on a virtual clock, with a replicated table `a (v int)` on all nodes. */
async function startCluster(options: EmbeddedClusterOptions = {}): Promise<EmbeddedCluster> {
  clock = new VirtualClock()
  const cluster = await clock.run(
    EmbeddedCluster.start({
      nodes: 3,
      cluster: 'c',
      dataDir: ':memory:',
      listen: false,
      failureDetectionMs: DETECTION_MS,
      clock,
      ...options,
    }),
  )
  clusters.push(cluster)
  await query(cluster, 0, 'CREATE TABLE a (v int)')
  await query(cluster, 0, 'INSERT INTO a (id, v) VALUES (1, 1)')
  await query(cluster, 0, 'ALTER CLUSTER c ADD a')
  return cluster
}

function idOf(cluster: EmbeddedCluster, index: number): NodeId {
  return cluster.nodes[index]?.id ?? ''
}

async function query(cluster: EmbeddedCluster, index: number, sql: string) {
  return await clock.run(cluster.node(idOf(cluster, index)).query(sql))
}

async function value(cluster: EmbeddedCluster, index: number, sql: string): Promise<unknown> {
  const { rows } = await query(cluster, index, sql)
  return Object.values(rows[0] ?? {})[0]
}

async function status(cluster: EmbeddedCluster, index: number, counter: string): Promise<unknown> {
  const { rows } = await query(cluster, index, `SHOW STATUS LIKE 'cluster_c_${counter}'`)
  return rows[0]?.['Value']
}

async function synced(cluster: EmbeddedCluster): Promise<void> {
  await clock.run(cluster.untilSynced(new AbortController().signal))
}

describe('quorum', () => {
  it('a cluster of three goes on without one, and notices only after the detection delay', async () => {
    const cluster = await startCluster()
    await cluster.crash(idOf(cluster, 2))
    expect(await status(cluster, 0, 'size')).toBe('3')
    await clock.advance(DETECTION_MS)
    expect(await status(cluster, 0, 'size')).toBe('2')
    expect(await status(cluster, 0, 'nodes_set')).toBe(cluster.nodes.map((node) => node.id).join(','))
    expect(await status(cluster, 0, 'nodes_view')).not.toContain(`${idOf(cluster, 2)},`)
    expect((await query(cluster, 1, 'INSERT INTO c:a (id, v) VALUES (2, 2)')).total).toBe(1)
    expect(await value(cluster, 0, 'SELECT COUNT(*) FROM a')).toBe(2)
  })

  it('a write waits until a dead member is given up, and is then on all that are left', async () => {
    const cluster = await startCluster()
    await cluster.crash(idOf(cluster, 2))
    const before = clock.now()
    await query(cluster, 0, 'INSERT INTO c:a (id, v) VALUES (2, 2)')
    expect(clock.now() - before).toBe(DETECTION_MS)
    expect(await value(cluster, 1, 'SELECT COUNT(*) FROM a')).toBe(2)
  })

  it('the survivor of two reads, does not write, and is primary again after pc.bootstrap', async () => {
    const cluster = await startCluster({ nodes: 2 })
    await cluster.crash(idOf(cluster, 1))
    await clock.advance(DETECTION_MS)
    expect(await status(cluster, 0, 'status')).toBe('non-primary')
    expect(await value(cluster, 0, 'SELECT COUNT(*) FROM a')).toBe(1)
    await expect(query(cluster, 0, 'UPDATE c:a SET v=2 WHERE id=1')).rejects.toThrow(NOT_PRIMARY)
    await query(cluster, 0, "SET CLUSTER c GLOBAL 'pc.bootstrap' = 1")
    expect(await status(cluster, 0, 'status')).toBe('primary')
    expect((await query(cluster, 0, 'UPDATE c:a SET v=2 WHERE id=1')).total).toBe(1)
  })

  it('a stop in good order leaves the quorum to the others', async () => {
    const cluster = await startCluster({ nodes: 2 })
    await cluster.stop(idOf(cluster, 1))
    expect(await status(cluster, 0, 'status')).toBe('primary')
    expect((await query(cluster, 0, 'INSERT INTO c:a (id, v) VALUES (2, 2)')).total).toBe(1)
  })

  it('the smaller side of a partition does not write, and gets the missed writes when it heals', async () => {
    const cluster = await startCluster()
    cluster.partition([[idOf(cluster, 0)]])
    await clock.advance(DETECTION_MS)
    await expect(query(cluster, 0, 'INSERT INTO c:a (id, v) VALUES (8, 8)')).rejects.toThrow(NOT_PRIMARY)
    await query(cluster, 1, 'INSERT INTO c:a (id, v) VALUES (2, 2)')
    expect(await value(cluster, 0, 'SELECT COUNT(*) FROM a')).toBe(1)
    cluster.heal()
    await synced(cluster)
    expect(await value(cluster, 0, 'SELECT COUNT(*) FROM a')).toBe(2)
    expect(await status(cluster, 2, 'size')).toBe('3')
  })

  it('two halves that meet again are primary as before; a short cut is not noticed at all', async () => {
    const cluster = await startCluster({ nodes: 2 })
    cluster.blockLink(idOf(cluster, 0), idOf(cluster, 1))
    await clock.advance(DETECTION_MS)
    expect(await status(cluster, 0, 'status')).toBe('non-primary')
    expect(await status(cluster, 1, 'status')).toBe('non-primary')
    cluster.heal()
    expect(await status(cluster, 0, 'status')).toBe('primary')
    expect(await status(cluster, 1, 'size')).toBe('2')
    const confId = await status(cluster, 0, 'conf_id')
    cluster.partition([[idOf(cluster, 0)]])
    await clock.advance(DETECTION_MS - 1)
    cluster.heal()
    expect(await status(cluster, 0, 'conf_id')).toBe(confId)
  })

  it('a bootstrap goes on from the most advanced member in reach, not from the one it was sent to', async () => {
    const cluster = await startCluster()
    cluster.partition([[idOf(cluster, 0)]])
    await query(cluster, 1, 'INSERT INTO c:a (id, v) VALUES (2, 2)')
    await cluster.crash(idOf(cluster, 2))
    await clock.advance(DETECTION_MS)
    cluster.heal()
    expect(await status(cluster, 0, 'status')).toBe('non-primary')
    expect(await status(cluster, 1, 'status')).toBe('non-primary')
    await query(cluster, 0, "SET CLUSTER c GLOBAL 'pc.bootstrap' = 1")
    await synced(cluster)
    expect(await value(cluster, 0, 'SELECT COUNT(*) FROM a')).toBe(2)
  })

  it('members that were bootstrapped on both sides of a partition never become one', async () => {
    const cluster = await startCluster({ nodes: 2 })
    cluster.partition([[idOf(cluster, 0)]])
    await clock.advance(DETECTION_MS)
    await query(cluster, 0, "SET CLUSTER c GLOBAL 'pc.bootstrap' = 1")
    await query(cluster, 1, "SET CLUSTER c GLOBAL 'pc.bootstrap' = 1")
    cluster.heal()
    expect(await status(cluster, 0, 'size')).toBe('1')
    expect(await status(cluster, 1, 'size')).toBe('1')
  })
})

describe('writes', () => {
  it('of three conditional updates at once exactly one wins, in 50 of 50 rounds', async () => {
    const cluster = await startCluster()
    for (let epoch = 1; epoch <= 50; epoch += 1) {
      const outcomes = await clock.run(
        Promise.allSettled(
          cluster.nodes.map((node) => node.query(`UPDATE c:a SET v=${epoch + 1} WHERE id=1 AND v=${epoch}`)),
        ),
      )
      const totals = outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value.total : 0))
      expect(totals.toSorted((a, b) => a - b)).toEqual([0, 0, 1])
      const refusals = outcomes.flatMap((outcome) =>
        outcome.status === 'rejected' ? [String(outcome.reason)] : [],
      )
      expect(new Set([...refusals, CONFLICT])).toEqual(new Set([CONFLICT]))
      for (const index of [0, 1, 2]) {
        expect(await value(cluster, index, 'SELECT v FROM a WHERE id=1')).toBe(epoch + 1)
      }
    }
  })

  it('of three inserts of one id at once exactly one wins, and the others are duplicates', async () => {
    const cluster = await startCluster()
    const outcomes = await clock.run(
      Promise.allSettled(
        cluster.nodes.map((node, index) => node.query(`INSERT INTO c:a (id, v) VALUES (7, ${index})`)),
      ),
    )
    expect(outcomes.filter((outcome) => outcome.status === 'fulfilled')).toHaveLength(1)
    const reasons = outcomes
      .filter((outcome) => outcome.status === 'rejected')
      .map(({ reason }) => String(reason))
    expect(reasons).toEqual(Array.from({ length: 2 }, () => "DaemonError: duplicate id '7'"))
  })

  it('rows without an id get the same one on every member', async () => {
    const cluster = await startCluster()
    await query(cluster, 1, 'INSERT INTO c:a (v) VALUES (100), (101)')
    const rows = await Promise.all(
      [0, 1, 2].map(async (index) => (await query(cluster, index, 'SELECT * FROM a ORDER BY id ASC')).rows),
    )
    expect(rows[0]).toHaveLength(3)
    expect(rows[1]).toEqual(rows[0])
    expect(rows[2]).toEqual(rows[0])
  })
})

describe('membership', () => {
  it("ADD puts the executing node's rows over everybody else's", async () => {
    const cluster = await startCluster()
    for (const index of [0, 1]) {
      await query(cluster, index, 'CREATE TABLE b (v int)')
      await query(cluster, index, `INSERT INTO b (id, v) VALUES (${index + 1}, ${index})`)
    }
    await query(cluster, 1, 'ALTER CLUSTER c ADD b')
    for (const index of [0, 1, 2]) {
      expect((await query(cluster, index, 'SELECT id FROM b')).rows).toEqual([{ id: 2 }])
    }
  })

  it('JOIN shows who gives and who gets state, and a write meanwhile is not lost', async () => {
    const cluster = await startCluster({ nodes: 2, latency: { joinMs: 1_000 } })
    const added = await clock.run(cluster.addNode())
    const join = added.query(`JOIN CLUSTER c AT '${idOf(cluster, 0)}'`)
    await clock.advance(700)
    expect(await status(cluster, 2, 'node_state')).toBe('joining')
    expect(await status(cluster, 0, 'node_state')).toBe('donor')
    expect(await status(cluster, 0, 'sst_tables')).toBe('1')
    expect(await status(cluster, 2, 'sst_table')).toBe('1 (a)')
    await query(cluster, 1, 'INSERT INTO c:a (id, v) VALUES (2, 2)')
    await clock.run(join)
    expect(await status(cluster, 2, 'node_state')).toBe('synced')
    expect(await status(cluster, 0, 'node_state')).toBe('synced')
    expect(await status(cluster, 0, 'sst_total')).toBe('-')
    expect(await value(cluster, 2, 'SELECT COUNT(*) FROM a')).toBe(2)
  })

  it('a joiner that dies half way is no member when it comes back', async () => {
    const cluster = await startCluster({ nodes: 2, latency: { joinMs: 1_000 } })
    const added = await clock.run(cluster.addNode())
    const join = added.query(`JOIN CLUSTER c AT '${idOf(cluster, 0)}'`)
    const lost = join.then(() => 'joined', String)
    await clock.advance(700)
    await added.crash()
    expect(await lost).toContain('lost')
    await clock.advance(DETECTION_MS)
    expect(await status(cluster, 0, 'size')).toBe('2')
    expect(await status(cluster, 0, 'nodes_set')).not.toContain(added.id)
    await added.start()
    expect((await query(cluster, 2, "SHOW STATUS LIKE 'cluster_%'")).rows).toEqual([])
  })

  it('JOIN takes another donor when the first one dies', async () => {
    const cluster = await startCluster({ nodes: 3, latency: { joinMs: 1_000 } })
    const added = await clock.run(cluster.addNode())
    const join = added.query(`JOIN CLUSTER c AT '${idOf(cluster, 0)}'`)
    await clock.advance(700)
    await cluster.crash(idOf(cluster, 0))
    await clock.run(join)
    expect(await value(cluster, 3, 'SELECT COUNT(*) FROM a')).toBe(1)
    expect(await status(cluster, 3, 'size')).toBe('3')
  })

  it('a restarted node comes back by itself with what was written meanwhile', async () => {
    const cluster = await startCluster()
    await cluster.crash(idOf(cluster, 1))
    await query(cluster, 0, 'INSERT INTO c:a (id, v) VALUES (2, 2)')
    await cluster.restart(idOf(cluster, 1))
    await synced(cluster)
    expect(await value(cluster, 1, 'SELECT COUNT(*) FROM a')).toBe(2)
    expect(await status(cluster, 1, 'size')).toBe('3')
  })

  it('a node that was taken out of the configured members while it was down comes back all the same', async () => {
    const cluster = await startCluster()
    await cluster.crash(idOf(cluster, 2))
    await clock.advance(DETECTION_MS)
    await query(cluster, 0, 'ALTER CLUSTER c UPDATE nodes')
    expect(await status(cluster, 0, 'nodes_set')).toBe(`${idOf(cluster, 0)},${idOf(cluster, 1)}`)
    await cluster.restart(idOf(cluster, 2))
    await synced(cluster)
    expect(await status(cluster, 0, 'size')).toBe('3')
  })

  it('a node that was wiped remembers nothing', async () => {
    const cluster = await startCluster()
    await cluster.crash(idOf(cluster, 2))
    await cluster.restart(idOf(cluster, 2), { wipe: true })
    expect((await query(cluster, 2, 'SHOW TABLES')).rows).toEqual([])
    expect((await query(cluster, 2, "SHOW STATUS LIKE 'cluster_%'")).rows).toEqual([])
  })

  it('after all were down they wait for one that is started with newCluster', async () => {
    const cluster = await startCluster()
    for (const node of cluster.nodes) await cluster.crash(node.id)
    await cluster.restart(idOf(cluster, 0))
    await cluster.restart(idOf(cluster, 1))
    await clock.advance(60_000)
    expect(await status(cluster, 0, 'status')).toBe('closed')
    await expect(query(cluster, 0, 'INSERT INTO c:a (id, v) VALUES (2, 2)')).rejects.toThrow('is not ready')
    await cluster.restart(idOf(cluster, 2), { newCluster: true })
    await synced(cluster)
    expect(await status(cluster, 0, 'size')).toBe('3')
  })
})

describe('faults', () => {
  it('happen as often as they were asked for, where and when they were asked for', async () => {
    const cluster = await startCluster()
    const fault = cluster.faults.add({
      node: idOf(cluster, 1),
      when: (statement) => statement.kind === 'insert',
      effect: { kind: 'error_before', message: 'out of luck' },
      times: 2,
    })
    await query(cluster, 0, 'INSERT INTO c:a (id, v) VALUES (2, 2)')
    for (let round = 1; round <= 2; round += 1) {
      await expect(query(cluster, 1, 'INSERT INTO c:a (id, v) VALUES (3, 3)')).rejects.toThrow('out of luck')
    }
    expect((await query(cluster, 1, 'INSERT INTO c:a (id, v) VALUES (3, 3)')).total).toBe(1)
    expect(fault.hits).toBe(2)
  })

  it.each([
    ['error_after', { kind: 'error_after', message: 'late' }, 'late', 2],
    ['lose_request', { kind: 'lose_request' }, 'lost', 1],
    ['lose_reply', { kind: 'lose_reply' }, 'lost', 2],
    ['crash_before', { kind: 'crash_before' }, 'lost', 1],
    ['crash_after', { kind: 'crash_after' }, 'lost', 2],
  ] as const)('%s', async (_name, effect, message, rows) => {
    const cluster = await startCluster()
    cluster.faults.add({ when: (statement) => statement.kind === 'insert', effect })
    await expect(query(cluster, 0, 'INSERT INTO c:a (id, v) VALUES (2, 2)')).rejects.toThrow(message)
    expect(await value(cluster, 1, 'SELECT COUNT(*) FROM a')).toBe(rows)
    expect(cluster.nodes[0]?.running).toBe(!effect.kind.startsWith('crash'))
  })

  it('delays pass in the time of the clock, and removed faults do not happen', async () => {
    const cluster = await startCluster()
    const handle = cluster.faults.add({
      when: () => true,
      effect: { kind: 'delay', ms: 3_000, before: true },
      times: Infinity,
    })
    const before = clock.now()
    await query(cluster, 0, 'SELECT 1')
    expect(clock.now() - before).toBe(3_000)
    handle.remove()
    await query(cluster, 0, 'SELECT 1')
    expect(clock.now() - before).toBe(3_000)
  })

  it('clients cut off from a node do not keep it from its cluster', async () => {
    const cluster = await startCluster()
    cluster.isolateFromClients(idOf(cluster, 1))
    await expect(query(cluster, 1, 'SELECT 1')).rejects.toThrow('refused')
    await query(cluster, 0, 'INSERT INTO c:a (id, v) VALUES (2, 2)')
    cluster.heal()
    expect(await value(cluster, 1, 'SELECT COUNT(*) FROM a')).toBe(2)
  })
})
