import { afterEach, describe, expect, it } from 'vitest'
import { DONE, LocalServer, sendJson } from '../../test/contract/local-server.ts'
import { type Script, type ScriptedNode, scriptedNode } from '../../test/contract/scripted-node.ts'
import { InputError } from '../domain/errors.ts'
import {
  ConnectedCatalog,
  readCluster,
  readClusters,
  readColumns,
  readCreateTable,
  readTableSize,
  readTables,
  readVersion,
} from './catalog.ts'
import { HttpNodeConnector } from './http-node-connector.ts'
import { identify } from './identity.ts'

const nodes: ScriptedNode[] = []
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()))
})

async function start(script: Script): Promise<ScriptedNode> {
  const node = await scriptedNode(script)
  nodes.push(node)
  return node
}

function counters(name: string, localIndex = 1): { Counter: string; Value: string }[] {
  const values = {
    state_uuid: 'u',
    state_seqno: '0',
    status: 'primary',
    local_index: String(localIndex),
    nodes_view: 'a:9312,a:9500:replication,b:9312,b:9500:replication',
    local_state_uuid: 'u',
  }
  return Object.entries(values).map(([key, Value]) => ({ Counter: `cluster_${name}_${key}`, Value }))
}

describe('the size of a table', () => {
  const status = [
    { Name: 'system.wxs0', Rows: 7 },
    { Name: 'system.w_s0', Rows: 1_000 },
  ]
  const chunks =
    'SELECT SUM(disk_bytes) AS bytes, SUM(indexed_documents) AS documents, SUM(killed_documents) AS killed FROM system.w_s0.@status'

  it('counts rows that are only in memory by the length of some of them', async () => {
    const { connection } = await start({
      "SHOW TABLE STATUS LIKE 'system.w_s0'": status,
      [chunks]: [{ bytes: 5_000, documents: 950, killed: 50 }],
      'SELECT * FROM system.w_s0 LIMIT 20': [
        { id: 1, title: 'é', n: 12 },
        { id: 22, title: '', n: 7 },
      ],
    })
    // 100 rows of (1 + 2 + 2 and 2 + 0 + 1) / 2 bytes.
    expect(await readTableSize(connection, 'system.w_s0')).toEqual({ rows: 1_000, bytes: 5_400 })
  })

  it('asks for no rows when all lie on disk', async () => {
    const { connection } = await start({
      "SHOW TABLE STATUS LIKE 'system.w_s0'": status,
      [chunks]: [{ bytes: 5_000, documents: 1_000, killed: 0 }],
    })
    expect(await readTableSize(connection, 'system.w_s0')).toEqual({ rows: 1_000, bytes: 5_000 })
  })

  it('takes a table with nothing on disk for one in memory', async () => {
    const { connection } = await start({
      "SHOW TABLE STATUS LIKE 'system.w_s0'": status,
      [chunks]: [],
      'SELECT * FROM system.w_s0 LIMIT 20': [{ id: 1, title: 'abc' }],
    })
    expect(await readTableSize(connection, 'system.w_s0')).toEqual({ rows: 1_000, bytes: 4_000 })
  })

  it('is not that of a table whose name is alike', async () => {
    const { connection } = await start({
      "SHOW TABLE STATUS LIKE 'system.w_s1'": [{ Name: 'system.wxs1', Rows: 7 }],
    })
    await expect(readTableSize(connection, 'system.w_s1')).rejects.toMatchObject({ code: 'missing' })
  })
})

describe('tables', () => {
  const script = {
    'SHOW TABLES': [
      { Table: 'w', Type: 'shard' },
      { Table: 'a', Type: 'rt' },
    ],
    'SHOW TABLES FROM system': [{ Table: 'system.w_s0', Type: 'rt' }],
    "SHOW TABLES LIKE 'w_1'": [{ Table: 'wx1', Type: 'rt' }],
    "SHOW TABLES FROM system LIKE 'system.w_s0'": [{ Table: 'system.w_s0', Type: 'rt' }],
  }

  it('are all read, hidden ones included, by name', async () => {
    const { connection } = await start(script)
    expect(await readTables(connection)).toEqual([
      { name: 'a', type: 'rt' },
      { name: 'system.w_s0', type: 'rt' },
      { name: 'w', type: 'shard' },
    ])
  })

  it('are found one by one, not by a wildcard in their name', async () => {
    const { connection } = await start(script)
    const connector = new HttpNodeConnector()
    const catalog = new ConnectedCatalog(connector)
    expect(await catalog.hasTable(connection.node, 'system.w_s0')).toBe(true)
    expect(await catalog.hasTable(connection.node, 'w_1')).toBe(false)
    expect(await catalog.tables(connection.node)).toEqual(
      new Map([
        ['a', 'rt'],
        ['system.w_s0', 'rt'],
        ['w', 'shard'],
      ]),
    )
    await connector.close()
  })

  it('are not believed when only a part came back', async () => {
    const parts = [{ total: 9 }, { warning: 'agent is down' }]
    for (const part of parts) {
      const rows = { columns: [], data: [], ...DONE[0], ...part }
      const server = await LocalServer.start((_, response) => sendJson(response, [rows]))
      const connector = new HttpNodeConnector()
      const tables = readTables(connector.connection(server.node))
      await expect(tables).rejects.toMatchObject({ code: 'busy' })
      await connector.close()
      await server.stop()
    }
  })

  it('are not asked for by something that is no name', async () => {
    const { connection, statements } = await start({})
    await expect(readColumns(connection, "t' OR '1")).rejects.toThrow(InputError)
    await expect(readCreateTable(connection, 't; DROP TABLE t')).rejects.toThrow(InputError)
    expect(statements()).toEqual([])
  })
})

