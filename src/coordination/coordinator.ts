import { createHash } from 'node:crypto'
import { messageOf, ShardingError } from '../domain/errors.ts'
import type { Plan } from '../domain/plan.ts'
import type { Clock, Log, NodeCatalog } from '../domain/ports.ts'
import type { NodeId } from '../domain/words.ts'
import type { StateStore } from '../engine/state-store.ts'
import { touchedBy } from '../engine/touched.ts'
import type { ObservedState } from '../planning/observed.ts'
import type { NodeRecords } from './node-records.ts'
import { NodeWatch, type NodeChange, type NodeView, type NodeWatchSettings } from './node-watch.ts'
import { sightings } from './observe.ts'
import type { Operations } from './operations.ts'
import { type PlannableGoal, planGoal } from './plan-goal.ts'
import type { DuringOptions, Term } from './terms.ts'

export interface CoordinatorSettings extends NodeWatchSettings {
  /** How often all nodes are looked at, in milliseconds. */
  readonly watchIntervalMs: number
  /** Spread copies anew when nodes have come or gone. */
  readonly automaticRebalance: boolean
  /** Make the copies of nodes that are gone anew elsewhere. */
  readonly automaticReplace: boolean
}

export const DEFAULT_COORDINATOR_SETTINGS: CoordinatorSettings = {
  watchIntervalMs: 1_000,
  graceDelayMs: 60_000,
  flapWindowMs: 600_000,
  maxFlaps: 3,
  automaticRebalance: true,
  automaticReplace: true,
}

export interface CoordinatorParts {
  /** The cluster of all nodes; null: a standalone node, of which nothing has to be watched. */
  readonly cluster: string | null
  readonly catalog: NodeCatalog
  readonly clock: Clock
  readonly log: Log
  readonly state: StateStore
  readonly records: NodeRecords
  readonly operations: Operations
  /** Makes the system tables when they are not there yet. */
  readonly ready: () => Promise<void>
  readonly observe: () => Promise<ObservedState>
  /** All members, answering or not. */
  readonly nodes: () => Promise<readonly NodeId[]>
  readonly during: <T>(body: (term: Term) => Promise<T>, options: DuringOptions) => Promise<T>
  /** Told of everything that changes. */
  readonly onStatus: (status: CoordinatorStatus) => void
}

export interface CoordinatorStatus {
  readonly leads: boolean
  /** 0 while it does not lead. */
  readonly epoch: number
  readonly nodes: readonly NodeView[]
}

/** How long after a failure leadership is tried again, in milliseconds. */
const RETRY_MS = 1_000
/** How often it is written down when nodes were seen, in milliseconds. */
const SEEN_INTERVAL_MS = 10_000
/** What could not be done is tried again after this long, in milliseconds, twice as long every time. */
const FIRST_RECONCILE_RETRY_MS = 1_000
const MAX_RECONCILE_RETRY_MS = 60_000

/**
 * Leads whenever it can, runs what is asked for in the journal, and answers nodes that come, go and die. Any number
 * of them may run for one cluster: one acts, the next takes over within seconds.
 */
export class Coordinator {
  readonly #parts: CoordinatorParts
  readonly #settings: CoordinatorSettings
  readonly #stop = new AbortController()
  #running: Promise<void> | undefined
  #status: CoordinatorStatus = { leads: false, epoch: 0, nodes: [] }

  constructor(parts: CoordinatorParts, settings: Partial<CoordinatorSettings> = {}) {
    this.#parts = parts
    this.#settings = { ...DEFAULT_COORDINATOR_SETTINGS, ...settings }
  }

