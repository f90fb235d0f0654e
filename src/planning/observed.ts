import type { NodeTraits } from './layout.ts'
import type { CreateTable } from '../domain/statement.ts'
import type { NodeId, Placement } from '../domain/words.ts'

/** A replica set as its members report it. */
export interface ObservedReplicaSet {
  readonly name: string
  /** Configured members in the order the daemon lists them. */
  readonly members: readonly NodeId[]
  /** Members that are connected and synced. */
  readonly liveMembers: readonly NodeId[]
  readonly primary: boolean
  /** Tables in the set, sorted. */
  readonly tables: readonly string[]
}

/** Everything a plan is made from. A value: the same one always gives the same plan. */
export interface ObservedState {
  /** The cluster of all nodes, or null for a single standalone node. */
  readonly cluster: string | null
  /** Nodes that answer, sorted. */
  readonly nodes: readonly NodeId[]
  /** Nodes that belong to the cluster but do not answer, sorted. */
  readonly missingNodes: readonly NodeId[]
  /** Names of all tables, `system.` ones included, of each node that answers. */
  readonly tables: ReadonlyMap<NodeId, ReadonlySet<string>>
  readonly replicaSets: readonly ObservedReplicaSet[]
  /** The rows of `system.sharding_table` that are ours. */
  readonly placements: readonly ObservedPlacement[]
  /** Those that Manticore Buddy wrote, of tables that are not adopted yet; left out: none. */
  readonly buddyPlacements?: readonly BuddyPlacement[]
  /** What operators said about nodes; left out: nothing. */
  readonly traits?: ReadonlyMap<NodeId, NodeTraits & { readonly drained?: boolean }>
  /** Replica sets whose members an unfinished operation changes; left out: none. */
  readonly changingSets?: ReadonlySet<string>
}

/** A placement with the id of its row. */
export interface ObservedPlacement extends Placement {
  readonly id: number
}

/** A row that Manticore Buddy wrote. Its `replicaSet` may be the name of any cluster. */
export interface BuddyPlacement extends Placement {
  readonly id: number | bigint
}

/** A sharded table as one node defines it. */
export type TableDefinitions = ReadonlyMap<NodeId, CreateTable>
