import { describe, expect, it } from 'vitest'
import { nodeError } from '../../test/support/engine-doubles.ts'
import type { ClusterStatus, NodeCatalog } from '../domain/ports.ts'
import { clusterMembers, isGone, observe, servingNode, sightings } from './observe.ts'

const [A, B, C] = ['10.0.0.1:9312', '10.0.0.2:9312', '10.0.0.3:9312'] as const

const NONE = { ours: [], others: [] }

/** What a node would say; null: it does not answer. */
type NodeSays = { readonly tables?: readonly string[]; readonly clusters?: readonly ClusterStatus[] } | null

function status(name: string, given: Partial<ClusterStatus> = {}): ClusterStatus {
  return {
    name,
    status: 'primary',
    nodeState: 'synced',
    stateUuid: 'u',
    localIndex: 0,
    nodesSet: [A, B],
    nodesView: [A, B],
    tables: [],
    transferPercent: null,
    ...given,
  }
}

/** Only what observing asks for; anything else would be a mistake. */
function catalogOf(says: Readonly<Record<string, NodeSays>>): NodeCatalog {
  const asked = async (node: string) => {
    const found = says[node]
    await Promise.resolve()
    if (found === null || found === undefined) throw nodeError('unreachable', node)
    return found
  }
  const never = () => {
    throw new Error('nobody needs this')
  }
  return {
    tables: async (node) => new Map(((await asked(node)).tables ?? []).map((name) => [name, 'rt'])),
    clusters: async (node) => (await asked(node)).clusters ?? [],
    cluster: async (node, name) => (await asked(node)).clusters?.find((found) => found.name === name),
    hasTable: never,
    columns: never,
    createStatement: never,
    tableSize: never,
  }
}

function failing(error: Error): NodeCatalog {
  const fail = () => {
    throw error
  }
  return { ...catalogOf({}), tables: fail, cluster: fail }
}

describe('looking at all nodes', () => {
  const see = async (says: Readonly<Record<string, NodeSays>>, cluster: string | null = 'c') =>
    await observe({ catalog: catalogOf(says), cluster, nodes: [C, A, B], placements: NONE })

  it('gives nodes in order, with their tables', async () => {
    const all = { clusters: [status('c', { nodesSet: [A, B, C], nodesView: [A, B, C] })] }
    const placement = { id: 1, table: 'users', node: A, replicaSet: '', shards: [0] }
    const observed = await observe({
      catalog: catalogOf({ [A]: { ...all, tables: ['users', 'system.users_s0'] }, [B]: all, [C]: all }),
      cluster: 'c',
      nodes: [C, A, B],
      placements: { ours: [placement], others: [] },
    })
    expect(observed).toEqual({
      cluster: 'c',
      nodes: [A, B, C],
      missingNodes: [],
      tables: new Map<string, Set<string>>([
        [A, new Set(['users', 'system.users_s0'])],
        [B, new Set()],
        [C, new Set()],
      ]),
      replicaSets: [],
      placements: [placement],
      buddyPlacements: [],
    })
  })

  it('takes a node that does not answer as missing', async () => {
    const { nodes, missingNodes, tables } = await see({
      [A]: { clusters: [status('c')] },
      [B]: null,
      [C]: null,
    })
    expect({ nodes, missingNodes }).toEqual({ nodes: [A], missingNodes: [B, C] })
    expect([...tables.keys()]).toEqual([A])
  })

  it.each([
    ['not primary', status('c', { status: 'non-primary' }), false],
    ['closed', status('c', { status: 'closed', nodeState: 'closed' }), false],
    ['still joining', status('c', { nodeState: 'joining' }), false],
    ['joined, not in sync', status('c', { nodeState: 'joined' }), false],
    ['in another cluster only', status('other'), false],
    ['giving its state to another', status('c', { nodeState: 'donor' }), true],
    ['in sync', status('c'), true],
  ])('a node that is %s counts accordingly', async (_what, found, serves) => {
    const { nodes, missingNodes } = await see({
      [A]: { clusters: [status('c')] },
      [B]: { clusters: [found] },
    })
    expect(nodes).toEqual(serves ? [A, B] : [A])
    expect(missingNodes).toEqual(serves ? [C] : [B, C])
  })

  it('asks of a standalone node nothing but to answer', async () => {
    const { nodes, missingNodes } = await see(
      { [A]: {}, [B]: { clusters: [status('c', { status: 'closed' })] } },
      null,
    )
    expect({ nodes, missingNodes }).toEqual({ nodes: [A, B], missingNodes: [C] })
  })

  it('does not take a mistake of ours for a node that is missing', async () => {
    const error = new TypeError('ours')
    const looking = observe({ catalog: failing(error), cluster: 'c', nodes: [A], placements: NONE })
    await expect(looking).rejects.toBe(error)
  })
})