describe('columns', () => {
  it('come in the words of CREATE TABLE, without id', async () => {
    const field = (Field: string, Type: string, Properties = '') => ({ Field, Type, Properties })
    const { connection } = await start({
      'DESC t': [
        field('id', 'bigint'),
        field('title', 'text', 'indexed stored'),
        field('name', 'string'),
        field('n', 'uint'),
        field('tags', 'mva'),
        field('tags64', 'mva64'),
        field('both', 'text', 'indexed'),
        field('both', 'string', 'attribute'),
      ],
    })
    expect(await readColumns(connection, 'T')).toEqual([
      { name: 'title', type: 'text', properties: ['indexed', 'stored'] },
      { name: 'name', type: 'string', properties: [] },
      { name: 'n', type: 'int', properties: [] },
      { name: 'tags', type: 'multi', properties: [] },
      { name: 'tags64', type: 'multi64', properties: [] },
      { name: 'both', type: 'string', properties: ['indexed', 'attribute'] },
    ])
  })

  it('of a type that we do not know are named', async () => {
    const { connection } = await start({
      'DESC t': [{ Field: 'v', Type: 'float_vector', Properties: 'knn' }],
    })
    await expect(readColumns(connection, 't')).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining("column 'v' has the type 'float_vector'"),
    })
  })

  it('of a table that is not there are missing', async () => {
    const { connection } = await start({ 'DESC t': { error: "no such table 't'" } })
    await expect(readColumns(connection, 't')).rejects.toMatchObject({ code: 'missing' })
  })
})

describe('other readings', () => {
  it('give the statement that makes a table', async () => {
    const sql = "CREATE TABLE w (\nid bigint\n) type='shard' local='system.w_s0'"
    const { connection } = await start({
      'SHOW CREATE TABLE w OPTION force=1': [{ Table: 'w', 'Create Table': sql }],
    })
    expect(await readCreateTable(connection, 'w')).toBe(sql)
  })

  it('give the version', async () => {
    const { connection } = await start({
      "SHOW STATUS LIKE 'version'": [{ Counter: 'version', Value: '14.1.0 abc@260822' }],
    })
    expect(await readVersion(connection)).toBe('14.1.0 abc@260822')
  })

  it('give all clusters, or the one asked for', async () => {
    const all = [...counters('c'), ...counters('c_local')]
    const { connection } = await start({
      "SHOW STATUS LIKE 'cluster_%'": all,
      "SHOW STATUS LIKE 'cluster_c_%'": all,
      "SHOW STATUS LIKE 'cluster_d_%'": [],
    })
    expect((await readClusters(connection)).map(({ name }) => name)).toEqual(['c', 'c_local'])
    expect((await readCluster(connection, 'c'))?.name).toBe('c')
    expect(await readCluster(connection, 'd')).toBeNull()
    expect(await readCluster(connection, "c' OR '")).toBeNull()
  })
})

describe('identify', () => {
  it("gives the name that the cluster uses, or the connection's own", async () => {
    const { connection } = await start({ "SHOW STATUS LIKE 'cluster_c_%'": counters('c') })
    expect(await identify(connection, 'c')).toBe('b:9312')
    expect(await identify(connection, null)).toBe(connection.node)
  })

  it('says when there is none', async () => {
    const { connection } = await start({
      "SHOW STATUS LIKE 'cluster_c_%'": counters('c', -1),
      "SHOW STATUS LIKE 'cluster_d_%'": [],
    })
    await expect(identify(connection, 'c')).rejects.toMatchObject({ code: 'cluster_unhealthy' })
    await expect(identify(connection, 'd')).rejects.toMatchObject({ code: 'cluster_missing' })
  })
})
