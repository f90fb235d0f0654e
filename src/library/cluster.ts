import { Coordinator, type CoordinatorSettings, type CoordinatorStatus } from '../coordination/coordinator.ts'
import { Leadership } from '../coordination/leadership.ts'
import { type NodeRecord, NodeRecords } from '../coordination/node-records.ts'
import { clusterMembers, isGone, observe, servingNode } from '../coordination/observe.ts'
import { type OperationOptions, Operations } from '../coordination/operations.ts'
import { type PlannableGoal, planGoal, type Planning } from '../coordination/plan-goal.ts'
import type { PreparedPlan } from '../coordination/prepared-plan.ts'
import { StopSignals } from '../coordination/stop-signals.ts'
import { type Term, Terms } from '../coordination/terms.ts'
import { ThrottleSettings } from '../coordination/throttle-settings.ts'
import { InputError, NodeError, ShardingError } from '../domain/errors.ts'
import { isEnded, OPERATION_STATES, type Operation } from '../domain/operation.ts'
import type { Plan } from '../domain/plan.ts'
import type { CallOptions, Fence, Log } from '../domain/ports.ts'
import type { NodeId } from '../domain/words.ts'
import { Engine } from '../engine/engine.ts'
import { CopyGuard } from '../engine/copy-guard.ts'
import { Journal } from '../engine/journal.ts'
import { JournalConnection } from '../engine/journal-connection.ts'
import { setUpJournal } from '../engine/journal-setup.ts'
import { BuddyRecords } from '../coordination/observe-adoption.ts'
import { PlacementStore } from '../coordination/placement-store.ts'
import { RebalanceKeys } from '../coordination/rebalance-keys.ts'
import { StateStore } from '../engine/state-store.ts'
import type { Throttle } from '../engine/throttle.ts'
import { type AdoptionFindings, findAdoptable } from '../planning/adoption.ts'
import type { ObservedState } from '../planning/observed.ts'
import { adoptionPlan } from '../planning/plan-adopt.ts'
import type { Client } from './client.ts'
import { type OperationSummary, succeededOrThrow, summarize } from './operation-error.ts'
import { ProgressHub } from './progress.ts'

/** Says nothing: an application that wants to hear gives a log of its own. */
const SILENT_LOG: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

/** How long a call waits for another process to give up leadership, in milliseconds. */
const LEADERSHIP_PATIENCE_MS = 60_000
/** A machine on which the lease is lost more often than this in one recovery cannot act on a cluster. */
const MAX_LEASE_LOSSES = 10
/** How long a node may take to say how far a copy is, in milliseconds: progress is asked for often. */
const TRANSFER_CALL: CallOptions = { timeoutMs: 2_000 }

/** What {@link Cluster.adopt} has found and done. */
export interface Adoption extends AdoptionFindings {
  /** What was to be done when it looked. */
  readonly plan: PreparedPlan
  /** How it ended; null when nothing was done. */
  readonly operation: OperationSummary | null
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
  readonly stopSignals: StopSignals
  readonly operations: Operations
  readonly #client: Client
  readonly #entries: readonly NodeId[]
  readonly #placements: PlacementStore
  readonly #state: StateStore
  readonly #throttle: ThrottleSettings
  readonly #terms: Terms
  #nodes: readonly NodeId[]
  #ready: Promise<void> | undefined

  /** @param entries nodes to ask first; all others are found through them */
  constructor(client: Client, name: string | null, entries: readonly NodeId[]) {
    const { connector, clock, random, owner, leaseTtlMs } = client.parts
    this.name = name
    this.#client = client
    this.#entries = entries
    this.#nodes = entries
    const connection = new JournalConnection(connector, () => this.#nodes, clock, random)
    this.journal = new Journal(connection, name, clock)
    this.#placements = new PlacementStore(connection)
    const state = new StateStore(connection, name, clock)
    this.#state = state
    this.records = new NodeRecords(state)
    this.rebalances = new RebalanceKeys(state)
    this.stopSignals = new StopSignals({ state, clock, journal: this.journal })
    this.#throttle = new ThrottleSettings(state)
    this.#terms = new Terms({
      leadership: new Leadership({
        state,
        clock,
        owner,
        ...(leaseTtlMs === undefined ? {} : { ttlMs: leaseTtlMs }),
      }),
      clock,
      engineFor: (fence) => this.#engine(fence),
      startPlanned: (term, planned) => this.operations.startPlanned(term, planned),
      heedSignals: async () => await this.stopSignals.heed(),
    })
    this.operations = new Operations({
      ...client.parts,
      journal: this.journal,
      records: this.records,
      buddy: new BuddyRecords(connection, connector),
      ready: async () => await this.ready(),
      observe: async () => await this.observe(),
      mayLead: async () => await this.#terms.mayLead(),
      during: async (body, options) => await this.#terms.during(body, options),
    })
    client.onClose(async () => await this.#terms.close())
  }

