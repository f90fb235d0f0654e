import type { CreateTable, Statement } from '../domain/statement.ts'
import type { NodeId } from '../domain/words.ts'
import { effectOf } from './effect.ts'

/** What was there, as far as it is known, before a command ran. */
export interface ObservedObjects {
  /** Tables of the command's node, `system.` ones included. */
  readonly tables: ReadonlySet<string>
  /** Clusters and their members, also clusters that the command's node is not in, when they are known. */
  readonly clusters: ReadonlyMap<string, readonly NodeId[]>
  /** The command's node; without it, no member of a cluster is taken for the node itself. */
  readonly node?: NodeId
  /** How tables of the node are defined, where that is known. */
  readonly definitions?: ReadonlyMap<string, CreateTable>
  readonly clusterDetails?: ReadonlyMap<string, ObservedCluster>
}

export interface ObservedCluster {
  /** Folder relative to the data folder, or null for the data folder itself. */
  readonly path: string | null
  readonly tables: readonly string[]
}

export const NOTHING_OBSERVED: ObservedObjects = { tables: new Set(), clusters: new Map() }

/** Members of a cluster without the command's own node; null when the cluster is not known. */
export function otherMembers(observed: ObservedObjects, cluster: string): readonly NodeId[] | null {
  const members = observed.clusters.get(cluster)
  return members === undefined ? null : members.filter((member) => member !== observed.node)
}

/** Whether the command's node is known to be in the cluster. */
export function isMember(observed: ObservedObjects, cluster: string): boolean {
  const members = observed.clusters.get(cluster)
  return members !== undefined && observed.node !== undefined && members.includes(observed.node)
}

/** Whether a statement that would make something finds it there. */
export function isAlreadyThere(statement: Statement, observed: ObservedObjects): boolean {
  if (statement.kind === 'create_table') return observed.tables.has(statement.table.name)
  if (statement.kind === 'create_cluster') return observed.clusters.has(statement.cluster)
  return statement.kind === 'join_cluster' && isMember(observed, statement.cluster)
}

/** What is there once `statement` has succeeded: how the next statement of a command finds the node. */
export function observedAfter(statement: Statement, before: ObservedObjects): ObservedObjects {
  const effect = effectOf(statement)
  const tables = new Set(before.tables)
  const clusters = new Map(before.clusters)
  const definitions = new Map(before.definitions)
  const self = before.node === undefined ? [] : [before.node]
  if (effect.kind === 'table_made' && !tables.has(effect.table)) {
    tables.add(effect.table)
    definitions.set(effect.table, effect.definition)
  }
  if (effect.kind === 'table_dropped') {
    tables.delete(effect.table)
    definitions.delete(effect.table)
  }
  if (effect.kind === 'cluster_made' && !clusters.has(effect.cluster)) clusters.set(effect.cluster, self)
  if (effect.kind === 'cluster_deleted') clusters.delete(effect.cluster)
  if (effect.kind === 'cluster_joined' && !isMember(before, effect.cluster)) {
    clusters.set(effect.cluster, [...(clusters.get(effect.cluster) ?? []), ...self])
  }
  if (effect.kind === 'cluster_left') clusters.set(effect.cluster, otherMembers(before, effect.cluster) ?? [])
  return { ...before, tables, clusters, definitions }
}
