import { InputError } from '../domain/errors.ts'
import { MAX_SHARDS } from '../domain/limits.ts'
import type { Plan } from '../domain/plan.ts'
import type { IdSource } from '../domain/ports.ts'
import type { ColumnDefinition, TableOption } from '../domain/statement.ts'
import { markerTableName, type NodeId, type ReplicaSet, shardTableName } from '../domain/words.ts'
import { assignShards, type ShardAssignment, type ShardTarget } from './assign-shards.ts'
import { DEFAULT_TRAITS } from './layout.ts'
import type { ObservedPlacement, ObservedState } from './observed.ts'
import { PlanBuilder } from './plan-builder.ts'
import { chooseReplicaSets, compareText, usableReplicaSets } from './replica-sets.ts'
import {
  alterReplicaSet,
  createMarkerTable,
  createReplicaSet,
  createShardedTable,
  createTable,
  deletePlacements,
  dropTable,
  insertPlacements,
  joinReplicaSet,
  type ShardLocation,
} from './statements.ts'

export interface CreateRequest {
  readonly table: string
  readonly columns: readonly ColumnDefinition[]
  /** Options of the shards, e.g. `morphology`. */
  readonly options: readonly TableOption[]
  readonly shards: number
  /** Replication factor: copies of every shard. */
  readonly rf: number
}

/**
 * Plans a new sharded table: the replica sets that are missing, the shards on every member, the shards into
 * their sets, the sharded table on every node, the placement rows.
 *
 * @throws InputError when the request does not fit what is observed; nothing has been changed then.
 */
export function planCreate(observed: ObservedState, request: CreateRequest, ids: IdSource): Plan {
  checkRequest(observed, request)
  const builder = new PlanBuilder()
  const { assignments, missing } = place(observed, request, ids)
  const joined = addReplicaSets(builder, missing)
  const shardsReady = addShards(builder, request, assignments, joined)
  const tablesReady = addShardedTables(builder, observed.nodes, request, assignments, shardsReady)
  addPlacementRows(builder, observed, request.table, assignments, ids, tablesReady)
  const commands = builder.commands()
  return {
    type: 'create',
    table: request.table,
    summary: `create table ${request.table}: ${request.shards} shards × ${request.rf} copies on ${observed.nodes.length} nodes, ${missing.length} new replica sets, ${commands.length} commands`,
    reasons: missing.map(
      ({ name, members }) =>
        `${name} is made on ${members.join(', ')}: too few usable sets of ${request.rf} nodes`,
    ),
    copyBytes: 0,
    commands,
  }
}

function place(
  observed: ObservedState,
  { shards, rf }: CreateRequest,
  ids: IdSource,
): { assignments: ShardAssignment[]; missing: readonly ReplicaSet[] } {
  const nodes = takers(observed)
  const weightOf = (node: NodeId) => (observed.traits?.get(node) ?? DEFAULT_TRAITS).weight
  if (rf === 1) {
    const targets = nodes.map((node): ShardTarget => ({ replicaSet: '', members: [node] }))
    return { assignments: assignShards(shards, targets, observed.placements, weightOf), missing: [] }
  }
  const { sets, missing } = chooseReplicaSets({
    nodes,
    existing: usableReplicaSets(observed.replicaSets, nodes, rf).filter(
      ({ name }) => observed.changingSets?.has(name) !== true,
    ),
    shards,
    rf,
    newName: () => `rs_${ids.next().toString(36)}`,
    traitsOf: (node) => observed.traits?.get(node) ?? DEFAULT_TRAITS,
  })
  const targets = sets.map((set): ShardTarget => ({ replicaSet: set.name, members: set.members }))
  const assignments = assignShards(shards, targets, observed.placements, weightOf)
  const used = new Set(assignments.map(({ replicaSet }) => replicaSet))
  return { assignments, missing: missing.filter(({ name }) => used.has(name)) }
}

