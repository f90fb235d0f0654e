import { clusterMembers, observe } from '../coordination/observe.ts'
import { Leadership } from '../coordination/leadership.ts'
import { type Term, Terms } from '../coordination/terms.ts'
import { ShardingError } from '../domain/errors.ts'
import { isEnded, OPERATION_STATES, type Operation } from '../domain/operation.ts'
import type { Plan } from '../domain/plan.ts'
import type { Fence } from '../domain/ports.ts'
import type { NodeId } from '../domain/words.ts'
import { type EndedOperation, Engine } from '../engine/engine.ts'
import { operationFromPlan } from '../engine/enqueue.ts'
import { Journal } from '../engine/journal.ts'
import { JournalConnection } from '../engine/journal-connection.ts'
import { setUpJournal } from '../engine/journal-setup.ts'
import { PlacementStore } from '../coordination/placement-store.ts'
import { StateStore } from '../engine/state-store.ts'
import type { ObservedState } from '../planning/observed.ts'
import type { Client } from './client.ts'
import { type OperationSummary, summarize } from './operation-error.ts'
import { ProgressHub } from './progress.ts'

/** How long transient failures of an operation are retried before it is undone, in milliseconds. */
export const DEFAULT_OPERATION_TIMEOUT_MS = 300_000
/** How long a call waits for another process to give up leadership, in milliseconds. */
const LEADERSHIP_PATIENCE_MS = 60_000

export interface OperationOptions {
  /** How long transient failures are retried before the operation is undone, in milliseconds. */
  readonly timeoutMs?: number
  /** Ends the waiting, not the operation: the call rejects with `operation_pending`. */
  readonly signal?: AbortSignal
}

/** The cluster of all nodes, or one standalone node: its members, its journal, and who may act on it. */
export class Cluster {
  /** Null for a standalone node. */
  readonly name: string | null
  readonly progress = new ProgressHub()
  readonly journal: Journal
  readonly #client: Client
  readonly #entries: readonly NodeId[]
  readonly #placements: PlacementStore
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
    const leadership = new Leadership({ state: new StateStore(connection, name, clock), clock, owner })
    this.#terms = new Terms(leadership, (fence) => this.#engine(fence))
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
    table: string,
    makePlan: (observed: ObservedState) => Promise<Plan>,
    options: OperationOptions,
  ): Promise<EndedOperation> {
    let group: string | undefined
    const running = this.#again(async (term) => {
      if (group !== undefined) return await term.engine.resume(group)
      const started = await this.#oneAfterAnother(async () => {
        const stored = await this.#store(term, table, makePlan, options)
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

  async #store(
    { engine, fence }: Term,
    table: string,
    makePlan: (observed: ObservedState) => Promise<Plan>,
    options: OperationOptions,
  ) {
    await engine.replicaSetsSettled()
    const other = engine.live().find((operation) => operation.table === table)
    if (other !== undefined) {
      throw new ShardingError(
        'operation_busy',
        `operation ${other.group} is '${other.state}' on table '${table}'; nothing was changed`,
      )
    }
    const plan = await makePlan(await this.observe())
    const { ids, clock, owner } = this.#client.parts
    const stored = operationFromPlan(plan, {
      ids,
      epoch: fence.epoch,
      requestedBy: owner,
      now: clock.now(),
      timeoutMs: options.timeoutMs ?? DEFAULT_OPERATION_TIMEOUT_MS,
    })
    await this.journal.store(stored.operation, stored.commands)
    return stored
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
      onProgress: (event) => this.progress.emit(event),
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
