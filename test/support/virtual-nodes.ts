import type { CallOptions, Clock, NodeConnection, NodeConnector } from '../../src/domain/ports.ts'
import type { Reply } from '../../src/domain/values.ts'
import { AnswerLost, EmbeddedCluster, NodeDown, VirtualClock } from '../../src/embedded/index.ts'
import { encodeError, encodeReply } from '../../src/embedded/reply-json.ts'
import { Journal } from '../../src/engine/journal.ts'
import { JournalConnection } from '../../src/engine/journal-connection.ts'
import { setUpJournal } from '../../src/engine/journal-setup.ts'
import { StateStore } from '../../src/engine/state-store.ts'
import { interpretAnswer, type StatementKind } from '../../src/manticore/answer.ts'
import { ConnectedCatalog } from '../../src/manticore/index.ts'
import { fixedRandom, nodeError } from './engine-doubles.ts'

const CLUSTER = 'c'

/** What lies between one process and all nodes. */
export type Link =
  | 'up'
  /** Connections are refused. */
  | 'down'
  /** What is sent arrives, and no answer comes back. */
  | 'mute'
  /** Nothing is sent before the link changes; then it arrives. */
  | 'stalled'

/** One process with connections, a journal and a clock of its own. */
export class VirtualProcess {
  readonly connector: VirtualConnector
  readonly catalog: ConnectedCatalog
  readonly clock: ProcessClock
  readonly journal: Journal
  readonly state: StateStore

  constructor(nodes: VirtualNodes, aheadMs: number) {
    this.clock = new ProcessClock(nodes.clock, aheadMs)
    this.connector = new VirtualConnector(nodes.embedded, this.clock)
    this.catalog = new ConnectedCatalog(this.connector)
    const connection = this.connection(nodes)
    this.journal = new Journal(connection, CLUSTER, this.clock)
    this.state = new StateStore(connection, CLUSTER, this.clock)
  }

  connection(nodes: VirtualNodes): JournalConnection {
    return new JournalConnection(this.connector, () => nodes.ids, this.clock, fixedRandom())
  }
}

/** The clock as one process sees it: it may be wrong by a constant, and the process may be stopped for a while. */
export class ProcessClock implements Clock {
  readonly #inner: Clock
  readonly #aheadMs: number
  #frozen: PromiseWithResolvers<void> | undefined

  constructor(inner: Clock, aheadMs: number) {
    this.#inner = inner
    this.#aheadMs = aheadMs
  }

  now(): number {
    return this.#inner.now() + this.#aheadMs
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    await this.#inner.sleep(ms, signal)
    await this.thawed()
  }

  /** As SIGSTOP: nothing goes on in this process, but time does. */
  freeze(): void {
    this.#frozen ??= Promise.withResolvers()
  }

  thaw(): void {
    this.#frozen?.resolve()
    this.#frozen = undefined
  }

  get frozen(): boolean {
    return this.#frozen !== undefined
  }

  async thawed(): Promise<void> {
    while (this.#frozen !== undefined) await this.#frozen.promise
  }
}

/** Embedded nodes without ports, on time that passes only when a test says so. */
export class VirtualNodes {
  readonly clock: VirtualClock
  readonly embedded: EmbeddedCluster

  private constructor(embedded: EmbeddedCluster, clock: VirtualClock) {
    this.embedded = embedded
    this.clock = clock
  }

  static async start(count = 2): Promise<VirtualNodes> {
    const clock = new VirtualClock()
    const options = { nodes: count, cluster: CLUSTER, dataDir: ':memory:', listen: false, clock }
    const nodes = new VirtualNodes(await clock.run(EmbeddedCluster.start(options)), clock)
    const { connector, catalog } = nodes.process()
    const [node = ''] = nodes.ids
    await clock.run(setUpJournal({ connector, catalog, cluster: CLUSTER, node }))
    return nodes
  }

  get ids(): readonly string[] {
    return this.embedded.nodes.map(({ id }) => id)
  }

  /** @param aheadMs how far its clock is ahead of that of others */
  process(aheadMs = 0): VirtualProcess {
    return new VirtualProcess(this, aheadMs)
  }

  async close(): Promise<void> {
    await this.clock.run(this.embedded.close())
  }
}

/** Calls embedded nodes in this process, over a link that a test can break. */
export class VirtualConnector implements NodeConnector {
  readonly #embedded: EmbeddedCluster
  readonly #clock: ProcessClock
  #link: Link = 'up'
  #changed = Promise.withResolvers<void>()
  #closed = false
  /** Statements with effect that have arrived. */
  executed = 0

  constructor(embedded: EmbeddedCluster, clock: ProcessClock) {
    this.#embedded = embedded
    this.#clock = clock
  }

  get closed(): boolean {
    return this.#closed
  }

  set link(link: Link) {
    this.#link = link
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }

  connection(node: string): NodeConnection {
    const call = async (kind: StatementKind, sql: string, options?: CallOptions) =>
      await this.#call(node, kind, sql, options?.signal)
    return {
      node,
      read: async (sql, options) => await call('read', sql, options),
      execute: async (sql, options) => await call('execute', sql, options),
      close: async () => await Promise.resolve(),
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.resolve()
  }

  async #call(node: string, kind: StatementKind, sql: string, signal?: AbortSignal): Promise<Reply> {
    signal?.throwIfAborted()
    await this.#clock.thawed()
    if (this.#closed) throw nodeError('closed', node)
    while (this.#link === 'stalled') await orAborted(this.#changed.promise, signal)
    if (this.#link === 'down') throw nodeError('unreachable', node)
    if (kind === 'execute') this.executed++
    const reply = await this.#answer(node, kind, sql)
    await this.#clock.thawed()
    if (this.#link === 'mute') throw nodeError(kind === 'read' ? 'unreachable' : 'outcome_unknown', node)
    return reply
  }

  async #answer(node: string, kind: StatementKind, sql: string): Promise<Reply> {
    try {
      const answer = await this.#embedded.node(node).execute(sql)
      const body = 'error' in answer ? encodeError(answer.error) : encodeReply(answer.result)
      const { httpStatus: status } = answer
      return interpretAnswer(node, kind, sql, {
        kind: 'answer',
        status,
        contentType: 'application/json',
        body,
      })
    } catch (error) {
      if (error instanceof NodeDown) throw nodeError('unreachable', node)
      if (error instanceof AnswerLost) {
        throw nodeError(kind === 'read' ? 'unreachable' : 'outcome_unknown', node)
      }
      throw error
    }
  }
}

async function orAborted(promise: Promise<void>, signal?: AbortSignal): Promise<void> {
  if (signal === undefined) return await promise
  const aborted = Promise.withResolvers<never>()
  const onAbort = () => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
