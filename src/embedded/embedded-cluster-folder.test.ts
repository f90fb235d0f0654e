import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createConnection } from 'mysql2/promise'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  EmbeddedCluster,
  type EmbeddedClusterOptions,
  type EmbeddedNode,
  MEASURED_LATENCY,
  VirtualClock,
} from './index.ts'

/** Nodes with folders and open ports, on the machine's clock. */

let folder: string
let clusters: EmbeddedCluster[] = []

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'embedded-test-'))
})

afterEach(async () => {
  for (const cluster of clusters) await cluster.close()
  clusters = []
  rmSync(folder, { recursive: true, force: true })
})

async function start(options: EmbeddedClusterOptions = {}): Promise<EmbeddedCluster> {
  const cluster = await EmbeddedCluster.start({
    nodes: 3,
    cluster: 'c',
    dataDir: folder,
    failureDetectionMs: 20,
    ...options,
  })
  clusters.push(cluster)
  return cluster
}

async function close(cluster: EmbeddedCluster): Promise<void> {
  clusters = clusters.filter((other) => other !== cluster)
  await cluster.close()
}

function nodeAt(cluster: EmbeddedCluster, index: number): EmbeddedNode {
  const node = cluster.nodes[index]
  if (node === undefined) throw new Error(`no node ${index}`)
  return node
}

async function post(node: EmbeddedNode, sql: string): Promise<string> {
  const response = await fetch(`http://${node.id}/sql?mode=raw`, {
    method: 'POST',
    body: new URLSearchParams({ query: sql }),
  })
  return await response.text()
}

async function values(node: EmbeddedNode): Promise<unknown> {
  return (await node.query('SELECT v FROM a ORDER BY id ASC')).rows.map((row) => row['v'])
}

describe('a folder used before', () => {
  it('gives the same nodes, clusters and rows again', async () => {
    const first = await start()
    await nodeAt(first, 0).query('CREATE TABLE a (v int)')
    await nodeAt(first, 0).query('ALTER CLUSTER c ADD a')
    await nodeAt(first, 1).query('INSERT INTO c:a (id, v) VALUES (1, 1), (2, 2)')
    const names = first.nodes.map((node) => node.id)
    await close(first)
    const second = await start()
    expect(second.nodes.map((node) => node.id)).toEqual(names)
    for (const node of second.nodes) expect(await values(node)).toEqual([1, 2])
    await nodeAt(second, 2).query('INSERT INTO c:a (id, v) VALUES (3, 3)')
    expect(await values(nodeAt(second, 0))).toEqual([1, 2, 3])
  })

  it('goes on from the member that holds most', async () => {
    const first = await start()
    await nodeAt(first, 0).query('CREATE TABLE a (v int)')
    await nodeAt(first, 0).query('ALTER CLUSTER c ADD a')
    await first.crash(nodeAt(first, 0).id)
    await nodeAt(first, 2).query('INSERT INTO c:a (id, v) VALUES (1, 1)')
    for (const node of first.nodes) await node.crash()
    await close(first)
    const second = await start()
    for (const node of second.nodes) expect(await values(node)).toEqual([1])
  })

  it('a temporary one is gone after close', async () => {
    const cluster = await EmbeddedCluster.start({ nodes: 1 })
    const { dataDir } = cluster
    expect(readdirSync(dataDir ?? '')).toContain('node-0')
    await cluster.close()
    expect(existsSync(dataDir ?? '')).toBe(false)
  })
})

describe('open ports', () => {
  it('a crash breaks connections, and a restart serves on the same port', async () => {
    const cluster = await start()
    const node = nodeAt(cluster, 1)
    expect(await post(node, 'SELECT 1')).toContain('"total":1')
    await cluster.crash(node.id)
    await expect(post(node, 'SELECT 1')).rejects.toThrow('fetch failed')
    await cluster.restart(node.id)
    await cluster.untilSynced(AbortSignal.timeout(10_000))
    expect(await post(node, "SHOW STATUS LIKE 'cluster_c_size'")).toContain('"Value":"3"')
  })

  it('a lost reply is a broken connection after the effect, a lost request one before it', async () => {
    const cluster = await start()
    const node = nodeAt(cluster, 0)
    await node.query('CREATE TABLE a (v int)')
    cluster.faults.add({ when: (_statement, sql) => sql.includes('(1, 1)'), effect: { kind: 'lose_reply' } })
    cluster.faults.add({
      when: (_statement, sql) => sql.includes('(2, 2)'),
      effect: { kind: 'lose_request' },
    })
    cluster.faults.add({ when: (_statement, sql) => sql.includes('(3, 3)'), effect: { kind: 'crash_after' } })
    for (const row of ['(1, 1)', '(2, 2)', '(3, 3)']) {
      await expect(post(node, `INSERT INTO a (id, v) VALUES ${row}`)).rejects.toThrow('fetch failed')
    }
    expect(node.running).toBe(false)
    await cluster.restart(node.id)
    expect(await values(node)).toEqual([1, 3])
  })

  it('speaks MySQL where asked to, with clusters and faults all the same', async () => {
    const cluster = await start({ mysql: true })
    const node = nodeAt(cluster, 2)
    const connection = await createConnection({ host: '127.0.0.1', port: node.mysqlPort ?? 0 })
    const [rows] = await connection.query("SHOW STATUS LIKE 'cluster_c_size'")
    expect(rows).toEqual([{ Counter: 'cluster_c_size', Value: '3' }])
    await expect(connection.query('INSERT INTO nosuch (id) VALUES (1)')).rejects.toThrow(
      "table 'nosuch' absent",
    )
    await cluster.crash(node.id)
    await expect(connection.query('SELECT 1')).rejects.toThrow(/lost|closed|ECONNRESET/u)
    connection.destroy()
  })
})

describe('the measured latency', () => {
  it('makes JOIN the dearest step, and JOINs of one node wait for each other', async () => {
    const clock = new VirtualClock()
    const cluster = await clock.run(
      EmbeddedCluster.start({
        nodes: 2,
        dataDir: ':memory:',
        listen: false,
        clock,
        latency: MEASURED_LATENCY,
      }),
    )
    clusters.push(cluster)
    const [first, second] = [nodeAt(cluster, 0), nodeAt(cluster, 1)]
    for (const name of ['r1', 'r2', 'r3']) {
      for (const node of [first, second]) await clock.run(node.query(`CREATE TABLE system.${name} (x int)`))
      await clock.run(first.query(`CREATE CLUSTER ${name} 'system.${name}' as path`))
    }
    const begun = clock.now()
    const took = ['r1', 'r2', 'r3'].map(async (name) => {
      await second.query(`JOIN CLUSTER ${name} AT '${first.id}' 'system.${name}' as path`)
      return clock.now() - begun
    })
    expect(await clock.run(Promise.all(took))).toEqual([1_030, 2_060, 3_090])
  })
})
