import { observeTopology } from '../coordination/observe-topology.ts'
import type { NodeRecords } from '../coordination/node-records.ts'
import type { Term } from '../coordination/terms.ts'
import { ShardingError } from '../domain/errors.ts'
import {
  isEnded,
  OPERATION_STATES,
  type Operation,
  type OperationEvent,
  type OperationState,
  type OperationType,
  operationTransition,
} from '../domain/operation.ts'
import type { Plan } from '../domain/plan.ts'
import type { EndedOperation } from '../engine/engine.ts'
import { operationFromPlan } from '../engine/enqueue.ts'
import type { Journal } from '../engine/journal.ts'
import { statementsOf, type Touched, touchedBy } from '../engine/touched.ts'
import type { ObservedState } from '../planning/observed.ts'
import type { ObservedTopology } from '../planning/topology.ts'
import type { Client } from './client.ts'
import { type OperationSummary, succeededOrThrow } from './operation-error.ts'
import { assertFresh, type PreparedPlan, prepared } from './prepared-plan.ts'

/** How long transient failures of an operation are retried before it is undone, in milliseconds. */
export const DEFAULT_OPERATION_TIMEOUT_MS = 300_000
/** The same for operations that move copies. */
const DEFAULT_MOVE_TIMEOUT_MS = 86_400_000
/** How often ids that another process took first are replaced by new ones. */
export const MAX_ID_COLLISIONS = 5
/** How often a call looks whether what it asked for is done, in milliseconds. */
const REQUEST_POLL_MS = 50
/** Operations that change the members of replica sets. */
const MOVING_TYPES: ReadonlySet<OperationType> = new Set<OperationType>([
  'rebalance',
  'replace',
  'drain',
  'revert',
  'clean',
])
export interface OperationOptions {
  /** How long transient failures are retried before the operation is undone, in milliseconds. */
  readonly timeoutMs?: number
  /** Ends the waiting, not the operation: the call rejects with `operation_pending`. */
  readonly signal?: AbortSignal
  /** When a command fails for good, the moves that are finished stay; all is undone otherwise. */
  readonly keepFinished?: boolean
  /** How long what a drop frees is kept, so that it can be undone, in milliseconds. */
  readonly holdMs?: number
}

/** What a plan is made from: what is observed now, and what unfinished operations work on. */
export interface Planning {
  readonly observed: ObservedState
  /** Looks closer, for plans that move copies. */
  readonly topology: () => Promise<ObservedTopology>
}

export interface OperationsParts {
  readonly client: Client
  readonly journal: Journal
  readonly records: NodeRecords
  readonly ready: () => Promise<void>
  readonly observe: () => Promise<ObservedState>
  /** Runs `body` while this process leads. */
  readonly during: <T>(body: (term: Term) => Promise<T>) => Promise<T>
}

/** Makes plans, stores and runs them, and asks for changes of operations that run, here or elsewhere. */
export class Operations {
  readonly #parts: OperationsParts
  /** Plans are made one after another: each must see what the one before it has stored. */
  #planning: Promise<unknown> = Promise.resolve()

  constructor(parts: OperationsParts) {
    this.#parts = parts
  }

