import { ShardingError } from '../domain/errors.ts'
import type { Operation } from '../domain/operation.ts'
import type { Clock, Fence } from '../domain/ports.ts'
import type { EndedOperation, Engine, OpenOperations } from '../engine/engine.ts'
import type { Leadership, Lease, Succession } from './leadership.ts'

/** How often the journal is looked at for what others have asked, in milliseconds. */
const WATCH_INTERVAL_MS = 100

/** An operation that goes on here. */
export interface Resumed {
  readonly group: string
  readonly ended: Promise<EndedOperation>
}

/** One term of leadership: an engine that may act, for as long as the lease lasts. */
export interface Term {
  readonly engine: Engine
  readonly fence: Fence
  readonly succession: Succession | null
  /** What the former coordinator left unfinished and this one goes on with. */
  readonly resumed: readonly Resumed[]
  /** Looks now at what others have asked for; the lease lasts until that has ended, too. */
  readonly look: () => Promise<void>
}

export interface TermsParts {
  readonly leadership: Leadership
  readonly clock: Clock
  readonly engineFor: (fence: Fence) => Engine
  /** Begins with what others have asked for; those that are being planned already are left out. */
  readonly startPlanned: (term: Term, planned: readonly Operation[]) => readonly Resumed[]
  /** Heeds what stands under keys of the state, beside the journal. */
  readonly heedSignals: () => Promise<void>
}

export interface DuringOptions {
  /** How long to wait for a lease that another process holds, in milliseconds; left out: as long as it takes. */
  readonly patienceMs?: number
  /** Ends that waiting; nothing happens once `body` has begun. */
  readonly signal?: AbortSignal
}

/**
 * Leadership that is shared by all calls of this process: the first one that needs it waits for the lease, the last
 * one gives it back, and whatever others have left or asked for in the journal is done on the way.
 */
export class Terms {
  readonly #parts: TermsParts
  #current: SharedTerm | undefined
  /** Leases that are just being given back. */
  readonly #endings = new Set<Promise<void>>()
  #closed = false

  constructor(parts: TermsParts) {
    this.#parts = parts
  }

