import type { Command } from '../domain/command.ts'
import type { Plan } from '../domain/plan.ts'
import type { IdSource } from '../domain/ports.ts'
import type { ObservedState, TableDefinitions } from '../planning/observed.ts'
import type { ObservedAdoption } from '../planning/adoption.ts'
import { assertAdopted, planAdopt } from '../planning/plan-adopt.ts'
import { planCreate } from '../planning/plan-create.ts'
import { planDrop } from '../planning/plan-drop.ts'
import { planRebalance } from '../planning/plan-rebalance.ts'
import { planClean, planReroute } from '../planning/plan-reroute.ts'
import { planRevert } from '../planning/plan-revert.ts'
import type { ObservedTopology } from '../planning/topology.ts'
import { parseColumnList, parseTableOptions } from '../sql/index.ts'
import type { Goal } from './goal.ts'

/** What a plan is made from: what is observed now, and what unfinished operations work on. */
export interface Planning {
  readonly observed: ObservedState
  readonly ids: IdSource
  /** Looks closer, for plans that move copies. */
  readonly topology: () => Promise<ObservedTopology>
  /** A sharded table as every node that has it defines it now. */
  readonly definitions: (table: string) => Promise<TableDefinitions>
  /** Looks for tables that Manticore Buddy made. */
  readonly adoption: () => Promise<ObservedAdoption>
  /** Commands of an operation in the journal. */
  readonly commands: (group: string) => Promise<readonly Command[]>
}

/** Goals that a plan is made of; the commands of all others are in the journal already. */
export type PlannableGoal = Exclude<Goal, { kind: 'prepared' | 'custom' }>

/**
 * The plan that reaches a goal from here.
 *
 * @throws InputError when it cannot be reached; nothing has been changed then
 */
export async function planGoal(goal: PlannableGoal, planning: Planning): Promise<Plan> {
  const { observed, ids, topology } = planning
  assertAdopted(observed, { tables: tablesOf(goal), leaving: goal.kind === 'drain' ? goal.nodes : [] })
  switch (goal.kind) {
    case 'create': {
      const { table, shards, rf } = goal
      const columns = parseColumnList(goal.columns).filter(({ name }) => name !== 'id')
      const options = parseTableOptions(goal.options)
      return planCreate(observed, { table, columns, options, shards, rf }, ids)
    }
    case 'drop':
      return planDrop(observed, goal.table, await planning.definitions(goal.table))
    case 'rebalance': {
      const tables = goal.tables === undefined ? {} : { tables: goal.tables }
      return planRebalance(await topology(), { type: 'rebalance', leaving: [], ...tables }, ids)
    }
    case 'drain':
      return planRebalance(await topology(), { type: 'drain', leaving: goal.nodes }, ids)
    case 'replace': {
      const target = goal.by === undefined ? {} : { target: goal.by }
      return planRebalance(await topology(), { type: 'replace', leaving: goal.nodes, ...target }, ids)
    }
    case 'reroute':
      return planReroute(await topology())
    case 'clean':
      return planClean(await topology(), goal.node)
    case 'adopt':
      return planAdopt(await planning.adoption(), ids)
    case 'revert':
      return planRevert(await topology(), await planning.commands(goal.group), ids)
  }
}

/** The tables that a goal names and that must be there. */
function tablesOf(goal: PlannableGoal): readonly string[] {
  if (goal.kind === 'rebalance') return goal.tables ?? []
  return goal.kind === 'drop' ? [goal.table] : []
}
