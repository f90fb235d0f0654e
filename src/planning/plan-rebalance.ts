import { InputError } from '../domain/errors.ts'
import type { OperationType } from '../domain/operation.ts'
import type { Plan } from '../domain/plan.ts'
import type { IdSource } from '../domain/ports.ts'
import type { NodeId } from '../domain/words.ts'
import { type Move, planMoves } from './layout.ts'
import { type MoveCommands, MoveWriter } from './move-commands.ts'
import { PlanBuilder } from './plan-builder.ts'
import { type ObservedTopology, type ShardUnit, unitsOf } from './topology.ts'

/** What a rebalance is to reach. */
export interface RebalanceGoal {
  readonly type: Extract<OperationType, 'rebalance' | 'replace' | 'drain'>
  /** Only copies of these tables move, with what shares their replica sets. Undefined: all. */
  readonly tables?: readonly string[]
  /** Nodes that must not keep any copy. */
  readonly leaving: readonly NodeId[]
  /** The node that takes over all that leaves; undefined: whichever has most room. */
  readonly target?: NodeId
}

/**
 * Plans the fewest moves that reach the goal. Before the pivot every copy gets its new place, is verified, and
 * the sharded tables are switched over, one node after the other; behind it the old copies go.
 *
 * @returns a plan without commands when nothing is to be done; its reasons say why
 * @throws InputError when the goal cannot be reached, for one because too few nodes are left
 */
export function planRebalance(topology: ObservedTopology, goal: RebalanceGoal, ids: IdSource): Plan {
  checkGoal(topology, goal)
  const units = unitsOf(topology, goal.tables === undefined ? undefined : new Set(goal.tables))
  const leaving = new Set([...goal.leaving, ...topology.drained, ...topology.missingNodes])
  const layout = { nodes: topology.nodes, leaving, traits: topology.traits, units }
  const { moves, notes } = planMoves(layout, {
    balance: goal.type === 'rebalance',
    ...(goal.target === undefined ? {} : { target: goal.target }),
  })
  if (goal.type === 'drain') checkEmptied(goal, units, moves, notes)
  const tables = goal.tables ?? [...topology.definitions.keys()]
  return planOfMoves(topology, { type: goal.type, tables, units, moves, notes }, ids)
}

export interface ChosenMoves {
  readonly type: OperationType
  /** Tables that every node should have. */
  readonly tables: readonly string[]
  readonly units: readonly ShardUnit[]
  readonly moves: readonly Move[]
  readonly notes: readonly string[]
}

/** The commands of moves that were chosen, whoever chose them. */
export function planOfMoves(
  topology: ObservedTopology,
  { type, tables: wanted, units, moves, notes }: ChosenMoves,
  ids: IdSource,
): Plan {
  const builder = new PlanBuilder()
  const writer = new MoveWriter(builder, topology, units, ids)
  const groups = groupMoves(moves, units, writer.movesPerSavepoint(moves))
  const done: MoveCommands[] = []
  for (const [index, group] of groups.entries()) {
    builder.savepoint(index + 1)
    done.push(writer.bring(group))
  }
  builder.savepoint(0)
  writer.complete(wanted)
  builder.pivot()
  for (const [index, group] of done.entries()) {
    builder.savepoint(index + 1)
    writer.free(group)
  }
  const tables = writer.tables()
  const concerned = [...new Set([...wanted, ...tables])]
  const commands = builder.commands()
  const copies = moves.reduce((sum, { unit }) => sum + (unitNamed(units, unit).copies ?? 0), 0)
  return {
    type,
    table: concerned.length === 1 ? (concerned[0] ?? '') : '',
    summary:
      moves.length === 0
        ? `${type}: nothing to move, ${commands.length} commands`
        : `${type} of ${tables.join(', ')}: ${moves.length} moves, ${copies} copies, ${commands.length} commands`,
    reasons: [
      ...moves.map(({ unit, from, to, why }) => `${unit}: ${from} → ${to}, because ${why}`),
      ...notes,
    ],
    copyBytes: moves.reduce((sum, { unit }) => sum + unitNamed(units, unit).bytes, 0),
    commands,
  }
}

/** Moves that share a savepoint. Shards with a single copy between the same two nodes always go together. */
function groupMoves(moves: readonly Move[], units: readonly ShardUnit[], size: number): Move[][] {
  const single = moves.filter(({ unit }) => unitNamed(units, unit).set === null)
  const bundles = [
    ...moves.filter(({ unit }) => unitNamed(units, unit).set !== null).map((move) => [move]),
    ...Map.groupBy(single, ({ from, to }) => `${from} ${to}`).values(),
  ]
  const groups: Move[][] = []
  for (let start = 0; start < bundles.length; start += size) {
    groups.push(bundles.slice(start, start + size).flat())
  }
  return groups
}

export function unitNamed(units: readonly ShardUnit[], name: string): ShardUnit {
  const unit = units.find((candidate) => candidate.name === name)
  if (unit === undefined) throw new TypeError(`there is no unit '${name}'`)
  return unit
}

function checkGoal(topology: ObservedTopology, { leaving, target, type, tables }: RebalanceGoal): void {
  const all = [...topology.nodes, ...topology.missingNodes]
  for (const node of [...leaving, ...(target === undefined ? [] : [target])]) {
    if (all.includes(node)) continue
    throw new InputError('node', `'${node}' is no node of this cluster; its nodes are ${all.join(', ')}`)
  }
  if (target !== undefined && !topology.nodes.includes(target)) {
    throw new InputError('node', `${target} does not answer, so it cannot take any copy`, 'cluster_unhealthy')
  }
  const silent = leaving.filter((node) => topology.missingNodes.includes(node))
  if (type === 'drain' && silent.length > 0) {
    throw new InputError('node', `${silent.join(', ')} does not answer; replace it instead of draining it`)
  }
  const known = new Set(topology.placements.map(({ table }) => table))
  const strange = tables?.find((table) => !known.has(table))
  if (strange !== undefined) {
    throw new InputError('table', `there is no sharded table '${strange}'`, 'table_missing')
  }
}

/** A drain is all or nothing: an operator is going to switch the node off. */
function checkEmptied(
  goal: RebalanceGoal,
  units: readonly ShardUnit[],
  moves: readonly Move[],
  notes: readonly string[],
): void {
  const kept = units.filter(({ name, holders }) =>
    goal.leaving.some(
      (node) => holders.includes(node) && !moves.some(({ unit, from }) => unit === name && from === node),
    ),
  )
  if (kept.length === 0) return
  throw new InputError(
    'node',
    `cannot drain ${goal.leaving.join(', ')}: ${notes.slice(0, kept.length).join('; ')}; add a node first; nothing was changed`,
  )
}
