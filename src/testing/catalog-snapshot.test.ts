import { describe, expect, it } from 'vitest'
import type { ClusterStatus, NodeCatalog } from '../domain/ports.ts'
import { type CatalogSnapshot, diffCatalogs, type NodeSnapshot, takeCatalog } from './catalog-snapshot.ts'

const NODE = '127.0.0.1:9312'

const CLUSTER = { stateUuid: 'u1', status: 'primary', members: ['a:1', 'b:1'], tables: ['system.t_s0'] }

function snapshot(changes: Partial<NodeSnapshot> = {}): CatalogSnapshot {
  return {
    [NODE]: {
      tables: { t: 'shard', 'system.t_s0': 'rt' },
      layouts: { t: "CREATE TABLE t type='shard' local='system.t_s0'" },
      clusters: { rs: CLUSTER },
      ...changes,
    },
  }
}

describe('diffCatalogs', () => {
  it('finds nothing between equal snapshots', () => {
    expect(diffCatalogs(snapshot(), snapshot())).toEqual([])
  })

  it.each<[string, CatalogSnapshot, string]>([
    [
      'a table that came',
      snapshot({ tables: { t: 'shard', 'system.t_s0': 'rt', 'system.t_s1': 'rt' } }),
      `${NODE}: table system.t_s1 (rt) is there and was not before`,
    ],
    [
      'a table that went',
      snapshot({ tables: { t: 'shard' } }),
      `${NODE}: table system.t_s0 (rt) was there before and is gone`,
    ],
    [
      'another type',
      snapshot({ tables: { t: 'rt', 'system.t_s0': 'rt' } }),
      `${NODE}: table t was of type shard and is of type rt`,
    ],
    [
      'another layout',
      snapshot({ layouts: { t: "CREATE TABLE t type='shard' agent='a:1:system.t_s0'" } }),
      `${NODE}: table t has another layout than before`,
    ],
    [
      'a cluster that went',
      snapshot({ clusters: {} }),
      `${NODE}: was in cluster rs before and is not any more`,
    ],
    [
      'a cluster that came',
      snapshot({ clusters: { rs: CLUSTER, rs2: CLUSTER } }),
      `${NODE}: is in cluster rs2 and was not before`,
    ],
    [
      'a cluster made anew under its name',
      snapshot({ clusters: { rs: { ...CLUSTER, stateUuid: 'u2' } } }),
      `${NODE}: cluster rs is not the one it was, but a new one`,
    ],
    [
      'lost quorum',
      snapshot({ clusters: { rs: { ...CLUSTER, status: 'non-primary' } } }),
      `${NODE}: cluster rs was primary and is non-primary`,
    ],
    [
      'a member that left',
      snapshot({ clusters: { rs: { ...CLUSTER, members: ['a:1'] } } }),
      `${NODE}: cluster rs had member b:1 and has not any more`,
    ],
    [
      'a table that entered a cluster',
      snapshot({ clusters: { rs: { ...CLUSTER, tables: ['system.t_s0', 'system.t_s1'] } } }),
      `${NODE}: cluster rs has table system.t_s1 and had not before`,
    ],
    ['a node that was not looked at', {}, `${NODE}: was not looked at afterwards`],
  ])('tells %s', (_what, after, sentence) => {
    expect(diffCatalogs(snapshot(), after)).toEqual([sentence])
  })

  it('leaves out what the predicate ignores, also in the lists of clusters, and nothing else', () => {
    const after = snapshot({
      tables: { t: 'shard', 'system.t_s0': 'rt', 'system.queue': 'rt', 'system.other': 'rt' },
      clusters: { rs: { ...CLUSTER, tables: ['system.queue', 'system.t_s0'] }, rs2: CLUSTER },
    })
    const ignored = new Set(['system.queue', 'rs2'])
    expect(diffCatalogs(snapshot(), after, ({ name }) => ignored.has(name))).toEqual([
      `${NODE}: table system.other (rt) is there and was not before`,
    ])
  })
})

describe('takeCatalog', () => {
  it('holds tables, layouts of sharded tables, and clusters with all their members', async () => {
    const status: ClusterStatus = {
      name: 'rs',
      status: 'primary',
      nodeState: 'synced',
      stateUuid: 'u1',
      localIndex: 0,
      nodesSet: ['b:1'],
      nodesView: ['b:1', 'a:1'],
      transferPercent: null,
      tables: ['system.t_s0'],
    }
    const catalog: NodeCatalog = {
      tables: async () =>
        await Promise.resolve(
          new Map([
            ['t', 'shard'],
            ['system.t_s0', 'rt'],
          ]),
        ),
      hasTable: async () => await Promise.resolve(true),
      columns: async () => await Promise.resolve([]),
      createStatement: async () => await Promise.resolve("CREATE TABLE t type='shard' local='system.t_s0'"),
      tableSize: async () => await Promise.resolve({ rows: 0, bytes: 0 }),
      clusters: async () => await Promise.resolve([status]),
      cluster: async () => await Promise.resolve(status),
    }
    expect(await takeCatalog(catalog, [NODE])).toEqual(snapshot())
  })
})
