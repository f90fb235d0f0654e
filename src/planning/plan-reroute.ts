import { InputError } from '../domain/errors.ts'
import type { Plan } from '../domain/plan.ts'
import type { CreateTable } from '../domain/statement.ts'
import { markersOf, type NodeId, shardTableName } from '../domain/words.ts'
import { replaceShardedTable } from './statements.ts'
import type { ObservedReplicaSet } from './observed.ts'
import { PlanBuilder } from './plan-builder.ts'
import { compareText, isTemporarySet } from './replica-sets.ts'
import { createShardedTable, dropTable } from './statements.ts'
import { locationsOf, type ObservedTopology, servingLocations } from './topology.ts'

/**
 * Plans that every node's sharded tables name exactly the copies that serve: those of a dead node are left out,
 * those of a returned one come back in, and whatever else differs from the placement is put right. Two-member
 * sets whose other member is dead are made primary again first.
 *
 * A bootstrap is planned only for a set on a node that the cluster of all nodes counts as primary: then the
 * missing member, which that cluster is primary without, cannot be serving writes.
 */
export function planReroute(topology: ObservedTopology): Plan {
  const builder = new PlanBuilder()
  const revived = new Map<string, string>()
  for (const { set, node } of lostQuorums(topology)) {
    const key = builder.add(`bootstrap ${set.name} on ${node}`, {
      node,
      statements: [{ kind: 'set_cluster', cluster: set.name, variable: 'pc.bootstrap', value: 1 }],
      rollback: [],
      onExisting: 'accept',
      why: `its other member does not answer, and cluster '${topology.cluster ?? ''}' is primary without it`,
    })
    revived.set(set.name, key)
  }
  const reasons = addSwitches(builder, topology, revived)
  const commands = builder.commands()
  return {
    type: 'reroute',
    table: '',
    summary: `reroute: ${revived.size} sets made primary, ${commands.length - revived.size} sharded tables replaced`,
    reasons,
    copyBytes: 0,
    commands,
  }
}

/** Sets without quorum of which exactly one member of two is left. Sets of three keep their quorum. */
function lostQuorums(topology: ObservedTopology): { set: ObservedReplicaSet; node: NodeId }[] {
  return topology.replicaSets.flatMap((set) => {
    if (set.primary || set.members.length !== 2 || topology.busySets.has(set.name)) return []
    const survivors = set.members.filter((node) => topology.nodes.includes(node))
    const dead = set.members.filter((node) => topology.missingNodes.includes(node))
    const [node] = survivors
    if (node === undefined || survivors.length !== 1 || dead.length !== 1) return []
    return [{ set, node }]
  })
}

function addSwitches(
  builder: PlanBuilder,
  topology: ObservedTopology,
  revived: ReadonlyMap<string, string>,
): string[] {
  const reasons: string[] = []
  let last: string | undefined
  for (const [table, placed] of [...locationsOf(topology.placements)].toSorted(([a], [b]) =>
    compareText(a, b),
  )) {
    const definitions = topology.definitions.get(table)
    const columns = [...(definitions?.values() ?? [])][0]?.columns
    if (columns === undefined || columns === null) continue
    const serves = servingNodes(topology, table, new Set(revived.keys()))
    const locations = servingLocations(placed, serves)
    for (const node of topology.nodes) {
      const wanted = createShardedTable(table, columns, locations, node)
      const found = definitions?.get(node)
      if (found !== undefined && layoutText(found) === layoutText(wanted)) continue
      if (found === undefined && topology.tables.get(node)?.has(table) === true) {
        reasons.push(`table '${table}' on ${node} is not a sharded table; it is left alone`)
        continue
      }
      last = builder.add(`switch ${table} on ${node}`, {
        node,
        statements: replaceShardedTable(wanted),
        rollback: found === undefined ? [dropTable(table, true)] : replaceShardedTable(found),
        dependsOn: [...revived.values(), ...(last === undefined ? [] : [last])],
        onExisting: 'accept',
        why: 'it names copies that do not serve, or leaves out some that do',
      })
    }
  }
  return reasons
}