  get status(): CoordinatorStatus {
    return this.#status
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Gives leadership back. What is in flight is broken off; the journal knows of it, and the next one goes on. */
  async stop(): Promise<void> {
    this.#stop.abort(new ShardingError('closed', 'the coordinator was stopped'))
    await this.#running
  }

  async #run(): Promise<void> {
    const { clock, log, during } = this.#parts
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        await this.#parts.ready()
        await during(async (term) => await this.#reign(term), { signal })
      } catch (error) {
        if (signal.aborted) return
        log.warn('not master', { reason: messageOf(error) })
        await clock.sleep(RETRY_MS, signal).catch(() => undefined)
      } finally {
        this.#tell({ leads: false, epoch: 0, nodes: [] })
      }
    }
  }

  /** One term, until the lease is lost or the coordinator stopped. */
  async #reign({ fence, resumed, succession }: Term): Promise<void> {
    const { clock, log, cluster, nodes, catalog } = this.#parts
    log.info('becoming master', {
      epoch: fence.epoch,
      ...succession,
      resumed: resumed.map(({ group }) => group),
    })
    this.#tell({ leads: true, epoch: fence.epoch, nodes: [] })
    const over = AbortSignal.any([fence.lost, this.#stop.signal])
    const reconciler = new Reconciler(this.#parts, this.#settings, over)
    const watch = new NodeWatch(this.#settings, await this.#knownNodes())
    let writtenAt = Number.NEGATIVE_INFINITY
    while (!over.aborted) {
      if (cluster !== null) {
        try {
          const now = clock.now()
          const seen = await sightings(catalog, cluster, await nodes())
          const changes = watch.look(seen, now)
          for (const change of changes) this.#logChange(change)
          if (changes.length > 0 || now - writtenAt >= SEEN_INTERVAL_MS) {
            await this.#writeDown(watch.views(), changes)
            writtenAt = now
          }
          this.#tell({ leads: true, epoch: fence.epoch, nodes: watch.views() })
          reconciler.look(watch, changes.length > 0)
        } catch (error) {
          if (over.aborted) break
          log.warn('the nodes cannot be looked at', { reason: messageOf(error) })
        }
      }
      await clock.sleep(this.#settings.watchIntervalMs, over).catch(() => undefined)
    }
    await reconciler.ended()
    if (fence.lost.aborted) log.warn('not master any more', { reason: messageOf(fence.lost.reason) })
  }

  async #knownNodes(): Promise<NodeView[]> {
    const members = this.#parts.cluster === null ? [] : await this.#parts.nodes()
    return await this.#parts.records.seen(members, this.#parts.clock.now())
  }

  async #writeDown(views: readonly NodeView[], changes: readonly NodeChange[]): Promise<void> {
    const { records, cluster, state } = this.#parts
    for (const view of views) await records.markSeen(view)
    if (changes.length > 0) {
      const nodes = views.map(({ node, state: found }) => ({ node, state: found }))
      await put(state, 'cluster', { name: cluster, nodes })
    }
  }

  #logChange({ view, before }: NodeChange): void {
    const { log } = this.#parts
    const fields = { node: view.node, before: before ?? 'unknown', since: new Date(view.since).toISOString() }
    if (view.state === 'serving') log.info(before === undefined ? 'node seen' : 'node serves again', fields)
    else log.warn(`node is ${view.state}`, fields)
  }

  #tell(status: CoordinatorStatus): void {
    this.#status = status
    this.#parts.onStatus(status)
  }
}

/** Brings the cluster to where it should be for the nodes that there are; one thing after another. */
class Reconciler {
  readonly #parts: CoordinatorParts
  readonly #settings: CoordinatorSettings
  readonly #over: AbortSignal
  #running: Promise<void> | undefined
  /** What was there at the last look has not been answered yet. */
  #due = true
  #retryAt = 0
  #retryMs = FIRST_RECONCILE_RETRY_MS

  constructor(parts: CoordinatorParts, settings: CoordinatorSettings, over: AbortSignal) {
    this.#parts = parts
    this.#settings = settings
    this.#over = over
  }