  /** All nodes that belong to the cluster, answering or not, sorted. */
  async nodes(): Promise<readonly NodeId[]> {
    if (this.name !== null) {
      // Those that were given may all be down while others are there.
      const known = [...new Set([...this.#entries, ...this.#nodes])]
      this.#nodes = await clusterMembers(this.#client.parts.catalog, this.name, known)
    }
    return this.#nodes
  }

  /** Looks at every node now: tables, replica sets, placements. */
  async observe(): Promise<ObservedState> {
    await this.ready()
    const [nodes, placements] = await Promise.all([this.nodes(), this.#placements.stored()])
    return await observe({ catalog: this.#client.parts.catalog, cluster: this.name, nodes, placements })
  }

  /** Percent, 0 to 100, of what a node that joins a replica set has copied; 0 when it does not say. */
  async transferPercent(node: NodeId, replicaSet: string): Promise<number> {
    try {
      const status = await this.#client.parts.catalog.cluster(node, replicaSet, TRANSFER_CALL)
      return status?.transferPercent ?? 0
    } catch (error) {
      if (error instanceof NodeError) return 0
      throw error
    }
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
    const ended = await this.operations.run({ kind: 'drain', nodes: [...nodes] }, options)
    for (const node of nodes) await this.records.set(node, { drained: true })
    return succeededOrThrow(ended)
  }

  async planDrain(nodes: readonly NodeId[]): Promise<PreparedPlan> {
    return await this.#planOf({ kind: 'drain', nodes: [...nodes] })
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
    return succeededOrThrow(await this.operations.run(replacement(dead, by), options))
  }

  async planReplace(dead: readonly NodeId[], by?: NodeId): Promise<PreparedPlan> {
    return await this.#planOf(replacement(dead, by))
  }

  async #planOf(goal: PlannableGoal): Promise<PreparedPlan> {
    return await this.plan(async (planning) => await planGoal(goal, planning))
  }

  /** Spreads the copies of all tables over the nodes with the fewest moves. */
  async rebalance(options: OperationOptions = {}): Promise<OperationSummary> {
    return succeededOrThrow(await this.operations.run({ kind: 'rebalance' }, options))
  }

  /**
   * Makes all sharded tables name exactly the copies that serve, and replica sets that lost their other member
   * writable again. To be called when a node has died, and when it is back.
   */
  async reroute(options: OperationOptions = {}): Promise<OperationSummary> {
    return succeededOrThrow(await this.operations.run({ kind: 'reroute' }, options))
  }

  /** Frees a node that was away from what others have taken over meanwhile. */
  async clean(node: NodeId, options: OperationOptions = {}): Promise<OperationSummary> {
    return succeededOrThrow(await this.operations.run({ kind: 'clean', node }, options))
  }

  /**
   * Makes tables that the sharding of Manticore Buddy has made tables of ours: they can be rebalanced and dropped from
   * then on. Rows and shards stay where they are. Buddy must not shard on this cluster any more.
   *
   * @param options `dryRun`: only look, and say what would be done
   * @throws InputError when a node does not answer and it is no dry run
   * @throws OperationError when it failed; everything was put back then
   */
  async adopt(options: OperationOptions & { readonly dryRun?: boolean } = {}): Promise<Adoption> {
    let findings: AdoptionFindings = { tables: [], problems: [] }
    const plan = await this.plan(async ({ adoption, ids }) => {
      const observed = await adoption()
      findings = findAdoptable(observed)
      return adoptionPlan(observed, findings, ids)
    })
    const isNeeded = plan.commands.length > 0 || findings.problems.some(({ kind }) => kind === 'missing_node')
    if (options.dryRun === true || !isNeeded) return { ...findings, plan, operation: null }
    const ended = await this.operations.run({ kind: 'adopt' }, options)
    return { ...findings, plan, operation: succeededOrThrow(ended) }
  }

  /**
   * Brings every copy that a finished operation has moved back to where it came from.
   *
   * @throws InputError when a copy has moved on meanwhile, or cannot go back
   */
  async revert(group: string, options: OperationOptions = {}): Promise<OperationSummary> {
    await this.ready()
    const operation = await this.operations.steering.operation(group)
    if (operation.state !== 'succeeded') {
      throw new InputError(
        'group',
        `operation ${group} is '${operation.state}'; only what has succeeded can be reverted`,
      )
    }
    return succeededOrThrow(await this.operations.run({ kind: 'revert', group }, options))
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

  /**
   * Makes a plan without running it.
   *
   * @throws InputError for what cannot be done
   */
  async plan(makePlan: (planning: Planning) => Promise<Plan>): Promise<PreparedPlan> {
    return await this.operations.plan(makePlan)
  }

  /**
   * Runs a plan exactly as it was made.
   *
   * @throws ShardingError `plan_stale` when the cluster has changed since then; nothing was changed by us
   * @throws OperationError when a command failed
   */
  async execute(plan: PreparedPlan, options: OperationOptions = {}): Promise<OperationSummary> {
    return succeededOrThrow(await this.operations.execute(plan, options))
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
    const done = new Map<string, OperationSummary>()
    for (let losses = 0; ; losses++) {
      try {
        await this.during(async ({ resumed }) => {
          const settled = await Promise.allSettled(resumed.map(async ({ ended }) => await ended))
          for (const result of settled) {
            if (result.status === 'fulfilled') done.set(result.value.operation.group, summarize(result.value))
          }
          for (const result of settled) if (result.status === 'rejected') throw result.reason
        })
        return [...done.values()]
      } catch (error) {
        // A process that was held up for longer than its lease lasts goes on with what is left.
        const isLost = error instanceof ShardingError && error.code === 'leadership_lost'
        if (!isLost || losses >= MAX_LEASE_LOSSES) throw error
      }
    }
  }

  /**
   * A coordinator for this cluster: once started it leads whenever it can, runs what is asked for, and answers nodes
   * that come, go and die.
   *
   * @example
   * const coordinator = cluster.coordinator({ graceDelayMs: 120_000 })
   * coordinator.start()
   */
  coordinator(
    settings: Partial<CoordinatorSettings> = {},
    options: { readonly log?: Log; readonly onStatus?: (status: CoordinatorStatus) => void } = {},
  ): Coordinator {
    const { catalog, clock } = this.#client.parts
    const parts = {
      cluster: this.name,
      catalog,
      clock,
      log: options.log ?? SILENT_LOG,
      state: this.#state,
      records: this.records,
      operations: this.operations,
      ready: async () => await this.ready(),
      observe: async () => await this.observe(),
      nodes: async () => await this.nodes(),
      during: this.#terms.during.bind(this.#terms),
      onStatus: options.onStatus ?? (() => undefined),
    }
    const coordinator = new Coordinator(parts, settings)
    this.#client.onClose(async () => await coordinator.stop())
    return coordinator
  }

  /** Runs `body` while this process leads. */
  async during<T>(body: (term: Term) => Promise<T>): Promise<T> {
    await this.ready()
    return await this.#terms.during(body, { patienceMs: LEADERSHIP_PATIENCE_MS })
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
      onState: async (operation, touched) => {
        const tables = new Set([...touched.tables, operation.table])
        await this.rebalances.record(operation, tables)
        await this.stopSignals.record(operation, tables)
      },
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

function replacement(nodes: readonly NodeId[], by: NodeId | undefined): PlannableGoal {
  return { kind: 'replace', nodes: [...nodes], ...(by === undefined ? {} : { by }) }
}
