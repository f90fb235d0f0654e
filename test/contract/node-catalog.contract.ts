import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { NodeCatalog, NodeConnector } from '../../src/domain/ports.ts'
import { checkCapabilities } from '../../src/manticore/capabilities.ts'
import { identify } from '../../src/manticore/identity.ts'

/** A node without tables and clusters, and two ways to look at it. */
export interface ContractCatalog {
  readonly node: string
  readonly connector: NodeConnector
  readonly catalog: NodeCatalog
  readonly stop: () => Promise<void>
}

const CLEANUP = [
  'DROP TABLE IF EXISTS catalog_w OPTION force=1',
  'DROP TABLE IF EXISTS catalog_a',
  'DROP TABLE IF EXISTS system.catalog_w_s0',
]

/** What every NodeCatalog keeps. Needs a node of its own. */
export function nodeCatalogContract(implementation: string, start: () => Promise<ContractCatalog>): void {
  describe(`NodeCatalog: ${implementation}`, () => {
    let subject: ContractCatalog
    const execute = async (...statements: readonly string[]): Promise<void> => {
      const connection = subject.connector.connection(subject.node)
      for (const sql of statements) await connection.execute(sql)
    }

    beforeAll(async () => {
      subject = await start()
      await execute(
        'CREATE TABLE catalog_a (title text, name string, n int, big bigint, price float, flag bool, ts timestamp, tags multi, tags64 multi64, doc json)',
        'CREATE TABLE system.catalog_w_s0 (title text, v int)',
        "CREATE TABLE catalog_w (title text, v int) type='shard' local='system.catalog_w_s0'",
      )
    })
    afterAll(async () => {
      await execute(...CLEANUP)
      await subject.stop()
    })

    tablesContract(() => subject)
    sizesContract(() => subject, execute)
    clustersContract(() => subject, execute)
  })
}

function tablesContract(subject: () => ContractCatalog): void {
  it('lists visible, sharded and hidden tables with their types', async () => {
    const tables = await subject().catalog.tables(subject().node)
    expect(tables).toEqual(
      new Map([
        ['catalog_a', 'rt'],
        ['catalog_w', 'shard'],
        ['system.catalog_w_s0', 'rt'],
      ]),
    )
  })

  it('passes the check of what the daemon must have, unchanged', async () => {
    const { connector, catalog, node } = subject()
    const before = await catalog.tables(node)
    await checkCapabilities(connector.connection(node))
    expect(await catalog.tables(node)).toEqual(before)
  })

  it.each([
    ['catalog_a', true],
    ['catalog_w', true],
    ['system.catalog_w_s0', true],
    ['catalog_w_s0', false],
    ['catalog__', false],
    ['system.catalog_w_s_', false],
  ])('has %s: %s', async (table, expected) => {
    expect(await subject().catalog.hasTable(subject().node, table)).toBe(expected)
  })

  it('gives the columns in the words of CREATE TABLE, without id', async () => {
    const columns = await subject().catalog.columns(subject().node, 'catalog_a')
    expect(columns.map(({ name, type }) => `${name} ${type}`)).toEqual([
      'title text',
      'name string',
      'n int',
      'big bigint',
      'price float',
      'flag bool',
      'ts timestamp',
      'tags multi',
      'tags64 multi64',
      'doc json',
    ])
    expect(columns[0]?.properties).toEqual(['indexed', 'stored'])
  })

  it('gives the statement of a sharded table with its layout', async () => {
    const sql = await subject().catalog.createStatement(subject().node, 'catalog_w')
    expect(sql).toMatch(/^CREATE TABLE catalog_w /)
    expect(sql).toContain("type='shard' local='system.catalog_w_s0'")
  })

  it('says that a table is missing', async () => {
    const { catalog, node } = subject()
    await expect(catalog.columns(node, 'catalog_none')).rejects.toMatchObject({ code: 'missing' })
    await expect(catalog.createStatement(node, 'catalog_none')).rejects.toMatchObject({ code: 'missing' })
  })
}

function sizesContract(
  subject: () => ContractCatalog,
  execute: (...statements: readonly string[]) => Promise<void>,
): void {
  it('gives rows and bytes of a table, of which a new one has none', async () => {
    const { catalog, node } = subject()
    // A name that fits the pattern of the other one when `_` stands for any character.
    await execute('CREATE TABLE system.catalog_z_s0 (title text)', 'CREATE TABLE system.catalog_zxs0 (n int)')
    try {
      await execute('INSERT INTO system.catalog_zxs0 (id, n) VALUES (1, 1)')
      expect(await catalog.tableSize(node, 'system.catalog_z_s0')).toEqual({ rows: 0, bytes: 0 })
      const values = Array.from({ length: 500 }, (_, index) => `(${index + 1}, '${'word '.repeat(40)}')`)
      await execute(`INSERT INTO system.catalog_z_s0 (id, title) VALUES ${values.join(',')}`)
      const size = await catalog.tableSize(node, 'system.catalog_z_s0')
      expect(size.rows).toBe(500)
      // Within the text itself and some times of it: indexes, page borders, compression.
      expect(size.bytes).toBeGreaterThan(500 * 20)
      expect(size.bytes).toBeLessThan(500 * 200 * 4)
    } finally {
      await execute('DROP TABLE system.catalog_z_s0', 'DROP TABLE system.catalog_zxs0')
    }
  })

  it('gives no size for what has no rows of its own', async () => {
    const { catalog, node } = subject()
    await expect(catalog.tableSize(node, 'system.catalog_none')).rejects.toMatchObject({ code: 'missing' })
  })
}

function clustersContract(
  subject: () => ContractCatalog,
  execute: (...statements: readonly string[]) => Promise<void>,
): void {
  it('tells a cluster from one whose name begins alike', async () => {
    const { catalog, node } = subject()
    expect(await catalog.clusters(node)).toEqual([])
    await execute(
      'CREATE TABLE system.catalog_local (x int)',
      'CREATE CLUSTER catalog',
      "CREATE CLUSTER catalog_local 'system.catalog_local' as path",
      'ALTER CLUSTER catalog ADD catalog_a',
    )
    try {
      const names = (await catalog.clusters(node)).map(({ name }) => name)
      expect(names.toSorted()).toEqual(['catalog', 'catalog_local'])
      expect(await catalog.cluster(node, 'catalog')).toMatchObject({
        name: 'catalog',
        status: 'primary',
        nodeState: 'synced',
        localIndex: 0,
        nodesView: [node],
        tables: ['catalog_a'],
      })
      expect(await catalog.cluster(node, 'catalog_local')).toMatchObject({
        name: 'catalog_local',
        tables: [],
      })
      expect(await catalog.cluster(node, 'catalog_none')).toBeUndefined()
      expect(await identify(subject().connector.connection(node), 'catalog')).toBe(node)
    } finally {
      await execute(
        'ALTER CLUSTER catalog DROP catalog_a',
        'DELETE CLUSTER catalog',
        'DELETE CLUSTER catalog_local',
        'DROP TABLE system.catalog_local',
      )
    }
  })
}