describe('replica sets', () => {
  const ofAll = status('c', { nodesSet: [A, B, C], nodesView: [A, B, C] })
  const setsOf = async (says: Readonly<Record<string, NodeSays>>) =>
    (await observe({ catalog: catalogOf(says), cluster: 'c', nodes: [A, B, C], placements: NONE }))
      .replicaSets

  it('are the clusters with a marker table, in the order of their names', async () => {
    const set = status('s2', { tables: ['system.t_s0'] })
    const member = {
      tables: ['system.s2', 'system.s1_x'],
      clusters: [set, status('s1'), status('theirs'), ofAll],
    }
    expect(await setsOf({ [A]: member, [B]: member, [C]: { clusters: [ofAll] } })).toEqual([
      { name: 's1', members: [A, B], liveMembers: [A, B], primary: true, tables: [] },
      { name: 's2', members: [A, B], liveMembers: [A, B], primary: true, tables: ['system.t_s0'] },
    ])
  })

  it('are not those that users made in the cluster of all nodes', async () => {
    const says = { tables: ['system.c', 'users'], clusters: [ofAll, status('users')] }
    expect(await setsOf({ [A]: says, [B]: says, [C]: says })).toEqual([])
  })

  it('go by the members that serve, not by one that is cut off', async () => {
    const stale = status('s', { status: 'non-primary', nodesSet: [A, B, C], nodesView: [A], tables: ['old'] })
    const fresh = status('s', { nodesSet: [B, C], nodesView: [B, C], tables: ['new'] })
    const tables = ['system.s']
    const sets = await setsOf({
      [A]: { tables, clusters: [ofAll, stale] },
      [B]: { tables, clusters: [ofAll, fresh] },
      [C]: { tables, clusters: [ofAll, { ...fresh, nodeState: 'joining' }] },
    })
    expect(sets).toEqual([{ name: 's', members: [B, C], liveMembers: [B], primary: true, tables: ['new'] }])
  })

  it('that serve nowhere are told as their members remember them', async () => {
    const lost = status('s', { status: 'non-primary', tables: ['t'] })
    const sets = await setsOf({
      [A]: { tables: ['system.s'], clusters: [ofAll, lost] },
      [B]: null,
      [C]: { clusters: [ofAll] },
    })
    expect(sets).toEqual([{ name: 's', members: [A, B], liveMembers: [], primary: false, tables: ['t'] }])
  })

  it('that nobody has joined yet have the one that made them', async () => {
    const alone = status('s', { nodesSet: [], nodesView: [A] })
    const sets = await setsOf({ [A]: { tables: ['system.s'], clusters: [ofAll, alone] } })
    expect(sets.map(({ members }) => members)).toEqual([[A]])
  })
})

describe('a node is gone', () => {
  const without = status('c', { nodesSet: [A, B, C], nodesView: [A, B] })
  const withAll = status('c', { nodesSet: [A, B, C], nodesView: [A, B, C] })
  const gone = async (says: Readonly<Record<string, NodeSays>>, cluster: string | null = 'c') =>
    await isGone(catalogOf(says), cluster, [A, B, C], C)

  it('when the cluster of all nodes is primary without it', async () => {
    expect(await gone({ [A]: { clusters: [without] }, [B]: { clusters: [without] } })).toBe(true)
    expect(await gone({ [A]: null, [B]: { clusters: [without] } })).toBe(true)
  })

  it('not when others are still connected to it', async () => {
    expect(await gone({ [A]: { clusters: [withAll] } })).toBe(false)
  })

  it('not when nobody serves who could tell', async () => {
    expect(await gone({ [A]: { clusters: [{ ...without, status: 'non-primary' }] }, [B]: null })).toBe(false)
    expect(await gone({})).toBe(false)
  })

  it('not by its own word, and never without a cluster', async () => {
    expect(await gone({ [C]: { clusters: [without] } })).toBe(false)
    expect(await gone({ [A]: { clusters: [without] } }, null)).toBe(false)
  })

  it('not by a mistake of ours', async () => {
    const error = new TypeError('ours')
    await expect(isGone(failing(error), 'c', [A, B], B)).rejects.toBe(error)
  })
})

