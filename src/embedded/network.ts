import type { Clock, Random } from '../domain/ports.ts'
import type { NodeId } from '../domain/words.ts'
import type { NodeProcess } from './embedded-node-process.ts'
import type { LatencyProfile } from './network-latency.ts'

/** A message did not reach the other node, or its answer did not come back. */
export class LinkDown extends Error {
  /** Whether the request reached the other node, so that it may have taken effect. */
  readonly delivered: boolean
  constructor(to: NodeId, delivered: boolean) {
    super(delivered ? `connection to ${to} lost` : `connection to ${to} refused`)
    this.name = 'LinkDown'
    this.delivered = delivered
  }
}

/** Bits below the clock's milliseconds in a generated row id: 4,096 ids a millisecond, below 2^53 until 2039. */
const AUTO_ID_STEPS_PER_MS = 4_096

/** Calls that come before and after a change of who can talk to whom. */
interface TopologyObserver {
  settle(): void
}

export interface NetworkOptions {
  readonly clock: Clock
  readonly random: Random
  readonly latency: LatencyProfile
  /** How long a broken link or a dead node goes unnoticed by replication, in milliseconds. */
  readonly failureDetectionMs: number
}

/**
 * What lies between embedded nodes: which processes run, and which of them can talk to each other. Links are
 * directed, so that a partition may be one-way.
 */
export class EmbeddedNetwork {
  readonly clock: Clock
  readonly random: Random
  readonly latency: LatencyProfile
  readonly failureDetectionMs: number
  readonly #processes = new Map<NodeId, NodeProcess>()
  readonly #blocked = new Set<string>()
  readonly #waiters = new Set<() => void>()
  #observer: TopologyObserver | undefined
  #lastAutoId = 0

  constructor(options: NetworkOptions) {
    this.clock = options.clock
    this.random = options.random
    this.latency = options.latency
    this.failureDetectionMs = options.failureDetectionMs
  }

  /** Who is told right before and right after every change of topology. */
  observe(observer: TopologyObserver): void {
    this.#observer = observer
  }

  processes(): Iterable<NodeProcess> {
    return this.#processes.values()
  }

  process(node: NodeId): NodeProcess | undefined {
    return this.#processes.get(node)
  }

  attach(process: NodeProcess): void {
    this.#change(() => this.#processes.set(process.node, process))
  }

  detach(process: NodeProcess): void {
    this.#change(() => {
      if (this.#processes.get(process.node) === process) this.#processes.delete(process.node)
    })
  }

  /** Nodes of different groups cannot talk to each other; nodes named nowhere form one more group. */
  partition(groups: readonly (readonly NodeId[])[], nodes: readonly NodeId[]): void {
    const groupOf = (node: NodeId): number => groups.findIndex((group) => group.includes(node))
    this.#change(() => {
      this.#blocked.clear()
      for (const from of nodes) {
        for (const to of nodes) if (groupOf(from) !== groupOf(to)) this.#blocked.add(linkKey(from, to))
      }
    })
  }

  /** Blocks one direction between two nodes. */
  block(from: NodeId, to: NodeId): void {
    this.#change(() => this.#blocked.add(linkKey(from, to)))
  }

  heal(): void {
    this.#change(() => this.#blocked.clear())
  }

  /** Whether a message from one node reaches the other now. */
  reaches(from: NodeId, to: NodeId): boolean {
    if (!this.#processes.has(from) || !this.#processes.has(to)) return false
    return from === to || !this.#blocked.has(linkKey(from, to))
  }

  /** Whether two nodes can talk in both directions. */
  connected(a: NodeId, b: NodeId): boolean {
    return this.reaches(a, b) && this.reaches(b, a)
  }

  /**
   * Runs `body` on another node and brings its result back. Rejects with {@link LinkDown} when the request or
   * the answer is lost; in the second case `body` has run.
   */
  async call<T>(caller: NodeProcess, to: NodeId, body: (process: NodeProcess) => T | Promise<T>): Promise<T> {
    await this.hop(caller)
    const callee = this.#processes.get(to)
    if (callee === undefined || !this.reaches(caller.node, to)) throw new LinkDown(to, false)
    const result = await runOn(callee, body)
    await this.hop(caller)
    if (!this.reaches(to, caller.node)) throw new LinkDown(to, true)
    return result
  }

  /** The time a message takes. */
  async hop(process: NodeProcess): Promise<void> {
    await process.pause(this.latency.hopMs)
  }

  /** A row id that no node of this network gave out before. */
  nextAutoId(): number {
    const fromClock = Math.floor(this.clock.now()) * AUTO_ID_STEPS_PER_MS
    this.#lastAutoId = Math.max(this.#lastAutoId + 1, fromClock)
    return this.#lastAutoId
  }

  /** 128 random bits, written like a uuid. */
  nextUuid(): string {
    const part = (digits: number): string =>
      Math.floor(this.random.next() * 16 ** digits)
        .toString(16)
        .padStart(digits, '0')
    return [part(8), part(4), part(4), part(4), part(6) + part(6)].join('-')
  }

  /** Tells everybody who waits in {@link nextChange} that something about nodes or clusters is different. */
  changed(): void {
    const waiters = [...this.#waiters]
    this.#waiters.clear()
    for (const wake of waiters) wake()
  }

  /** Resolves at the next change of processes, links or cluster memberships; rejects when aborted first. */
  async nextChange(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      const wake = (): void => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      }
      const onAbort = (): void => {
        this.#waiters.delete(wake)
        const reason: unknown = signal.reason
        reject(reason instanceof Error ? reason : new Error(String(reason)))
      }
      this.#waiters.add(wake)
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  #change(body: () => void): void {
    this.#observer?.settle()
    body()
    this.#observer?.settle()
    this.changed()
  }
}

/** A callee that dies while it works looks like a lost answer to the caller. */
async function runOn<T>(callee: NodeProcess, body: (process: NodeProcess) => T | Promise<T>): Promise<T> {
  try {
    return await body(callee)
  } catch (error) {
    if (!callee.alive) throw new LinkDown(callee.node, true)
    throw error
  }
}

function linkKey(from: NodeId, to: NodeId): string {
  return `${from}>${to}`
}