  /** Whether this process leads now, or nobody does as far as can be seen at once. */
  async mayLead(): Promise<boolean> {
    if (this.#current?.open === true) return true
    return (await this.#parts.leadership.holder()) === undefined
  }

  /**
   * Runs `body` under the lease.
   *
   * @throws ShardingError `leadership_taken` when another process still holds it after the patience, or `closed`
   *   after {@link close}
   */
  async during<T>(body: (term: Term) => Promise<T>, options: DuringOptions = {}): Promise<T> {
    if (this.#closed)
      throw new ShardingError('closed', 'this client was closed; the journal keeps what is unfinished')
    const current = (this.#current ??= this.#begin())
    current.users++
    try {
      const term = await this.#opened(current, options)
      return await body(term)
    } finally {
      current.users--
      if (current.users === 0) await this.#end(current)
    }
  }

  /** Stops acting at once and gives the lease back; what is unfinished stays in the journal. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#current !== undefined) await this.#end(this.#current)
    await Promise.all(this.#endings)
  }

  async #opened(current: SharedTerm, { patienceMs, signal }: DuringOptions): Promise<OpenTerm> {
    const over = new AbortController()
    const ends = [over.signal, ...(signal === undefined ? [] : [signal])]
    const waits: Promise<OpenTerm>[] = [current.opening]
    if (signal !== undefined) waits.push(whenAborted(signal, over.signal))
    if (patienceMs !== undefined) waits.push(this.#outOfPatience(patienceMs, AbortSignal.any(ends)))
    try {
      return await Promise.race(waits)
    } finally {
      over.abort()
    }
  }

  async #outOfPatience(patienceMs: number, signal: AbortSignal): Promise<never> {
    try {
      await this.#parts.clock.sleep(patienceMs, signal)
    } catch {
      // Not waited for any more.
      return await new Promise<never>(() => undefined)
    }
    const holder = (await this.#parts.leadership.holder()) ?? 'another process'
    throw new ShardingError('leadership_taken', `${holder} leads this cluster and keeps renewing its lease`)
  }

  #begin(): SharedTerm {
    const stop = new AbortController()
    const current: SharedTerm = { opening: this.#open(stop.signal), stop, users: 0, open: false }
    current.opening.then(
      () => (current.open = true),
      // Those who wait for it are told; the next call begins anew.
      () => this.#forget(current),
    )
    return current
  }

  async #open(stop: AbortSignal): Promise<OpenTerm> {
    const { leadership, engineFor } = this.#parts
    const lease = await leadership.acquire(stop)
    try {
      stop.throwIfAborted()
      const engine = engineFor(lease)
      const open = await engine.recover()
      const term: OpenTerm = {
        engine,
        fence: lease,
        succession: lease.succession,
        resumed: [],
        lease,
        look: async () => {
          await this.#parts.heedSignals()
          this.#takeUp(term, await engine.watchOnce())
        },
      }
      const resumed = this.#takeUp(term, open)
      // It may have been lost while the journal was read: nobody would be told any more.
      lease.assertHeld()
      lease.lost.addEventListener('abort', () => this.#forgetLease(lease), { once: true })
      void this.#watch(term)
      return { ...term, resumed }
    } catch (error) {
      await lease.release()
      throw error
    }
  }

  /** Others ask through the journal; who leads looks there again and again. */
  async #watch(term: OpenTerm): Promise<void> {
    const { lost } = term.fence
    while (!lost.aborted) {
      try {
        await this.#parts.clock.sleep(WATCH_INTERVAL_MS, lost)
        await term.look()
      } catch (error) {
        // The journal cannot be read just now, or the lease is lost, which ends the loop.
        if (!lost.aborted && !(error instanceof ShardingError)) throw error
      }
    }
  }

  /** Operations that were taken over need the lease until they have ended, whoever waits for them. */
  #takeUp(term: OpenTerm, { resumed, planned }: OpenOperations): readonly Resumed[] {
    const all = [...resumed, ...this.#parts.startPlanned(term, planned)]
    const settled = Promise.allSettled(all.map(({ ended }) => ended))
    const current = this.#current
    if (current === undefined || all.length === 0) return all
    current.users++
    void settled.then(async () => {
      current.users--
      if (current.users === 0) await this.#end(current)
    })
    return all
  }

  async #end(current: SharedTerm): Promise<void> {
    this.#forget(current)
    current.stop.abort(new ShardingError('closed', 'nobody waits for the lease any more'))
    const ending = giveBack(current.opening)
    this.#endings.add(ending)
    try {
      await ending
    } finally {
      this.#endings.delete(ending)
    }
  }

  #forget(current: SharedTerm): void {
    if (this.#current === current) this.#current = undefined
  }

  /** The next call opens a new term. */
  #forgetLease(lease: Lease): void {
    const current = this.#current
    void current?.opening.then((term) => {
      if (term.lease === lease) this.#forget(current)
    })
  }
}

interface OpenTerm extends Term {
  readonly lease: Lease
}

interface SharedTerm {
  readonly opening: Promise<OpenTerm>
  /** Ends the waiting for the lease. */
  readonly stop: AbortController
  /** Calls and taken-over operations that still need the lease. */
  users: number
  open: boolean
}

async function giveBack(opening: Promise<OpenTerm>): Promise<void> {
  const [term] = await Promise.allSettled([opening])
  if (term.status === 'fulfilled') await term.value.lease.release()
}

/** Rejects with the reason when `signal` is aborted, unless `over` is first. */
async function whenAborted(signal: AbortSignal, over: AbortSignal): Promise<never> {
  return await new Promise<never>((_, reject) => {
    const onAbort = () => reject(signal.reason as Error)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true, signal: over })
  })
}
