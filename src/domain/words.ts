/**
 * The words of this project, used alike in code, SQL, command line and documents.
 *
 * - **node**: one Manticore daemon, named `host:port` after its API/HTTP listener.
 * - **cluster**: the replication cluster of all nodes. *Standalone* means one node and no cluster.
 * - **sharded table**: what users see; a `type='shard'` table on every node.
 * - **shard**: a physical table `system.<table>_s<N>` that holds a part of its rows.
 * - **copy** (replica): a shard on one node. **replication factor** (rf): how many copies a shard must have.
 * - **replica set**: a small replication cluster whose members hold the same shards. Its folder on every
 *   member is that of its marker table `system.<replica set>`.
 * - **placement**: which shard is on which nodes.
 * - **command**: one SQL unit for one node, stored with its rollback.
 * - **operation**: a group of commands that succeed or are undone together.
 * - **plan**: an operation before it is queued; a value that can be printed and compared.
 * - **pivot**: the point of no return of an operation.
 * - **coordinator**: the process that holds leadership and runs operations. **epoch**: its fencing number.
 */

/** `host:port` of a node's API/HTTP listener, as the daemon itself spells it in `nodes_view`. */
export type NodeId = string

/** A replica set as it stands: members in joining order, the first one runs statements for the set. */
export interface ReplicaSet {
  readonly name: string
  readonly members: readonly NodeId[]
}

/** One row of `system.sharding_table`: the shards that one node holds through one replica set. */
export interface Placement {
  readonly table: string
  readonly node: NodeId
  /** Name of the replica set, or `''` for shards with a single copy. */
  readonly replicaSet: string
  /** Shard numbers, ascending. */
  readonly shards: readonly number[]
}

/** Physical name of shard number `shard` of `table`. */
export function shardTableName(table: string, shard: number): string {
  return `system.${table}_s${shard}`
}

/** The table and the number of a shard, or undefined when it is not the name of one. */
export function parseShardTableName(name: string): { table: string; shard: number } | undefined {
  const mark = name.lastIndexOf('_s')
  const digits = name.slice(mark + 2)
  if (!name.startsWith('system.') || mark <= 'system.'.length || !/^(0|[1-9]\d*)$/.test(digits))
    return undefined
  return { table: name.slice('system.'.length, mark), shard: Number(digits) }
}

/** How Manticore Buddy names its replica sets. */
const BUDDY_SET_NAME = /^[0-9a-f]{32}$/

/** Whether Manticore Buddy made a replica set: nodes that it put there have no marker table, but a folder of that name. */
export function isBuddySet(replicaSet: string): boolean {
  return BUDDY_SET_NAME.test(replicaSet)
}

/**
 * The table whose folder a replica set lives in. The daemon leaves files in it when the table is dropped, and makes no
 * table in a folder that is not empty: a node that comes back to a set needs another name, told apart by `suffix`.
 */
export function markerTableName(replicaSet: string, suffix = ''): string {
  // No table's name begins with a digit.
  const name = isBuddySet(replicaSet) ? `system.rs_${replicaSet}` : `system.${replicaSet}`
  return suffix === '' ? name : `${name}_${suffix}`
}

/** The names of a set's marker tables among those of a node. */
export function markersOf(replicaSet: string, tables: ReadonlySet<string>): string[] {
  const name = markerTableName(replicaSet)
  return [...tables].filter((table) => table === name || table.startsWith(`${name}_`)).toSorted()
}
