import { markersOf, type NodeId, shardTableName } from '../domain/words.ts'
import type { NodeTraits, Unit } from './layout.ts'
import type { ObservedPlacement, ObservedReplicaSet, ObservedState, TableDefinitions } from './observed.ts'
import { compareText } from './replica-sets.ts'
import type { ShardLocation } from './statements.ts'

/** What is needed beyond {@link ObservedState} to move copies. */
export interface ObservedTopology extends ObservedState {
  /** Sharded tables as each node defines them now, by table. */
  readonly definitions: ReadonlyMap<string, TableDefinitions>
  /** What operators said about nodes. */
  readonly traits: ReadonlyMap<NodeId, NodeTraits>
  /** Nodes that take no copies any more. */
  readonly drained: ReadonlySet<NodeId>
  /** Bytes of a copy of each shard, by its table's name, as far as they are known. */
  readonly sizes: ReadonlyMap<string, number>
  /** Replica sets that an unfinished operation works on, and which one. */
  readonly busySets: ReadonlyMap<string, string>
}

/** A {@link Unit} with what it consists of. */
export interface ShardUnit extends Unit {
  /** Null for a shard with a single copy. */
  readonly set: ObservedReplicaSet | null
  readonly shards: readonly { readonly table: string; readonly shard: number }[]
}

/**
 * Everything that has a place, in units that move together.
 *
 * @param tables only units with shards of these may move; undefined: all
 */
export function unitsOf(topology: ObservedTopology, tables: ReadonlySet<string> | undefined): ShardUnit[] {
  const units = [...setUnits(topology), ...singleUnits(topology)]
  if (tables === undefined) return units
  return units.map((unit) =>
    unit.pinned !== null || unit.shards.some(({ table }) => tables.has(table))
      ? unit
      : { ...unit, pinned: 'it holds nothing of the tables that are to be moved' },
  )
}

function setUnits(topology: ObservedTopology): ShardUnit[] {
  const rows = Map.groupBy(
    topology.placements.filter(({ replicaSet }) => replicaSet !== ''),
    ({ replicaSet }) => replicaSet,
  )
  return [...rows]
    .toSorted(([a], [b]) => compareText(a, b))
    .map(([name, placements]) => {
      const set = topology.replicaSets.find((candidate) => candidate.name === name) ?? null
      const shards = shardsOf(placements)
      const holders = [...new Set(placements.map(({ node }) => node))].toSorted(compareText)
      return {
        name,
        set,
        shards,
        holders,
        copies: shards.length,
        bytes: bytesOf(topology, shards),
        barred: nodesWithLeftovers(
          topology,
          holders,
          shards.map(({ table, shard }) => shardTableName(table, shard)),
          name,
        ),
        pinned: whySetStays(topology, name, set, holders, shards),
      }
    })
}

function whySetStays(
  topology: ObservedTopology,
  name: string,
  set: ObservedReplicaSet | null,
  holders: readonly NodeId[],
  shards: ShardUnit['shards'],
): string | null {
  const busy = topology.busySets.get(name)
  if (busy !== undefined) return `operation ${busy} works on it`
  if (set === null || !set.primary) return `no node reports ${name} as primary`
  const behind = holders.filter((node) => topology.nodes.includes(node) && !set.liveMembers.includes(node))
  if (behind.length > 0) return `${behind.join(', ')} is not in sync with it`
  const known = new Set(shards.map(({ table, shard }) => shardTableName(table, shard)))
  const foreign = set.tables.filter((table) => !known.has(table))
  if (foreign.length > 0) return `it holds ${foreign.join(', ')}, which belongs to no sharded table`
  return null
}

function singleUnits(topology: ObservedTopology): ShardUnit[] {
  return topology.placements
    .filter(({ replicaSet }) => replicaSet === '')
    .flatMap(({ table, node, shards }) => shards.map((shard) => ({ table, node, shard })))
    .toSorted((a, b) => compareText(a.table, b.table) || a.shard - b.shard)
    .map(({ table, node, shard }) => {
      const name = shardTableName(table, shard)
      return {
        name,
        set: null,
        shards: [{ table, shard }],
        holders: [node],
        copies: 1,
        bytes: topology.sizes.get(name) ?? 0,
        barred: nodesWithLeftovers(topology, [node], [name]),
        pinned: topology.nodes.includes(node) ? null : `its only copy is there, and ${node} does not answer`,
      }
    })
}

function shardsOf(placements: readonly ObservedPlacement[]): { table: string; shard: number }[] {
  const shards = new Map<string, { table: string; shard: number }>()
  for (const { table, shards: numbers } of placements) {
    for (const shard of numbers) shards.set(shardTableName(table, shard), { table, shard })
  }
  return [...shards.values()].toSorted((a, b) => compareText(a.table, b.table) || a.shard - b.shard)
}

function bytesOf(topology: ObservedTopology, shards: ShardUnit['shards']): number {
  return shards.reduce(
    (sum, { table, shard }) => sum + (topology.sizes.get(shardTableName(table, shard)) ?? 0),
    0,
  )
}

/** Nodes that hold something of these names without being holders, e.g. after a dead node's return. */
function nodesWithLeftovers(
  topology: ObservedTopology,
  holders: readonly NodeId[],
  names: readonly string[],
  set = '',
): ReadonlySet<NodeId> {
  const lies = (tables: ReadonlySet<string>) =>
    names.some((name) => tables.has(name)) || (set !== '' && markersOf(set, tables).length > 0)
  return new Set(
    [...topology.tables]
      .filter(([node, tables]) => !holders.includes(node) && lies(tables))
      .map(([node]) => node),
  )
}

/** Holders of every shard of every table, as the placement says. */
export function locationsOf(placements: readonly ObservedPlacement[]): Map<string, Map<number, NodeId[]>> {
  const tables = new Map<string, Map<number, NodeId[]>>()
  for (const { table, node, shards } of placements.toSorted((a, b) => compareText(a.node, b.node))) {
    const locations = tables.get(table) ?? new Map<number, NodeId[]>()
    for (const shard of shards) locations.set(shard, [...(locations.get(shard) ?? []), node])
    tables.set(table, locations)
  }
  return tables
}

/**
 * Where a sharded table should look for its shards: at the holders that serve. A shard none of whose holders
 * serves keeps them all, so that it works again as soon as one returns.
 */
export function servingLocations(
  locations: ReadonlyMap<number, readonly NodeId[]>,
  serves: (node: NodeId, shard: number) => boolean,
): ShardLocation[] {
  return [...locations]
    .toSorted(([a], [b]) => a - b)
    .map(([shard, holders]) => {
      const serving = holders.filter((node) => serves(node, shard))
      return { shard, nodes: serving.length > 0 ? serving : holders }
    })
}
