import { Leadership } from '../coordination/leadership.ts'
import { type NodeRecord, NodeRecords } from '../coordination/node-records.ts'
import { clusterMembers, isGone, observe, servingNode } from '../coordination/observe.ts'
import { observeTopology } from '../coordination/observe-topology.ts'
import { type Term, Terms } from '../coordination/terms.ts'
import { ThrottleSettings } from '../coordination/throttle-settings.ts'
import { InputError, ShardingError } from '../domain/errors.ts'
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
import type { Fence } from '../domain/ports.ts'
import type { NodeId } from '../domain/words.ts'
import { type EndedOperation, Engine } from '../engine/engine.ts'
import { CopyGuard } from '../engine/copy-guard.ts'
import { operationFromPlan } from '../engine/enqueue.ts'
import { Journal } from '../engine/journal.ts'
import { JournalConnection } from '../engine/journal-connection.ts'
import { setUpJournal } from '../engine/journal-setup.ts'
import { PlacementStore } from '../coordination/placement-store.ts'
import { RebalanceKeys } from '../coordination/rebalance-keys.ts'
import { StateStore } from '../engine/state-store.ts'
import type { Throttle } from '../engine/throttle.ts'
import { statementsOf, type Touched, touchedBy } from '../engine/touched.ts'
import type { ObservedState } from '../planning/observed.ts'
import { planRebalance } from '../planning/plan-rebalance.ts'
import { planClean, planReroute } from '../planning/plan-reroute.ts'
import { planRevert } from '../planning/plan-revert.ts'
import type { ObservedTopology } from '../planning/topology.ts'
import type { Client } from './client.ts'
import { type OperationSummary, succeededOrThrow, summarize } from './operation-error.ts'
import { assertFresh, type PreparedPlan, prepared } from './prepared-plan.ts'
import { ProgressHub } from './progress.ts'

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
/** How long a call waits for another process to give up leadership, in milliseconds. */
const LEADERSHIP_PATIENCE_MS = 60_000

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

/** The cluster of all nodes, or one standalone node: its members, its journal, and who may act on it. */
export class Cluster {
  /** Null for a standalone node. */
  readonly name: string | null
  readonly progress = new ProgressHub()
  readonly journal: Journal
  /** What operators say about nodes. */
  readonly records: NodeRecords
  /** Which operation moved a table's copies last. */
  readonly rebalances: RebalanceKeys
  readonly #client: Client
  readonly #entries: readonly NodeId[]
  readonly #placements: PlacementStore
  readonly #throttle: ThrottleSettings
  readonly #terms: Terms
  #nodes: readonly NodeId[]
  #ready: Promise<void> | undefined
  /** Plans are made one after another: each must see what the one before it has stored. */
  #planning: Promise<unknown> = Promise.resolve()