function servingNodes(
  topology: ObservedTopology,
  table: string,
  revived: ReadonlySet<string>,
): (node: NodeId, shard: number) => boolean {
  const sets = new Map(topology.replicaSets.map((set) => [set.name, set]))
  const setOf = new Map<number, string>()
  for (const row of topology.placements.filter((placement) => placement.table === table)) {
    for (const shard of row.shards) setOf.set(shard, row.replicaSet)
  }
  return (node, shard) => {
    if (!topology.nodes.includes(node)) return false
    const name = setOf.get(shard) ?? ''
    if (name === '' || revived.has(name)) return true
    return sets.get(name)?.liveMembers.includes(node) === true
  }
}

/** What a definition says about shards, whatever the order of shards and mirrors, and how mirrors are asked. */
function layoutText(definition: CreateTable): string {
  return definition.options
    .filter(({ name }) => name === 'local' || name === 'agent')
    .map(({ name, value }) => `${name}=${mirrorsIn(value).toSorted(compareText).join('|')}`)
    .toSorted(compareText)
    .join('\n')
}

/** `h1:p1:t|h2:p2:t[retry_count=2]` without its options. */
function mirrorsIn(value: string): string[] {
  const [mirrors = ''] = value.split('[', 1)
  return mirrors.split('|')
}

/**
 * Plans what is left to do on a node that was away, or that could not be freed while another one was: it exits sets in which others have replaced it, drops the
 * copies that the placement no longer knows, and half-made homes of sets. Its rows elsewhere are safe: a copy is
 * dropped only when the placement names other holders of that shard, which are compared first.
 */
export function planClean(topology: ObservedTopology, node: NodeId): Plan {
  const tables = topology.tables.get(node)
  if (tables === undefined) {
    throw new InputError('node', `${node} does not answer, so it cannot be cleaned`, 'cluster_unhealthy')
  }
  const builder = new PlanBuilder()
  builder.pivot()
  const holds = new Set(topology.placements.filter((row) => row.node === node).map((row) => row.replicaSet))
  const left = new Map<string, string>()
  for (const set of topology.replicaSets) {
    const markers = markersOf(set.name, tables)
    const isThere = markers.length > 0 || set.liveMembers.includes(node)
    if (!isThere || holds.has(set.name) || topology.busySets.has(set.name)) continue
    const inUse = topology.placements.some((row) => row.replicaSet === set.name)
    if (!inUse && !isTemporarySet(set.name)) continue
    left.set(set.name, addExit(builder, node, set.name, markers))
  }
  addDrops(builder, topology, node, [...left.values()])
  const commands = builder.commands()
  return {
    type: 'clean',
    table: '',
    summary: `clean ${node}: ${left.size} sets to leave, ${commands.length} commands`,
    reasons: [...left.keys()].map((set) => `${set} has other members now; ${node} was replaced in it`),
    copyBytes: 0,
    commands,
  }
}

function addExit(builder: PlanBuilder, node: NodeId, set: string, markers: readonly string[]): string {
  const exit = builder.add(`exit ${set} on ${node}`, {
    node,
    statements: [{ kind: 'exit_cluster', cluster: set }],
    rollback: [],
    onExisting: 'accept',
    why: 'others have taken its place while it was away',
  })
  if (markers.length === 0) return exit
  return builder.add(`drop marker ${set} on ${node}`, {
    node,
    statements: markers.map((marker) => dropTable(marker)),
    rollback: [],
    dependsOn: [exit],
    onExisting: 'accept',
    why: `${set} has no home here any more`,
  })
}

function addDrops(
  builder: PlanBuilder,
  topology: ObservedTopology,
  node: NodeId,
  dependsOn: readonly string[],
): void {
  for (const [table, locations] of locationsOf(topology.placements)) {
    for (const [shard, holders] of locations) {
      const name = shardTableName(table, shard)
      if (holders.includes(node) || topology.tables.get(node)?.has(name) !== true) continue
      const silent = holders.filter((holder) => !topology.nodes.includes(holder))
      if (silent.length > 0) continue
      const set = topology.placements.find((row) => row.table === table && row.shards.includes(shard))
      if (topology.busySets.has(set?.replicaSet ?? '')) continue
      builder.add(`drop shard ${name} on ${node}`, {
        node,
        statements: [dropTable(name)],
        rollback: [],
        dependsOn,
        onExisting: 'accept',
        why: `${holders.join(', ')} hold this shard now`,
      })
    }
  }
}
