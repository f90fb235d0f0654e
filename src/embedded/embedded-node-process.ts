import type { Clock } from '../domain/ports.ts'
import type { NodeId } from '../domain/words.ts'
import type { Membership } from './replication-membership.ts'
import type { TableStore } from './store.ts'

/** The process a statement ran in has ended; whoever asked gets no answer. */
export class ProcessEnded extends Error {
  constructor(node: NodeId) {
    super(`the process of ${node} has ended`)
    this.name = 'ProcessEnded'
  }
}

interface NodeProcessFields {
  readonly node: NodeId
  readonly replicationAddress: string
  readonly dataDir: string
  readonly store: TableStore
  readonly clock: Clock
}

/**
 * One run of a daemon, from its start to its stop or crash. A restarted node is a new process on the same
 * store, so that nothing begun in the old one can act in the new one.
 */
export class NodeProcess {
  readonly node: NodeId
  /** How the node shows up in `nodes_view` behind its own name. */
  readonly replicationAddress: string
  readonly dataDir: string
  readonly store: TableStore
  /** The replication clusters it knows, by name. */
  readonly memberships = new Map<string, Membership>()
  readonly #clock: Clock
  readonly #ended = new AbortController()
  readonly #tableVersions = new Map<string, number>()
  #joins: Promise<unknown> = Promise.resolve()

  constructor(fields: NodeProcessFields) {
    this.node = fields.node
    this.replicationAddress = fields.replicationAddress
    this.dataDir = fields.dataDir
    this.store = fields.store
    this.#clock = fields.clock
  }

  get alive(): boolean {
    return !this.#ended.signal.aborted
  }

  /** Aborted when the process ends. */
  get signal(): AbortSignal {
    return this.#ended.signal
  }

  /** From here on every {@link pause} of this process rejects. */
  end(): void {
    this.#ended.abort(new ProcessEnded(this.node))
  }

  ensureAlive(): void {
    if (!this.alive) throw new ProcessEnded(this.node)
  }

  /**
   * Lets others run, and lets `ms` pass when it is not 0. Every wait of code that goes on to touch the store goes through
   * here, because the process may have ended meanwhile.
   */
  async pause(ms: number): Promise<void> {
    this.ensureAlive()
    if (ms > 0) await this.#clock.sleep(ms, this.signal)
    else await Promise.resolve()
    this.ensureAlive()
  }

  /** JOINs of one node run one after the other. */
  async joinInTurn<T>(body: () => Promise<T>): Promise<T> {
    const turn = this.#joins.then(body, body)
    this.#joins = turn.catch(() => undefined)
    return await turn
  }

  /** The cluster that a table of this node is in. */
  clusterOfTable(table: string): Membership | undefined {
    for (const membership of this.memberships.values()) {
      if (membership.tables.has(table)) return membership
    }
    return undefined
  }

  /** Grows with every change of a table's rows or definition that is not replicated. */
  tableVersion(table: string): number {
    return this.#tableVersions.get(table) ?? 0
  }

  tableChanged(table: string): void {
    this.#tableVersions.set(table, this.tableVersion(table) + 1)
  }
}