/** Nodes that take copies: all but those that an operator has emptied. */
function takers({ nodes, traits }: ObservedState): readonly NodeId[] {
  return nodes.filter((node) => traits?.get(node)?.drained !== true)
}

/** Returns, by replica set, the keys after which the set is complete. */
function addReplicaSets(builder: PlanBuilder, missing: readonly ReplicaSet[]): Map<string, string[]> {
  const complete = new Map<string, string[]>()
  for (const { name, members } of missing) {
    const markers = new Map<NodeId, string>()
    for (const node of members) {
      const key = builder.add(`marker ${name} on ${node}`, {
        node,
        statements: [createMarkerTable(markerTableName(name))],
        rollback: [dropTable(markerTableName(name))],
        onExisting: 'fail',
        why: `its folder is the home of replica set ${name} on this node`,
      })
      markers.set(node, key)
    }
    const [first, ...others] = members
    if (first === undefined) continue
    const created = builder.add(`replica set ${name} on ${first}`, {
      node: first,
      statements: [createReplicaSet(name)],
      rollback: [{ kind: 'delete_cluster', cluster: name }],
      dependsOn: keysOf(markers, [first]),
      onExisting: 'fail',
      why: `no usable set of ${members.length} nodes is left for these shards`,
    })
    const joins = others.map((node) =>
      builder.add(`join ${name} on ${node}`, {
        node,
        statements: [joinReplicaSet(name, first)],
        rollback: [{ kind: 'exit_cluster', cluster: name }],
        dependsOn: [created, ...keysOf(markers, [node])],
        onExisting: 'fail',
        why: `makes ${node} hold the shards of ${name}`,
      }),
    )
    complete.set(name, [created, ...joins])
  }
  return complete
}

function keysOf(keys: ReadonlyMap<NodeId, string>, nodes: readonly NodeId[]): string[] {
  return nodes.flatMap((node) => keys.get(node) ?? [])
}

/** Returns the keys after which every shard has all its copies. */
function addShards(
  builder: PlanBuilder,
  { table, columns, options }: CreateRequest,
  assignments: readonly ShardAssignment[],
  joined: ReadonlyMap<string, readonly string[]>,
): string[] {
  const ready: string[] = []
  for (const { replicaSet, members, shards } of assignments) {
    const names = shards.map((shard) => shardTableName(table, shard))
    const made = members.flatMap((node) =>
      names.map((name) =>
        builder.add(`shard ${name} on ${node}`, {
          node,
          statements: [createTable(name, columns, options)],
          rollback: [dropTable(name)],
          onExisting: 'fail',
          why: replicaSet === '' ? 'the only copy of this shard' : `a copy of this shard in ${replicaSet}`,
        }),
      ),
    )
    const [first] = members
    if (replicaSet === '' || first === undefined) {
      ready.push(...made)
      continue
    }
    ready.push(
      builder.add(`add shards of ${table} to ${replicaSet}`, {
        node: first,
        statements: [alterReplicaSet(replicaSet, 'add', names)],
        rollback: [alterReplicaSet(replicaSet, 'drop', names)],
        dependsOn: [...(joined.get(replicaSet) ?? []), ...made],
        onExisting: 'fail',
        why: `from here on every write to these shards reaches ${members.length} nodes`,
      }),
    )
  }
  return ready
}

function addShardedTables(
  builder: PlanBuilder,
  nodes: readonly NodeId[],
  { table, columns }: CreateRequest,
  assignments: readonly ShardAssignment[],
  shardsReady: readonly string[],
): string[] {
  const locations = shardLocations(assignments)
  return nodes.map((node) =>
    builder.add(`sharded table ${table} on ${node}`, {
      node,
      statements: [createShardedTable(table, columns, locations, node)],
      rollback: [dropTable(table, true)],
      dependsOn: shardsReady,
      onExisting: 'fail',
      why: 'what users see; made last, so that nobody writes into half a table',
    }),
  )
}

