import { InputError } from '../domain/errors.ts'
import type { Plan } from '../domain/plan.ts'
import { isBuddySet, markersOf, type NodeId, shardTableName } from '../domain/words.ts'
import type { ObservedPlacement, ObservedState, TableDefinitions } from './observed.ts'
import { PlanBuilder } from './plan-builder.ts'
import { compareText } from './replica-sets.ts'
import { alterReplicaSet, deletePlacements, dropTable, insertPlacements } from './statements.ts'

/**
 * Plans the end of a sharded table. Before the pivot the sharded tables and the placement rows go, which can
 * be put back; behind it the shards leave their sets and are dropped. Replica sets stay for the next table, but those that
 * Buddy made go with their last one.
 *
 * @param definitions the sharded table as each node defines it now, for putting it back
 * @throws InputError when there is no such table or a node does not answer
 */
export function planDrop(observed: ObservedState, table: string, definitions: TableDefinitions): Plan {
  const placements = observed.placements
    .filter((placement) => placement.table === table)
    .toSorted((a, b) => a.id - b.id)
  checkDrop(observed, table, placements)
  const builder = new PlanBuilder()
  const hidden = addTableDrops(builder, observed, table, definitions)
  const forgotten = addPlacementDelete(builder, observed, table, placements, hidden)
  builder.pivot()
  addShardDrops(builder, observed, table, placements, forgotten)
  const commands = builder.commands()
  return {
    type: 'drop',
    table,
    summary: `drop table ${table}: ${commands.length} commands`,
    reasons: [],
    copyBytes: 0,
    commands,
  }
}

function checkDrop(observed: ObservedState, table: string, placements: readonly ObservedPlacement[]): void {
  if (placements.length === 0) {
    throw new InputError(
      'table',
      `there is no sharded table '${table}'; nothing was changed`,
      'table_missing',
    )
  }
  if (observed.missingNodes.length > 0) {
    throw new InputError(
      'nodes',
      `cannot drop table '${table}': ${observed.missingNodes.join(', ')} of cluster '${observed.cluster ?? ''}' does not answer and would keep its copies`,
      'cluster_unhealthy',
    )
  }
}

function addTableDrops(
  builder: PlanBuilder,
  observed: ObservedState,
  table: string,
  definitions: TableDefinitions,
): string[] {
  return observed.nodes.flatMap((node) => {
    const definition = definitions.get(node)
    if (definition === undefined) return []
    return builder.add(`drop sharded table ${table} on ${node}`, {
      node,
      statements: [dropTable(table, true)],
      rollback: [{ ...definition, ifNotExists: true }],
      onExisting: 'accept',
      why: 'users no longer see it; its rows are still there',
    })
  })
}

function addPlacementDelete(
  builder: PlanBuilder,
  observed: ObservedState,
  table: string,
  placements: readonly ObservedPlacement[],
  hidden: readonly string[],
): string[] {
  const [node] = observed.nodes
  if (node === undefined) return []
  return [
    builder.add(`forget placement of ${table}`, {
      node,
      statements: [
        deletePlacements(
          observed.cluster,
          placements.map(({ id }) => id),
        ),
      ],
      rollback: [insertPlacements('replace', observed.cluster, placements)],
      dependsOn: hidden,
      onExisting: 'accept',
      why: 'its shards belong to no table any more',
    }),
  ]
}

function addShardDrops(
  builder: PlanBuilder,
  observed: ObservedState,
  table: string,
  placements: readonly ObservedPlacement[],
  forgotten: readonly string[],
): void {
  const left = new Map<string, string[]>()
  let lastDelete: readonly string[] = []
  for (const [replicaSet, shards] of shardsBySet(placements)) {
    const key = addSetLeave(builder, observed, table, replicaSet, shards, forgotten)
    if (key !== undefined) left.set(replicaSet, [key])
    const names = shards.map((shard) => shardTableName(table, shard))
    lastDelete = addSetDelete(builder, observed, replicaSet, names, [
      ...(left.get(replicaSet) ?? forgotten),
      ...lastDelete,
    ])
  }
  for (const { node, replicaSet, shards } of placements) {
    for (const name of shards.map((shard) => shardTableName(table, shard))) {
      if (observed.tables.get(node)?.has(name) !== true) continue
      builder.add(`drop shard ${name} on ${node}`, {
        node,
        statements: [dropTable(name)],
        rollback: [],
        dependsOn: left.get(replicaSet) ?? forgotten,
        onExisting: 'accept',
        why: 'frees its disk space',
      })
    }
  }
}

/** The shards of one replica set leave it together; on a live member, which tells the others. */
function addSetLeave(
  builder: PlanBuilder,
  observed: ObservedState,
  table: string,
  replicaSet: string,
  shards: readonly number[],
  forgotten: readonly string[],
): string | undefined {
  const set = observed.replicaSets.find(({ name }) => name === replicaSet)
  const node: NodeId | undefined = set?.liveMembers[0]
  if (set === undefined || node === undefined) return undefined
  const names = shards
    .map((shard) => shardTableName(table, shard))
    .filter((name) => set.tables.includes(name))
  if (names.length === 0) return undefined
  return builder.add(`take shards of ${table} out of ${replicaSet}`, {
    node,
    statements: [alterReplicaSet(replicaSet, 'drop', names)],
    rollback: [],
    dependsOn: forgotten,
    onExisting: 'accept',
    why: 'a table in a cluster cannot be dropped',
  })
}

/** A set that Buddy made ends with its last table; sets end one after the other. Returns what the next one waits for. */
function addSetDelete(
  builder: PlanBuilder,
  observed: ObservedState,
  replicaSet: string,
  leaving: readonly string[],
  dependsOn: readonly string[],
): readonly string[] {
  const set = observed.replicaSets.find(({ name }) => name === replicaSet)
  const [node] = set?.liveMembers ?? []
  const isLast = set?.tables.every((name) => leaving.includes(name)) === true
  if (!isBuddySet(replicaSet) || node === undefined || !isLast) return []
  const deleted = builder.add(`delete ${replicaSet}`, {
    node,
    statements: [{ kind: 'delete_cluster', cluster: replicaSet }],
    rollback: [],
    dependsOn,
    onExisting: 'accept',
    why: 'Buddy made it for its own tables, and this was the last one',
  })
  for (const [member, tables] of observed.tables) {
    for (const marker of markersOf(replicaSet, tables)) {
      builder.add(`drop marker ${marker} on ${member}`, {
        node: member,
        statements: [dropTable(marker)],
        rollback: [],
        dependsOn: [deleted],
        onExisting: 'accept',
        why: `${replicaSet} is gone`,
      })
    }
  }
  return [deleted]
}

function shardsBySet(placements: readonly ObservedPlacement[]): [string, number[]][] {
  const shards = new Map<string, Set<number>>()
  for (const placement of placements) {
    if (placement.replicaSet === '') continue
    const held = shards.get(placement.replicaSet) ?? new Set<number>()
    for (const shard of placement.shards) held.add(shard)
    shards.set(placement.replicaSet, held)
  }
  return [...shards]
    .toSorted(([a], [b]) => compareText(a, b))
    .map(([set, held]) => [set, [...held].toSorted((a, b) => a - b)])
}
