import type { Sighting } from './node-watch.ts'
import type { StoredPlacements } from './placement-store.ts'
import { NodeError, ShardingError } from '../domain/errors.ts'
import type { CallOptions, ClusterStatus, NodeCatalog } from '../domain/ports.ts'
import { isBuddySet, markersOf, type NodeId, shardTableName } from '../domain/words.ts'
import type {
  BuddyPlacement,
  ObservedPlacement,
  ObservedReplicaSet,
  ObservedState,
} from '../planning/observed.ts'
import { compareText } from '../planning/replica-sets.ts'

/**
 * How long a node may take to answer one question before it counts as missing, in milliseconds. While it leaves a
 * cluster that it made, five seconds, it says nothing about clusters at all.
 */
const CALL: CallOptions = { timeoutMs: 10_000 }

interface NodeReport {
  readonly node: NodeId
  readonly tables: ReadonlySet<string>
  readonly clusters: readonly ClusterStatus[]
}

/** Looks at all nodes of the cluster side by side. A node that does not answer is missing, not an error. */
export async function observe(parts: {
  readonly catalog: NodeCatalog
  readonly cluster: string | null
  /** All nodes that belong to the cluster, answering or not. */
  readonly nodes: readonly NodeId[]
  readonly placements: StoredPlacements
}): Promise<ObservedState> {
  const { catalog, cluster } = parts
  const nodes = parts.nodes.toSorted(compareText)
  const found = await Promise.all(nodes.map(async (node) => await reportOf(catalog, node)))
  const reports = found.filter((report) => report !== undefined).filter((report) => serves(report, cluster))
  const answering = reports.map(({ node }) => node)
  const sets = replicaSets(reports, cluster)
  const isOurs = (row: ObservedPlacement) => row.replicaSet !== cluster && !contradicts(row, sets)
  return {
    cluster,
    nodes: answering,
    missingNodes: nodes.filter((node) => !answering.includes(node)),
    tables: new Map(reports.map(({ node, tables }) => [node, tables])),
    replicaSets: sets,
    placements: parts.placements.ours.filter(isOurs),
    buddyPlacements: [
      ...parts.placements.ours.filter((row) => !isOurs(row)),
      ...parts.placements.others,
    ] satisfies BuddyPlacement[],
  }
}

/** We never write a row that names another set than the one of Buddy's that its shards are in. */
function contradicts(row: ObservedPlacement, sets: readonly ObservedReplicaSet[]): boolean {
  const names = new Set(row.shards.map((shard) => shardTableName(row.table, shard)))
  return sets.some(
    ({ name, members, tables }) =>
      name !== row.replicaSet &&
      isBuddySet(name) &&
      members.includes(row.node) &&
      tables.some((table) => names.has(table)),
  )
}

async function reportOf(catalog: NodeCatalog, node: NodeId): Promise<NodeReport | undefined> {
  try {
    const [tables, clusters] = await Promise.all([catalog.tables(node, CALL), catalog.clusters(node, CALL)])
    return { node, tables: new Set(tables.keys()), clusters }
  } catch (error) {
    if (error instanceof NodeError) return undefined
    throw error
  }
}

/** A node that is cut off from the cluster of all nodes cannot take part in anything. */
function serves(report: NodeReport, cluster: string | null): boolean {
  return cluster === null || report.clusters.some((status) => status.name === cluster && isServing(status))
}

function isServing(status: ClusterStatus): boolean {
  return status.status === 'primary' && (status.nodeState === 'synced' || status.nodeState === 'donor')
}

