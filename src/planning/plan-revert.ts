import type { Command } from '../domain/command.ts'
import { InputError } from '../domain/errors.ts'
import type { Plan } from '../domain/plan.ts'
import type { IdSource } from '../domain/ports.ts'
import type { Statement } from '../domain/statement.ts'
import type { NodeId } from '../domain/words.ts'
import { parseScript } from '../sql/index.ts'
import type { Move } from './layout.ts'
import { planOfMoves, unitNamed } from './plan-rebalance.ts'
import { isTemporarySet } from './replica-sets.ts'
import { type ObservedTopology, unitsOf } from './topology.ts'

/**
 * Plans the way back of a finished operation that moved copies, from its journal: every copy that still is where
 * the operation brought it goes to where it came from.
 *
 * @throws InputError when a copy has moved on meanwhile, or its old place cannot take it
 */
export function planRevert(topology: ObservedTopology, commands: readonly Command[], ids: IdSource): Plan {
  const units = unitsOf(topology, undefined)
  const moves = movesOf(commands).map(({ unit, from, to }): Move => {
    const found = units.find(({ name }) => name === unit)
    if (found === undefined || !found.holders.includes(to)) {
      throw new InputError('group', `cannot go back: ${unit} is not on ${to} any more; nothing was changed`)
    }
    const why = whyNot(topology, unitNamed(units, unit), from)
    if (why !== null) {
      throw new InputError('group', `cannot bring ${unit} back to ${from}: ${why}; nothing was changed`)
    }
    return { unit, from: to, to: from, why: 'the operation that brought it there is reverted' }
  })
  if (moves.length === 0) {
    throw new InputError('group', 'this operation has moved nothing that could go back')
  }
  return planOfMoves(topology, { type: 'revert', tables: [], units, moves, notes: [] }, ids)
}

function whyNot(topology: ObservedTopology, unit: ReturnType<typeof unitNamed>, node: NodeId): string | null {
  if (!topology.nodes.includes(node)) return `${node} does not answer`
  if (unit.barred.has(node)) return 'something of it still lies there; clean that node first'
  if (unit.holders.includes(node)) return 'it holds a copy already'
  return unit.pinned
}

interface Moved {
  readonly unit: string
  readonly from: NodeId
  readonly to: NodeId
}

/** What an operation has moved: who joined which set, and who left it for that. */
function movesOf(commands: readonly Command[]): Moved[] {
  const joined = new Map<string, NodeId[]>()
  const left = new Map<string, NodeId[]>()
  const added = new Map<string, readonly string[]>()
  for (const { node, query, status } of commands) {
    if (status !== 'processed') continue
    for (const statement of parseScript(query, { dialect: 'extended' })) note(statement, node)
  }
  function note(statement: Statement, node: NodeId): void {
    if (statement.kind === 'join_cluster') push(joined, statement.cluster, node)
    if (statement.kind === 'exit_cluster') push(left, statement.cluster, node)
    if (statement.kind === 'alter_cluster' && statement.action === 'add') {
      added.set(statement.cluster, statement.tables)
    }
  }
  return [...joined].flatMap(([set, targets]) =>
    targets.flatMap((to, index): Moved[] => {
      const from = left.get(set)?.[index]
      if (from === undefined) return []
      if (!isTemporarySet(set)) return [{ unit: set, from, to }]
      return (added.get(set) ?? []).map((unit) => ({ unit, from, to }))
    }),
  )
}

function push(map: Map<string, NodeId[]>, key: string, node: NodeId): void {
  map.set(key, [...(map.get(key) ?? []), node])
}