describe('another node that serves', () => {
  it('is the first that does, and never the one that is not wanted', async () => {
    const catalog = catalogOf({
      [A]: null,
      [B]: { clusters: [status('c', { nodeState: 'donor', nodesView: [B, C] })] },
      [C]: { clusters: [status('c')] },
    })
    expect(await servingNode(catalog, 'c', [A, B, C], C)).toEqual({ node: B, nodesView: [B, C] })
    expect((await servingNode(catalog, 'c', [A, B, C], B))?.node).toBe(C)
    expect(await servingNode(catalog, 'none', [A, B, C], A)).toBeUndefined()
  })
})

describe('what is seen of the members', () => {
  const sight = async (says: Readonly<Record<string, NodeSays>>) =>
    Object.fromEntries(await sightings(catalogOf(says), 'c', [A, B, C]))

  it('one that serves is serving', async () => {
    const all = { clusters: [status('c', { nodesView: [A, B, C] })] }
    expect(await sight({ [A]: all, [B]: all, [C]: all })).toEqual({
      [A]: 'serving',
      [B]: 'serving',
      [C]: 'serving',
    })
  })

  it('one that is absent is absent by the word of those that serve', async () => {
    const two = { clusters: [status('c', { nodesView: [A, B] })] }
    expect(await sight({ [A]: two, [B]: two, [C]: null })).toEqual({
      [A]: 'serving',
      [B]: 'serving',
      [C]: 'absent',
    })
  })

  it('one that only gives no answer is silent', async () => {
    const all = { clusters: [status('c', { nodesView: [A, B, C] })] }
    expect(await sight({ [A]: all, [B]: all, [C]: null })).toMatchObject({ [C]: 'silent' })
  })

  it('one that answers but is cut off from the others is absent', async () => {
    const two = { clusters: [status('c', { nodesView: [A, B] })] }
    const cut = { clusters: [status('c', { status: 'non-primary', nodesView: [C] })] }
    expect(await sight({ [A]: two, [B]: two, [C]: cut })).toMatchObject({ [C]: 'absent' })
    expect(await sight({ [A]: two, [B]: two, [C]: {} })).toMatchObject({ [C]: 'absent' })
  })

  it('none is absent when none serves', async () => {
    const cut = { clusters: [status('c', { status: 'non-primary', nodesView: [A] })] }
    expect(await sight({ [A]: cut, [B]: null, [C]: null })).toEqual({
      [A]: 'silent',
      [B]: 'silent',
      [C]: 'silent',
    })
  })

  it('one that is joining is silent, not absent', async () => {
    const all = { clusters: [status('c', { nodesView: [A, B, C] })] }
    const joining = { clusters: [status('c', { nodeState: 'joining', nodesView: [A, B, C] })] }
    expect(await sight({ [A]: all, [B]: all, [C]: joining })).toMatchObject({ [C]: 'silent' })
  })

  it('a mistake of ours is no silence', async () => {
    const error = new TypeError('ours')
    await expect(sightings(failing(error), 'c', [A])).rejects.toBe(error)
  })
})

describe('the members of the cluster', () => {
  it('are all that any of those who answer knows, sorted', async () => {
    const catalog = catalogOf({
      [A]: { clusters: [status('c', { nodesSet: [C, A], nodesView: [A] })] },
      [B]: { clusters: [status('c', { nodesSet: [], nodesView: [B, A] })] },
      [C]: null,
    })
    expect(await clusterMembers(catalog, 'c', [C, B, A])).toEqual([A, B, C])
  })

  it('are unknown when nobody that is asked is one', async () => {
    const asking = clusterMembers(catalogOf({ [A]: { clusters: [status('other')] }, [B]: null }), 'c', [A, B])
    await expect(asking).rejects.toMatchObject({
      code: 'cluster_missing',
      message: expect.stringMatching(/10\.0\.0\.1:9312, 10\.0\.0\.2:9312 answers as a member of cluster 'c'/),
    })
  })
})