/** Replica sets are the clusters that live in the folder of their marker table, and those that Buddy made. */
function replicaSets(reports: readonly NodeReport[], cluster: string | null): ObservedReplicaSet[] {
  const statuses = new Map<string, { node: NodeId; status: ClusterStatus }[]>()
  for (const { node, tables, clusters } of reports) {
    for (const status of clusters) {
      if (status.name === cluster) continue
      if (markersOf(status.name, tables).length === 0 && !isBuddySet(status.name)) continue
      const seen = statuses.get(status.name) ?? []
      statuses.set(status.name, [...seen, { node, status }])
    }
  }
  return [...statuses]
    .toSorted(([a], [b]) => compareText(a, b))
    .map(([name, seen]) => {
      const serving = seen.filter(({ status }) => isServing(status))
      const [best] = serving.length > 0 ? serving : seen
      return {
        name,
        members: configuredMembers(best?.status),
        liveMembers: serving.map(({ node }) => node),
        primary: serving.length > 0,
        tables: best?.status.tables ?? [],
      }
    })
}

/** A cluster that nobody has joined yet lists no configured members, only itself as connected. */
function configuredMembers(status: ClusterStatus | undefined): readonly NodeId[] {
  if (status === undefined) return []
  return status.nodesSet.length > 0 ? status.nodesSet : status.nodesView
}

/** Whether the cluster of all nodes is primary, and goes on, without this node. */
export async function isGone(
  catalog: NodeCatalog,
  cluster: string | null,
  nodes: readonly NodeId[],
  node: NodeId,
): Promise<boolean> {
  if (cluster === null) return false
  const other = await servingNode(catalog, cluster, nodes, node)
  return other !== undefined && !other.nodesView.includes(node)
}

/** Another node than this one that serves in the cluster of all nodes, with those that it is connected to. */
export async function servingNode(
  catalog: NodeCatalog,
  cluster: string,
  nodes: readonly NodeId[],
  not: NodeId,
): Promise<{ readonly node: NodeId; readonly nodesView: readonly NodeId[] } | undefined> {
  for (const node of nodes) {
    if (node === not) continue
    try {
      const status = await catalog.cluster(node, cluster, CALL)
      if (status !== undefined && isServing(status)) return { node, nodesView: status.nodesView }
    } catch (error) {
      if (!(error instanceof NodeError)) throw error
    }
  }
  return undefined
}

/** How long a node may take to say how its cluster is, before it counts as silent, in milliseconds. */
const LOOK: CallOptions = { timeoutMs: 2_000 }

/**
 * One look at all members. A node is absent only when the cluster of all nodes is primary without it; when no node
 * serves, nothing can be said of any.
 */
export async function sightings(
  catalog: NodeCatalog,
  cluster: string,
  nodes: readonly NodeId[],
): Promise<Map<NodeId, Sighting>> {
  const reports = await Promise.all(
    nodes.map(async (node) => {
      try {
        return { node, status: await catalog.cluster(node, cluster, LOOK) }
      } catch (error) {
        if (error instanceof NodeError) return { node, status: undefined }
        throw error
      }
    }),
  )
  const serving = reports.filter(({ status }) => status !== undefined && isServing(status))
  const connected = new Set(serving.flatMap(({ status }) => status?.nodesView ?? []))
  const serves = new Set(serving.map(({ node }) => node))
  return new Map(
    nodes.map((node) => {
      if (serves.has(node)) return [node, 'serving']
      return [node, serving.length === 0 || connected.has(node) ? 'silent' : 'absent']
    }),
  )
}

/** All nodes of the cluster as its members list them, answering or not. */
export async function clusterMembers(
  catalog: NodeCatalog,
  cluster: string,
  entries: readonly NodeId[],
): Promise<NodeId[]> {
  const reports = await Promise.all(
    entries.map(async (node) => {
      try {
        return await catalog.cluster(node, cluster, CALL)
      } catch (error) {
        if (error instanceof NodeError) return undefined
        throw error
      }
    }),
  )
  const statuses = reports.filter((status) => status !== undefined)
  if (statuses.length === 0) {
    throw new ShardingError(
      'cluster_missing',
      `none of ${entries.join(', ')} answers as a member of cluster '${cluster}'`,
    )
  }
  const members = statuses.flatMap((status) => [...status.nodesSet, ...status.nodesView])
  return [...new Set(members)].toSorted(compareText)
}
