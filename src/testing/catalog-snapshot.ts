import type { CallOptions, ClusterStatus, NodeCatalog } from '../domain/ports.ts'
import type { NodeId } from '../domain/words.ts'

/** A replication cluster as one node reports it, without what changes by itself. */
export interface ClusterSnapshot {
  /** Tells a cluster from another one that was made later under the same name. */
  readonly stateUuid: string
  /** `primary`, `non-primary`, … */
  readonly status: string
  /** Configured and connected members, sorted. */
  readonly members: readonly NodeId[]
  /** Sorted. */
  readonly tables: readonly string[]
}

export interface NodeSnapshot {
  /** Name → type (`rt`, `shard`, …) of every table, those of `system` included. */
  readonly tables: Readonly<Record<string, string>>
  /** Table → the statement that makes it, of sharded tables: it holds their layout. */
  readonly layouts: Readonly<Record<string, string>>
  readonly clusters: Readonly<Record<string, ClusterSnapshot>>
}

/** What several nodes held at one moment: a plain value. */
export type CatalogSnapshot = Readonly<Record<NodeId, NodeSnapshot>>

/** A table or replication cluster on one node; what an ignore predicate decides about. */
export interface CatalogObject {
  readonly node: NodeId
  readonly kind: 'table' | 'cluster'
  readonly name: string
}

/**
 * Looks at all tables and replication clusters of the nodes, side by side.
 *
 * @throws NodeError when a node does not answer: a part of a catalog would prove nothing
 */
export async function takeCatalog(
  catalog: NodeCatalog,
  nodes: readonly NodeId[],
  options?: CallOptions,
): Promise<CatalogSnapshot> {
  const entries = await Promise.all(
    nodes.map(async (node) => [node, await takeNode(catalog, node, options)] as const),
  )
  return Object.fromEntries(entries)
}

async function takeNode(catalog: NodeCatalog, node: NodeId, options?: CallOptions): Promise<NodeSnapshot> {
  const [tables, clusters] = await Promise.all([
    catalog.tables(node, options),
    catalog.clusters(node, options),
  ])
  const sharded = [...tables].filter(([, type]) => type === 'shard').map(([name]) => name)
  const layouts = await Promise.all(
    sharded.map(async (name) => [name, await catalog.createStatement(node, name, options)] as const),
  )
  return {
    tables: Object.fromEntries(tables),
    layouts: Object.fromEntries(layouts),
    clusters: Object.fromEntries(clusters.map((cluster) => [cluster.name, clusterSnapshot(cluster)])),
  }
}

function clusterSnapshot({ stateUuid, status, nodesSet, nodesView, tables }: ClusterStatus): ClusterSnapshot {
  return {
    stateUuid,
    status,
    members: [...new Set([...nodesSet, ...nodesView])].toSorted(),
    tables: tables.toSorted(),
  }
}

/**
 * Every difference between two snapshots as a sentence for people; empty when nothing differs.
 *
 * @param ignore objects whose coming, going and changing is not told; nothing is ignored without it
 *
 * @example
 * const before = await takeCatalog(catalog, nodes)
 * await operation()
 * expect(diffCatalogs(before, await takeCatalog(catalog, nodes))).toEqual([])
 */
export function diffCatalogs(
  before: CatalogSnapshot,
  after: CatalogSnapshot,
  ignore: (object: CatalogObject) => boolean = () => false,
): string[] {
  return unionOfKeys(before, after).flatMap((node) => {
    const [was, is] = [before[node], after[node]]
    if (was === undefined) return [`${node}: was not looked at before`]
    if (is === undefined) return [`${node}: was not looked at afterwards`]
    return [...diffTables(node, was, is, ignore), ...diffClusters(node, was, is, ignore)]
  })
}

function diffTables(
  node: NodeId,
  before: NodeSnapshot,
  after: NodeSnapshot,
  ignore: (object: CatalogObject) => boolean,
): string[] {
  return unionOfKeys(before.tables, after.tables)
    .filter((name) => !ignore({ node, kind: 'table', name }))
    .flatMap((name) => {
      const [was, is] = [before.tables[name], after.tables[name]]
      if (was === undefined) return [`${node}: table ${name} (${is ?? ''}) is there and was not before`]
      if (is === undefined) return [`${node}: table ${name} (${was}) was there before and is gone`]
      if (was !== is) return [`${node}: table ${name} was of type ${was} and is of type ${is}`]
      const sameLayout = before.layouts[name] === after.layouts[name]
      return sameLayout ? [] : [`${node}: table ${name} has another layout than before`]
    })
}

function diffClusters(
  node: NodeId,
  before: NodeSnapshot,
  after: NodeSnapshot,
  ignore: (object: CatalogObject) => boolean,
): string[] {
  return unionOfKeys(before.clusters, after.clusters)
    .filter((name) => !ignore({ node, kind: 'cluster', name }))
    .flatMap((name) => {
      const [was, is] = [before.clusters[name], after.clusters[name]]
      if (is === undefined) return [`${node}: was in cluster ${name} before and is not any more`]
      if (was === undefined) return [`${node}: is in cluster ${name} and was not before`]
      const where = `${node}: cluster ${name}`
      const seen = (table: string) => !ignore({ node, kind: 'table', name: table })
      return [
        ...(was.stateUuid === is.stateUuid ? [] : [`${where} is not the one it was, but a new one`]),
        ...(was.status === is.status ? [] : [`${where} was ${was.status} and is ${is.status}`]),
        ...diffLists(where, 'member', was.members, is.members),
        ...diffLists(where, 'table', was.tables.filter(seen), is.tables.filter(seen)),
      ]
    })
}

function diffLists(where: string, what: string, was: readonly string[], is: readonly string[]): string[] {
  return [
    ...is
      .filter((name) => !was.includes(name))
      .map((name) => `${where} has ${what} ${name} and had not before`),
    ...was
      .filter((name) => !is.includes(name))
      .map((name) => `${where} had ${what} ${name} and has not any more`),
  ]
}

function unionOfKeys(
  one: Readonly<Record<string, unknown>>,
  other: Readonly<Record<string, unknown>>,
): string[] {
  return [...new Set([...Object.keys(one), ...Object.keys(other)])].toSorted()
}