  /**
   * Makes a plan from what is observed now, stores it and runs it. Goes on under a new lease when this one is
   * lost on the way.
   */
  async run(
    makePlan: (planning: Planning) => Promise<Plan>,
    options: OperationOptions,
  ): Promise<EndedOperation> {
    let group: string | undefined
    const running = this.#again(async (term) => {
      if (group !== undefined) return await term.engine.resume(group)
      const started = await this.#oneAfterAnother(async () => {
        const stored = await this.#store(term, makePlan, options)
        group = stored.operation.group
        // Started before the next plan is made, so that it is seen as running.
        return { ended: term.engine.run(stored.operation, stored.commands) }
      })
      return await started.ended
    })
    return await endOrAbort(running, options.signal, () => group)
  }

  /** Repeats `body` in a new term when the lease was lost while it ran. */
  async #again(body: (term: Term) => Promise<EndedOperation>): Promise<EndedOperation> {
    for (;;) {
      try {
        return await this.#parts.during(body)
      } catch (error) {
        if (!(error instanceof ShardingError && error.code === 'leadership_lost')) throw error
      }
    }
  }

  /**
   * Makes a plan without running it.
   *
   * @throws InputError for what cannot be done
   */
  async plan(makePlan: (planning: Planning) => Promise<Plan>): Promise<PreparedPlan> {
    await this.#parts.ready()
    const [busy, found] = await Promise.all([this.#touchedInJournal(), this.#parts.observe()])
    const planning = await this.#look(found, busy)
    return prepared(await makePlan(planning), planning.observed)
  }

  /**
   * Runs a plan exactly as it was made.
   *
   * @throws ShardingError `plan_stale` when the cluster has changed since then; nothing was changed by us
   * @throws OperationError when a command failed
   */
  async execute(plan: PreparedPlan, options: OperationOptions = {}): Promise<OperationSummary> {
    const makePlan = async ({ observed }: Planning) => {
      assertFresh(plan, observed)
      return await Promise.resolve(plan)
    }
    return succeededOrThrow(await this.run(makePlan, options))
  }

  async #store(
    { engine, fence }: Term,
    makePlan: (planning: Planning) => Promise<Plan>,
    options: OperationOptions,
  ) {
    await engine.replicaSetsSettled()
    const running = engine.touched()
    const [held, observed] = await Promise.all([this.#touchedInJournal(['held']), this.#parts.observe()])
    const busy = new Map([...held, ...running])
    const plan = await makePlan(await this.#look(observed, busy))
    checkNotBusy(plan, busy)
    const { ids, clock, owner } = this.#parts.client.parts
    const stamp = {
      ids,
      epoch: fence.epoch,
      requestedBy: owner,
      now: clock.now(),
      timeoutMs: options.timeoutMs ?? defaultTimeoutMs(plan),
      ...(options.keepFinished === undefined ? {} : { keepFinished: options.keepFinished }),
      ...(options.holdMs === undefined ? {} : { holdMs: options.holdMs }),
    }
    for (let collisions = 0; ; collisions++) {
      const stored = operationFromPlan(plan, stamp)
      try {
        await this.#parts.journal.store(stored.operation, stored.commands)
        return stored
      } catch (error) {
        // Another process took one of the ids in the same millisecond; rows without an operation are purged.
        const taken = error instanceof ShardingError && error.code === 'duplicate'
        if (!taken || collisions >= MAX_ID_COLLISIONS) throw error
      }
    }
  }

  async #look(observed: ObservedState, busy: ReadonlyMap<string, Touched>): Promise<Planning> {
    const busySets = new Map<string, string>()
    for (const [group, { sets }] of busy) for (const set of sets) busySets.set(set, group)
    const changingSets = new Set([...busy.values()].flatMap((touched) => [...touched.changedSets]))
    const records = await this.#parts.records.all(observed.nodes)
    const { catalog } = this.#parts.client.parts
    return {
      observed: { ...observed, traits: records, changingSets },
      topology: async () => await observeTopology({ catalog, observed, records, busySets }),
    }
  }

  /** What operations that have not ended work on, by their group. */
  async #touchedInJournal(states?: readonly OperationState[]): Promise<Map<string, Touched>> {
    const open = await this.#parts.journal.operations(
      states ?? OPERATION_STATES.filter((state) => !isEnded(state)),
    )
    const touched = new Map<string, Touched>()
    for (const { group } of open) {
      touched.set(group, touchedBy(statementsOf(await this.#parts.journal.commands(group))))
    }
    return touched
  }

  /**
   * Asks for something of an operation, whoever runs it, and resolves with the operation when it is done.
   *
   * @param reached whether the operation is where it should be
   * @throws ShardingError `operation_missing`, or `illegal_transition` for what its state does not allow
   */
  async request(
    group: string,
    event: OperationEvent,
    reached: (operation: Operation) => boolean,
    values: { readonly error?: string; readonly keepTo?: number } = {},
  ): Promise<Operation> {
    await this.#parts.ready()
    for (;;) {
      const { state } = await this.operation(group)
      if (await this.#parts.journal.requestState(group, state, operationTransition(state, event), values))
        break
    }
    const until = this.#untilOperation(group, reached)
    // If nobody leads, it is up to us; if another process does, it takes note by itself.
    void this.#parts
      .during(async ({ engine }) => {
        await engine.watchOnce()
        await until
      })
      .catch(() => undefined)
    return await until
  }

  /** Undoes an operation as far as asked, unless that was done already. */
  async rollBack(
    { group, state }: Operation,
    values: { readonly error: string; readonly keepTo?: number },
  ): Promise<Operation> {
    const ended = ({ state: reached }: Operation) =>
      reached === 'rolled_back' || ((values.keepTo ?? 0) > 0 && reached === 'succeeded')
    if (state === 'rolled_back') return await this.operation(group)
    if (state === 'reverting') return await this.#untilOperation(group, ended)
    return await this.request(group, 'revert', ended, values)
  }

  async #untilOperation(group: string, reached: (operation: Operation) => boolean): Promise<Operation> {
    for (;;) {
      const operation = await this.operation(group)
      if (reached(operation)) return operation
      await this.#parts.client.parts.clock.sleep(REQUEST_POLL_MS)
    }
  }

  /** @throws ShardingError `operation_missing` */
  async operation(group: string): Promise<Operation> {
    const operation = await this.#parts.journal.operation(group)
    if (operation !== undefined) return operation
    throw new ShardingError('operation_missing', `there is no operation '${group}' in the journal`)
  }

  async #oneAfterAnother<T>(body: () => Promise<T>): Promise<T> {
    const mine = this.#planning.then(body)
    this.#planning = mine.catch(() => undefined)
    return await mine
  }
}

/** Copying takes as long as the data is large, and whatever goes wrong meanwhile may pass. */
function defaultTimeoutMs({ type }: Plan): number {
  return MOVING_TYPES.has(type) ? DEFAULT_MOVE_TIMEOUT_MS : DEFAULT_OPERATION_TIMEOUT_MS
}

/** Two operations on one table, or on one replica set, would undo each other's work. */
function checkNotBusy(plan: Plan, busy: ReadonlyMap<string, Touched>): void {
  const mine = touchedBy(plan.commands.flatMap(({ statements }) => statements))
  for (const [group, { tables, sets }] of busy) {
    const shared = [...mine.tables].find((table) => tables.has(table))
    // Tables of one replica set can be made and dropped side by side; only moves change the set itself.
    const moved = MOVING_TYPES.has(plan.type) ? [...mine.sets].find((set) => sets.has(set)) : undefined
    const what = shared === undefined ? moved : `table '${shared}'`
    if (what === undefined) continue
    throw new ShardingError(
      'operation_busy',
      `operation ${group} has not ended and works on ${what}; nothing was changed`,
    )
  }
}

/** Rejects with `operation_pending` when the caller does not want to wait any longer; the operation goes on. */
async function endOrAbort(
  running: Promise<EndedOperation>,
  signal: AbortSignal | undefined,
  group: () => string | undefined,
): Promise<EndedOperation> {
  if (signal === undefined) return await running
  const aborted = Promise.withResolvers<never>()
  const onAbort = () => {
    const name = group()
    const what = name === undefined ? 'the operation was not stored yet' : `operation ${name} goes on`
    aborted.reject(
      new ShardingError('operation_pending', `stopped waiting: ${what}`, { cause: signal.reason }),
    )
  }
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([running, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