function shardLocations(assignments: readonly ShardAssignment[]): ShardLocation[] {
  return assignments
    .flatMap(({ members, shards }) => shards.map((shard) => ({ shard, nodes: members })))
    .toSorted((a, b) => a.shard - b.shard)
}

function addPlacementRows(
  builder: PlanBuilder,
  observed: ObservedState,
  table: string,
  assignments: readonly ShardAssignment[],
  ids: IdSource,
  tablesReady: readonly string[],
): void {
  const rows = assignments.flatMap(({ replicaSet, members, shards }) =>
    members.map((node): ObservedPlacement => ({ id: ids.next(), table, node, replicaSet, shards })),
  )
  const [node] = observed.nodes
  if (node === undefined) return
  builder.add(`placement of ${table}`, {
    node,
    statements: [insertPlacements('insert', observed.cluster, rows)],
    rollback: [
      deletePlacements(
        observed.cluster,
        rows.map(({ id }) => id),
      ),
    ],
    dependsOn: tablesReady,
    onExisting: 'fail',
    why: 'records which shard is on which nodes',
  })
}

function checkRequest(observed: ObservedState, { table, shards, rf }: CreateRequest): void {
  checkShardsAndRf(shards, rf)
  checkRfFits(observed, rf)
  if (observed.missingNodes.length > 0) {
    throw new InputError(
      'nodes',
      `cannot create table '${table}': ${listed(observed.missingNodes)} of cluster '${observed.cluster ?? ''}' does not answer, and a sharded table must be made on every node`,
      'cluster_unhealthy',
    )
  }
  if (observed.placements.some((placement) => placement.table === table)) {
    throw new InputError('table', `table '${table}' is sharded already`, 'table_exists')
  }
  const inTheWay = new Set([table, ...Array.from({ length: shards }, (_, n) => shardTableName(table, n))])
  for (const node of observed.nodes) {
    for (const name of observed.tables.get(node) ?? []) {
      if (inTheWay.has(name)) {
        throw new InputError(
          'table',
          `cannot create table '${table}': a table '${name}' exists on ${node} already; nothing was changed`,
          'table_exists',
        )
      }
    }
  }
}

/**
 * Checks what can be checked without looking at any node.
 *
 * @throws InputError that names the field and what is allowed
 */
export function checkShardsAndRf(shards: number, rf: number): void {
  if (!Number.isInteger(shards) || shards < 1) {
    throw new InputError('shards', `the number of shards must be a whole number of at least 1, not ${shards}`)
  }
  if (shards > MAX_SHARDS) {
    throw new InputError('shards', `the number of shards must be at most ${MAX_SHARDS}, not ${shards}`)
  }
  if (!Number.isInteger(rf) || rf < 1) {
    throw new InputError('rf', `the replication factor must be a whole number of at least 1, not ${rf}`)
  }
}

function checkRfFits(observed: ObservedState, rf: number): void {
  if (observed.cluster === null && rf > 1) {
    throw new InputError(
      'rf',
      `a replication factor of ${rf} needs a cluster; this is a single node: use 1, or connect with the name of a cluster`,
    )
  }
  const nodeCount = observed.nodes.length + observed.missingNodes.length
  if (rf > nodeCount) {
    throw new InputError(
      'rf',
      `a replication factor of ${rf} needs ${rf} nodes, and cluster '${observed.cluster ?? ''}' has ${nodeCount}: use at most ${nodeCount}, or add nodes`,
    )
  }
  const drained = observed.nodes.filter((node) => !takers(observed).includes(node))
  if (drained.length > 0 && rf > nodeCount - drained.length) {
    throw new InputError(
      'rf',
      `a replication factor of ${rf} needs ${rf} nodes that take copies, and ${listed(drained)} of cluster '${observed.cluster ?? ''}' is drained: let it take copies again with setNode(node, { drained: false }), or add nodes`,
    )
  }
}

function listed(nodes: readonly NodeId[]): string {
  return `${nodes.length === 1 ? 'node' : 'nodes'} ${nodes.toSorted(compareText).join(', ')}`
}
