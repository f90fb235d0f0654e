import { ShardingError } from '../domain/errors.ts'
import type { Clock, Fence } from '../domain/ports.ts'
import type { EndedOperation, Engine } from '../engine/engine.ts'
import type { Leadership, Lease } from './leadership.ts'

/** How often the journal is looked at for what others have asked, in milliseconds. */
const WATCH_INTERVAL_MS = 500

/** One term of leadership: an engine that may act, for as long as the lease lasts. */
export interface Term {
  readonly engine: Engine
  readonly fence: Fence
  /** What the former coordinator left unfinished and this one goes on with. */
  readonly resumed: readonly { readonly group: string; readonly ended: Promise<EndedOperation> }[]
}

/**
 * Leadership for calls that need it only while they run: the first one takes the lease, the last one gives it
 * back, and whatever a dead process left in the journal is taken up on the way.
 */
export class Terms {
  readonly #leadership: Leadership
  readonly #clock: Clock
  readonly #engineFor: (fence: Fence) => Engine
  #current: SharedTerm | undefined
  #closed = false

  constructor(leadership: Leadership, clock: Clock, engineFor: (fence: Fence) => Engine) {
    this.#leadership = leadership
    this.#clock = clock
    this.#engineFor = engineFor
  }

  /**
   * Runs `body` under the lease.
   *
   * @param patienceMs how long to wait for a lease that another process holds
   * @throws ShardingError `leadership_taken`, or `closed` after {@link close}
   */
  async during<T>(body: (term: Term) => Promise<T>, patienceMs: number): Promise<T> {
    if (this.#closed)
      throw new ShardingError('closed', 'this client was closed; the journal keeps what is unfinished')
    const current = (this.#current ??= { opening: this.#open(patienceMs), users: 0 })
    current.users++
    try {
      const term = await current.opening
      return await body(term)
    } finally {
      current.users--
      if (current.users === 0) await this.#end(current)
    }
  }

  /** Stops acting at once and gives the lease back; what is unfinished stays in the journal. */
  async close(): Promise<void> {
    this.#closed = true
    const current = this.#current
    this.#current = undefined
    if (current === undefined) return
    const [term] = await Promise.allSettled([current.opening])
    if (term.status === 'fulfilled') await term.value.lease.release()
  }

  async #open(patienceMs: number): Promise<OpenTerm> {
    const lease = await this.#leadership.acquire(patienceMs)
    try {
      const engine = this.#engineFor(lease)
      const { resumed } = await engine.recover()
      this.#keepWhileRunning(resumed.map(({ ended }) => ended))
      void this.#watch(engine, lease)
      lease.lost.addEventListener('abort', () => this.#forget(lease), { once: true })
      return { engine, fence: lease, resumed, lease }
    } catch (error) {
      await lease.release()
      throw error
    }
  }

  /** Others ask through the journal; who leads looks there again and again. */
  async #watch(engine: Engine, { lost }: Lease): Promise<void> {
    while (!lost.aborted) {
      try {
        await this.#clock.sleep(WATCH_INTERVAL_MS, lost)
        this.#keepWhileRunning((await engine.watchOnce()).map(({ ended }) => ended))
      } catch (error) {
        // The journal cannot be read just now, or the lease is lost, which ends the loop.
        if (!lost.aborted && !(error instanceof ShardingError)) throw error
      }
    }
  }

  /** Operations that were taken over need the lease until they have ended, whoever waits for them. */
  #keepWhileRunning(endings: readonly Promise<unknown>[]): void {
    const settled = Promise.allSettled(endings)
    const current = this.#current
    if (current === undefined || endings.length === 0) return
    current.users++
    void settled.then(async () => {
      current.users--
      if (current.users === 0) await this.#end(current)
    })
  }

  async #end(current: SharedTerm): Promise<void> {
    if (this.#current === current) this.#current = undefined
    const [term] = await Promise.allSettled([current.opening])
    if (term.status === 'fulfilled') await term.value.lease.release()
  }

  /** The next call opens a new term. */
  #forget(lease: Lease): void {
    const current = this.#current
    void current?.opening.then((term) => {
      if (term.lease === lease && this.#current === current) this.#current = undefined
    })
  }
}

interface OpenTerm extends Term {
  readonly lease: Lease
}

interface SharedTerm {
  readonly opening: Promise<OpenTerm>
  /** Calls and taken-over operations that still need the lease. */
  users: number
}
