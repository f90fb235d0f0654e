import type { Command } from '../domain/command.ts'
import { ShardingError } from '../domain/errors.ts'
import {
  isEnded,
  OPERATION_STATES,
  type Operation,
  type OperationState,
  type OperationType,
} from '../domain/operation.ts'
import type { Plan } from '../domain/plan.ts'
import type { IdSource, NodeCatalog } from '../domain/ports.ts'
import type { Engine } from '../engine/engine.ts'
import type { Journal } from '../engine/journal.ts'
import { statementsOf, type Touched, touchedBy } from '../engine/touched.ts'
import type { ObservedState } from '../planning/observed.ts'
import type { Goal } from './goal.ts'
import type { NodeRecords } from './node-records.ts'
import { type BuddyRecords, observeAdoption } from './observe-adoption.ts'
import { observeTopology, tableDefinitions } from './observe-topology.ts'
import { type Planning, planGoal } from './plan-goal.ts'
import { assertBasis, type PreparedPlan, prepared } from './prepared-plan.ts'

/** Operations that change the members of replica sets. */
export const MOVING_TYPES: ReadonlySet<OperationType> = new Set<OperationType>([
  'rebalance',
  'replace',
  'drain',
  'revert',
  'clean',
])

export interface PlannerParts {
  readonly catalog: NodeCatalog
  readonly ids: IdSource
  readonly journal: Journal
  readonly records: NodeRecords
  readonly buddy: BuddyRecords
  readonly observe: () => Promise<ObservedState>
}

/** What is going to be stored: a plan, or commands that are in the journal already. */
export interface Draft extends Pick<Operation, 'type' | 'table' | 'summary'> {
  /** Null: the commands of `group` are stored. */
  readonly plan: Plan | null
  readonly group: string
}

/** Makes plans from what is observed now and what unfinished operations work on. */
export class Planner {
  readonly #parts: PlannerParts

  constructor(parts: PlannerParts) {
    this.#parts = parts
  }

  /**
   * Makes a plan without running it.
   *
   * @throws InputError for what cannot be done
   */
  async plan(makePlan: (planning: Planning) => Promise<Plan>): Promise<PreparedPlan> {
    const [busy, found] = await Promise.all([this.#touchedInJournal(), this.#parts.observe()])
    const planning = await this.#look(found, busy)
    return prepared(await makePlan(planning), planning.observed)
  }

  /**
   * What is stored to reach a goal from here.
   *
   * @throws InputError for what cannot be done, ShardingError `operation_busy` or `plan_stale`
   */
  async draft(engine: Engine, goal: Goal): Promise<Draft> {
    await engine.replicaSetsSettled()
    const running = engine.touched()
    const [held, observed] = await Promise.all([this.#touchedInJournal(['held']), this.#parts.observe()])
    const busy = new Map([...held, ...running])
    if (goal.kind === 'custom') {
      const { length } = await this.#storedCommands(goal.group)
      return {
        ...goal,
        type: 'custom',
        table: '',
        summary: `${length} commands of ${goal.group}`,
        plan: null,
      }
    }
    const planning = await this.#look(observed, busy)
    if (goal.kind === 'prepared') {
      assertBasis(goal, planning.observed)
      checkNotBusy(goal.type, touchedBy(statementsOf(await this.#storedCommands(goal.group))), busy)
      return { ...goal, plan: null }
    }
    const plan = await planGoal(goal, planning)
    checkNotBusy(plan.type, touchedBy(plan.commands.flatMap(({ statements }) => statements)), busy)
    return { ...plan, plan, group: '' }
  }

  /** @throws ShardingError `operation_missing` */
  async #storedCommands(group: string): Promise<Command[]> {
    const commands = await this.#parts.journal.commands(group)
    if (commands.length > 0) return commands
    throw new ShardingError('operation_missing', `there is no operation group '${group}' in the journal`)
  }

  async #look(observed: ObservedState, busy: ReadonlyMap<string, Touched>): Promise<Planning> {
    const busySets = new Map<string, string>()
    for (const [group, { sets }] of busy) for (const set of sets) busySets.set(set, group)
    const changingSets = new Set([...busy.values()].flatMap((touched) => [...touched.changedSets]))
    const { catalog, ids, journal, buddy } = this.#parts
    const records = await this.#parts.records.all(observed.nodes)
    return {
      observed: { ...observed, traits: records, changingSets },
      ids,
      topology: async () => await observeTopology({ catalog, observed, records, busySets }),
      definitions: async (table) => await tableDefinitions(catalog, observed, table),
      adoption: async () => await observeAdoption({ catalog, buddy, observed }),
      commands: async (group) => await journal.commands(group),
    }
  }

  /** What operations that have not ended work on, by their group. */
  async #touchedInJournal(states?: readonly OperationState[]): Promise<Map<string, Touched>> {
    const open = await this.#parts.journal.operations(
      states ?? OPERATION_STATES.filter((state) => !isEnded(state) && state !== 'planned'),
    )
    const touched = new Map<string, Touched>()
    for (const { group } of open) {
      touched.set(group, touchedBy(statementsOf(await this.#parts.journal.commands(group))))
    }
    return touched
  }
}

/** Two operations on one table, or on one replica set, would undo each other's work. */
function checkNotBusy(type: OperationType, mine: Touched, busy: ReadonlyMap<string, Touched>): void {
  for (const [group, { tables, sets }] of busy) {
    const shared = [...mine.tables].find((table) => tables.has(table))
    // Tables of one replica set can be made and dropped side by side; only moves change the set itself.
    const moved = MOVING_TYPES.has(type) ? [...mine.sets].find((set) => sets.has(set)) : undefined
    const what = shared === undefined ? moved : `table '${shared}'`
    if (what === undefined) continue
    throw new ShardingError(
      'operation_busy',
      `operation ${group} has not ended and works on ${what}; nothing was changed`,
    )
  }
}