  /** @param entries nodes to ask first; all others are found through them */
  constructor(client: Client, name: string | null, entries: readonly NodeId[]) {
    const { connector, clock, random, owner } = client.parts
    this.name = name
    this.#client = client
    this.#entries = entries
    this.#nodes = entries
    const connection = new JournalConnection(connector, () => this.#nodes, clock, random)
    this.journal = new Journal(connection, name, clock)
    this.#placements = new PlacementStore(connection)
    const state = new StateStore(connection, name, clock)
    this.records = new NodeRecords(state)
    this.rebalances = new RebalanceKeys(state)
    this.#throttle = new ThrottleSettings(state)
    const leadership = new Leadership({ state, clock, owner })
    this.#terms = new Terms(leadership, clock, (fence) => this.#engine(fence))
    client.onClose(async () => await this.#terms.close())
  }

  /** All nodes that belong to the cluster, answering or not, sorted. */
  async nodes(): Promise<readonly NodeId[]> {
    if (this.name !== null) {
      this.#nodes = await clusterMembers(this.#client.parts.catalog, this.name, this.#entries)
    }
    return this.#nodes
  }

  /** Looks at every node now: tables, replica sets, placements. */
  async observe(): Promise<ObservedState> {
    await this.ready()
    return await observe({
      catalog: this.#client.parts.catalog,
      cluster: this.name,
      nodes: await this.nodes(),
      placements: await this.#placements.all(),
    })
  }

  /** The drop of a table that is on hold, if there is one. */
  async heldDrop(table: string): Promise<Operation | undefined> {
    await this.ready()
    const held = await this.journal.operations(['held'])
    return held.find((operation) => operation.table === table)
  }

  /**
   * Empties nodes, so that they can be switched off. They take no copies any more until {@link setNode} says
   * otherwise.
   *
   * @throws InputError when too few nodes would be left; nothing is changed then
   */
  async drain(nodes: readonly NodeId[], options: OperationOptions = {}): Promise<OperationSummary> {
    await this.ready()
    const { ids } = this.#client.parts
    const goal = { type: 'drain', leaving: nodes } as const
    const ended = await this.run(async ({ topology }) => planRebalance(await topology(), goal, ids), options)
    for (const node of nodes) await this.records.set(node, { drained: true })
    return succeededOrThrow(ended)
  }

  async planDrain(nodes: readonly NodeId[]): Promise<PreparedPlan> {
    const { ids } = this.#client.parts
    const goal = { type: 'drain', leaving: nodes } as const
    return await this.plan(async ({ topology }) => planRebalance(await topology(), goal, ids))
  }

  /**
   * Makes the copies of dead nodes anew elsewhere, back to the replication factor.
   *
   * @param by the node that takes all of them; left out: whichever has most room
   */
  async replace(
    dead: readonly NodeId[],
    by?: NodeId,
    options: OperationOptions = {},
  ): Promise<OperationSummary> {
    return succeededOrThrow(
      await this.run(async (planning) => await this.#planReplace(planning, dead, by), options),
    )
  }

  async planReplace(dead: readonly NodeId[], by?: NodeId): Promise<PreparedPlan> {
    return await this.plan(async (planning) => await this.#planReplace(planning, dead, by))
  }

  async #planReplace({ topology }: Planning, leaving: readonly NodeId[], target?: NodeId): Promise<Plan> {
    const goal = { type: 'replace', leaving, ...(target === undefined ? {} : { target }) } as const
    return planRebalance(await topology(), goal, this.#client.parts.ids)
  }

  /** Spreads the copies of all tables over the nodes with the fewest moves. */
  async rebalance(options: OperationOptions = {}): Promise<OperationSummary> {
    const { ids } = this.#client.parts
    const goal = { type: 'rebalance', leaving: [] } as const
    return succeededOrThrow(
      await this.run(async ({ topology }) => planRebalance(await topology(), goal, ids), options),
    )
  }

  /**
   * Makes all sharded tables name exactly the copies that serve, and replica sets that lost their other member
   * writable again. To be called when a node has died, and when it is back.
   */
  async reroute(options: OperationOptions = {}): Promise<OperationSummary> {
    return succeededOrThrow(await this.run(async ({ topology }) => planReroute(await topology()), options))
  }

  /** Frees a node that was away from what others have taken over meanwhile. */
  async clean(node: NodeId, options: OperationOptions = {}): Promise<OperationSummary> {
    return succeededOrThrow(
      await this.run(async ({ topology }) => planClean(await topology(), node), options),
    )
  }

  /**
   * Brings every copy that a finished operation has moved back to where it came from.
   *
   * @throws InputError when a copy has moved on meanwhile, or cannot go back
   */
  async revert(group: string, options: OperationOptions = {}): Promise<OperationSummary> {
    await this.ready()
    const operation = await this.#operation(group)
    if (operation.state !== 'succeeded') {
      throw new InputError(
        'group',
        `operation ${group} is '${operation.state}'; only what has succeeded can be reverted`,
      )
    }
    const commands = await this.journal.commands(group)
    const { ids } = this.#client.parts
    return succeededOrThrow(
      await this.run(async ({ topology }) => planRevert(await topology(), commands, ids), options),
    )
  }

  /** How much of the cluster moving copies may take. */
  async getThrottle(): Promise<Throttle> {
    await this.ready()
    return await this.#throttle.get()
  }

  /**
   * Changes that, also for an operation that runs, whichever process runs it.
   *
   * @throws InputError for limits below 1
   */
  async setThrottle(change: Partial<Throttle>): Promise<Throttle> {
    await this.ready()
    return await this.#throttle.set(change)
  }

  /** What operators say about a node: its zone, weight and capacity, and whether it takes copies. */
  async setNode(node: NodeId, change: Partial<NodeRecord>): Promise<NodeRecord> {
    await this.ready()
    const nodes = await this.nodes()
    if (!nodes.includes(node)) {
      throw new InputError('node', `'${node}' is no node of this cluster; its nodes are ${nodes.join(', ')}`)
    }
    return await this.records.set(node, change)
  }

  /** Operations in the journal that have not ended. */
  async openOperations(): Promise<Operation[]> {
    await this.ready()
    return await this.journal.operations(OPERATION_STATES.filter((state) => !isEnded(state)))
  }

  /**
   * Goes on with everything that a dead process left unfinished, and resolves when all of it has ended.
   *
   * @throws ShardingError `leadership_taken` when another process acts on this cluster
   */
  async recover(): Promise<OperationSummary[]> {
    return await this.during(async ({ resumed }) => {
      const ended = await Promise.all(resumed.map(async (operation) => await operation.ended))
      return ended.map(summarize)
    })
  }

  /** Runs `body` while this process leads. */
  async during<T>(body: (term: Term) => Promise<T>): Promise<T> {
    await this.ready()
    return await this.#terms.during(body, LEADERSHIP_PATIENCE_MS)
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
        return await this.during(body)
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
    await this.ready()
    const planning = await this.#look(await this.#touchedInJournal())
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
    const busy = new Map([...(await this.#touchedInJournal(['held'])), ...engine.touched()])
    const plan = await makePlan(await this.#look(busy))
    checkNotBusy(plan, busy)
    const { ids, clock, owner } = this.#client.parts
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
        await this.journal.store(stored.operation, stored.commands)
        return stored
      } catch (error) {
        // Another process took one of the ids in the same millisecond; rows without an operation are purged.
        const taken = error instanceof ShardingError && error.code === 'duplicate'
        if (!taken || collisions >= MAX_ID_COLLISIONS) throw error
      }
    }
  }

  async #look(busy: ReadonlyMap<string, Touched>): Promise<Planning> {
    const busySets = new Map<string, string>()
    for (const [group, { sets }] of busy) for (const set of sets) busySets.set(set, group)
    const observed = await this.observe()
    const records = await this.records.all(observed.nodes)
    const { catalog } = this.#client.parts
    return {
      observed: { ...observed, traits: records, busySets },
      topology: async () => await observeTopology({ catalog, observed, records, busySets }),
    }
  }

  /** What operations that have not ended work on, by their group. */
  async #touchedInJournal(states?: readonly OperationState[]): Promise<Map<string, Touched>> {
    const open = await this.journal.operations(states ?? OPERATION_STATES.filter((state) => !isEnded(state)))
    const touched = new Map<string, Touched>()
    for (const { group } of open) {
      touched.set(group, touchedBy(statementsOf(await this.journal.commands(group))))
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
    await this.ready()
    for (;;) {
      const { state } = await this.#operation(group)
      if (await this.journal.requestState(group, state, operationTransition(state, event), values)) break
    }
    const until = this.#untilOperation(group, reached)
    // If nobody leads, it is up to us; if another process does, it takes note by itself.
    void this.during(async ({ engine }) => {
      await engine.watchOnce()
      await until
    }).catch(() => undefined)
    return await until
  }

  /** Undoes an operation as far as asked, unless that was done already. */
  async rollBack(
    { group, state }: Operation,
    values: { readonly error: string; readonly keepTo?: number },
  ): Promise<Operation> {
    const ended = ({ state: reached }: Operation) =>
      reached === 'rolled_back' || ((values.keepTo ?? 0) > 0 && reached === 'succeeded')
    if (state === 'rolled_back') return await this.#operation(group)
    if (state === 'reverting') return await this.#untilOperation(group, ended)
    return await this.request(group, 'revert', ended, values)
  }

  async #untilOperation(group: string, reached: (operation: Operation) => boolean): Promise<Operation> {
    for (;;) {
      const operation = await this.#operation(group)
      if (reached(operation)) return operation
      await this.#client.parts.clock.sleep(REQUEST_POLL_MS)
    }
  }

  async #operation(group: string): Promise<Operation> {
    const operation = await this.journal.operation(group)
    if (operation !== undefined) return operation
    throw new ShardingError('operation_missing', `there is no operation '${group}' in the journal`)
  }

  async #oneAfterAnother<T>(body: () => Promise<T>): Promise<T> {
    const mine = this.#planning.then(body)
    this.#planning = mine.catch(() => undefined)
    return await mine
  }

  #engine(fence: Fence): Engine {
    const { connector, catalog, clock, random } = this.#client.parts
    return new Engine({
      journal: this.journal,
      connector,
      catalog,
      clock,
      random,
      fence,
      guard: new CopyGuard({
        connector,
        catalog,
        clock,
        placements: async () => await this.#placements.all(),
        throttle: async () => await this.#throttle.get(),
        capacityBytes: async (node) => (await this.records.get(node)).capacityBytes,
      }),
      throttle: async () => await this.#throttle.get(),
      isGone: async (node) => await isGone(catalog, this.name, this.#nodes, node),
      otherNode: async (node) =>
        this.name === null ? undefined : (await servingNode(catalog, this.name, this.#nodes, node))?.node,
      onProgress: (event) => this.progress.emit(event),
      onState: async (operation, { tables }) =>
        await this.rebalances.record(operation, new Set([...tables, operation.table])),
    })
  }

  /** Makes the system tables on the first call that needs them. */
  async ready(): Promise<void> {
    this.#ready ??= this.#setUp()
    try {
      await this.#ready
    } catch (error) {
      this.#ready = undefined
      throw error
    }
  }

  async #setUp(): Promise<void> {
    const { connector, catalog } = this.#client.parts
    const nodes = await this.nodes()
    const [node] = this.#entries.filter((entry) => nodes.includes(entry))
    if (node === undefined) {
      throw new ShardingError('cluster_unhealthy', `no node of cluster '${this.name ?? ''}' can be asked`)
    }
    await setUpJournal({ connector, catalog, cluster: this.name, node })
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