  look(watch: NodeWatch, changed: boolean): void {
    if (changed) {
      this.#due = true
      this.#retryAt = 0
      this.#retryMs = FIRST_RECONCILE_RETRY_MS
    }
    const now = this.#parts.clock.now()
    if (!this.#due || this.#running !== undefined || now < this.#retryAt) return
    this.#due = false
    this.#running = this.#reconcile(watch).finally(() => (this.#running = undefined))
  }

  async ended(): Promise<void> {
    await this.#running
  }

  /** Never rejects. */
  async #reconcile(watch: NodeWatch): Promise<void> {
    const { log, clock } = this.#parts
    try {
      const settled = await this.#steps(watch)
      if (settled) {
        this.#retryMs = FIRST_RECONCILE_RETRY_MS
        return
      }
    } catch (error) {
      if (this.#over.aborted) return
      log.warn('what nodes have left to be done waits', { reason: messageOf(error), retryMs: this.#retryMs })
    }
    this.#due = true
    this.#retryAt = clock.now() + this.#retryMs
    this.#retryMs = Math.min(2 * this.#retryMs, MAX_RECONCILE_RETRY_MS)
  }

  /** @returns false when something has to be looked at again later */
  async #steps(watch: NodeWatch): Promise<boolean> {
    const { log, clock } = this.#parts
    const now = clock.now()
    await this.#run({ kind: 'reroute' }, 'Rerouting around inactive nodes')
    let cleaned = false
    for (const node of watch.nodesIn('serving')) {
      if (await this.#run({ kind: 'clean', node }, `Cleaning returned node ${node}`)) cleaned = true
    }
    if (cleaned) await this.#run({ kind: 'reroute' }, 'Rerouting to returned nodes')
    const gone = watch.nodesIn('gone')
    if (gone.length > 0 && this.#settings.automaticReplace) {
      await this.#run(
        { kind: 'replace', nodes: gone },
        `Rebalancing due to inactive nodes: ${gone.join(', ')}`,
      )
    }
    const unsettled = [...watch.nodesIn('silent'), ...watch.nodesIn('down')]
    const flapping = watch.views().filter(({ node }) => watch.flaps(node, now))
    if (flapping.length > 0) {
      log.warn('nodes that come and go too often are left alone', { nodes: flapping.map(({ node }) => node) })
    }
    if (unsettled.length > 0 || flapping.length > 0) return false
    return await this.#rebalance(watch.nodesIn('serving'))
  }

  /** Copies are spread anew when the nodes are others than when it was done last. */
  async #rebalance(nodes: readonly NodeId[]): Promise<boolean> {
    const { log, state } = this.#parts
    if (!this.#settings.automaticRebalance) return true
    const hash = createHash('sha256').update(nodes.toSorted().join('\n')).digest('hex')
    const { value } = await state.get('cluster_hash')
    if (isHash(value, hash)) return true
    const plan = await this.#planOf({ kind: 'rebalance' })
    const moved = touchedBy(plan.commands.flatMap(({ statements }) => statements)).tables
    const tables = await this.#tables()
    for (const table of tables) {
      if (moved.has(table)) log.info(`Rebalancing queued for table ${table}`, { nodes })
      else log.info(`Skipping rebalance for table ${table}: ${plan.reasons[0] ?? 'its copies are balanced'}`)
    }
    if (plan.commands.length > 0) {
      const { operation } = await this.#parts.operations.run({ kind: 'rebalance' }, { signal: this.#over })
      for (const table of moved)
        log.info(`Rebalancing completed for table ${table}`, { state: operation.state })
      if (operation.state !== 'succeeded') return false
    }
    await put(state, 'cluster_hash', { hash, nodes })
    return true
  }

  /** Runs what there is to be done for a goal, and tells whether there was anything. */
  async #run(goal: PlannableGoal, why: string): Promise<boolean> {
    const { log, operations } = this.#parts
    const plan = await this.#planOf(goal)
    if (plan.commands.length === 0) return false
    log.info(why, { plan: plan.summary })
    const { operation } = await operations.run(goal, { signal: this.#over })
    const { group, state, error } = operation
    if (state !== 'succeeded') throw new ShardingError('operation_failed', `${group} is ${state}: ${error}`)
    log.info(`${why}: done`, { operation: group })
    return true
  }

  async #planOf(goal: PlannableGoal): Promise<Plan> {
    return await this.#parts.operations.plan(async (planning) => await planGoal(goal, planning))
  }

  async #tables(): Promise<string[]> {
    const { placements } = await this.#parts.observe()
    return [...new Set(placements.map(({ table }) => table))].toSorted()
  }
}

function isHash(value: unknown, hash: string): boolean {
  return typeof value === 'object' && value !== null && 'hash' in value && value.hash === hash
}

async function put(state: StateStore, key: string, value: object): Promise<void> {
  for (;;) {
    const { version } = await state.get(key)
    if (await state.compareAndSet(key, version, value)) return
  }
}
