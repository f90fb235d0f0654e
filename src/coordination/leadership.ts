import { ShardingError } from '../domain/errors.ts'
import type { Clock, Fence } from '../domain/ports.ts'
import type { StateStore } from '../engine/state-store.ts'

/**
 * How long a lease lasts without being renewed, in milliseconds. Long enough for a pause of the process or a
 * short outage of the cluster, short enough for a takeover within seconds.
 */
export const LEASE_TTL_MS = 5_000
/** A lease is renewed, and a foreign one looked at, this often within its time. */
const CHECKS_PER_TTL = 5

const LEASE_KEY = 'master'

/** What stands under the key `master`. */
interface LeaseRecord {
  readonly owner: string
  readonly epoch: number
  readonly ttl_ms: number
  /** Grows with every renewal, so that a standing still lease can be told without comparing clocks. */
  readonly renewals: number
  readonly released: boolean
}

/** After whom a lease was taken, because its holder gave no sign any more. */
export interface Succession {
  readonly from: string
  /** Milliseconds from the holder's last sign until the lease was ours. */
  readonly takeoverMs: number
}

export interface LeadershipParts {
  readonly state: StateStore
  readonly clock: Clock
  /** Who we are, unique among all processes and readable, e.g. `host:pid:random`. */
  readonly owner: string
  readonly ttlMs?: number
}

/** Takes the lease. At any time at most one process holds it; each taking has a higher epoch than all before. */
export class Leadership {
  readonly #parts: Required<LeadershipParts>

  constructor(parts: LeadershipParts) {
    this.#parts = { ttlMs: LEASE_TTL_MS, ...parts }
  }

  /**
   * Waits until the lease is ours. A foreign lease counts as dead when it was not renewed for its own time,
   * measured on our clock alone.
   *
   * @param signal ends the waiting; rejects with its reason then
   */
  async acquire(signal?: AbortSignal): Promise<Lease> {
    const { state, clock, ttlMs } = this.#parts
    let seen: { version: number; since: number } | undefined
    for (;;) {
      const entry = await state.get(LEASE_KEY, signal)
      const current = entry.version === 0 ? undefined : leaseRecord(entry.value)
      if (seen?.version !== entry.version) seen = { version: entry.version, since: clock.now() }
      const free = current === undefined || current.released || clock.now() - seen.since >= current.ttl_ms
      if (free) {
        // Not to be broken off: a lease that we do not know of would keep everybody else waiting.
        const lease = await this.#take(current, entry.version, seen.since)
        if (lease !== undefined) return lease
      }
      await clock.sleep(ttlMs / CHECKS_PER_TTL / 2, signal)
    }
  }

  /** Who holds the lease as it stands there, dead or alive; undefined when it is free. */
  async holder(): Promise<string | undefined> {
    const { value, version } = await this.#parts.state.get(LEASE_KEY)
    if (version === 0) return undefined
    const { owner, released } = leaseRecord(value)
    return released ? undefined : owner
  }

  async #take(
    former: LeaseRecord | undefined,
    version: number,
    lastSignAt: number,
  ): Promise<Lease | undefined> {
    const { state, clock, owner, ttlMs } = this.#parts
    const epoch = (former?.epoch ?? 0) + 1
    const record: LeaseRecord = { owner, epoch, ttl_ms: ttlMs, renewals: 0, released: false }
    const askedAt = clock.now()
    if (!(await state.compareAndSet(LEASE_KEY, version, record))) return undefined
    const succession =
      former === undefined || former.released
        ? null
        : { from: former.owner, takeoverMs: clock.now() - lastSignAt }
    return new Lease(state, clock, { record, version: version + 1, askedAt, succession })
  }
}

/** The lease while it is held: renewed in the background until it is released or lost. */
export class Lease implements Fence {
  readonly epoch: number
  /** Null when nobody held the lease before. */
  readonly succession: Succession | null
  readonly #state: StateStore
  readonly #clock: Clock
  readonly #lost = new AbortController()
  readonly #stopRenewing = new AbortController()
  readonly #renewing: Promise<void>
  #record: LeaseRecord
  #version: number
  /** When the last successful renewal was asked for: the lease is certain for its time from then on. */
  #renewedAt: number

  constructor(
    state: StateStore,
    clock: Clock,
    taken: {
      readonly record: LeaseRecord
      readonly version: number
      readonly askedAt: number
      readonly succession: Succession | null
    },
  ) {
    this.epoch = taken.record.epoch
    this.succession = taken.succession
    this.#state = state
    this.#clock = clock
    this.#record = taken.record
    this.#version = taken.version
    this.#renewedAt = taken.askedAt
    this.#renewing = this.#renewUntilStopped()
  }

  get lost(): AbortSignal {
    return this.#lost.signal
  }

  assertHeld(): void {
    this.#loseIfOver(undefined)
    this.#lost.signal.throwIfAborted()
  }

  /** Gives the lease back, so that the next one need not wait. After it nothing may be done under this epoch. */
  async release(): Promise<void> {
    this.#stopRenewing.abort()
    await this.#renewing
    if (this.#lost.signal.aborted) return
    this.#lose('the lease was released')
    await this.#giveBack()
  }

  /** Tried until the lease would have run out by itself. */
  async #giveBack(): Promise<void> {
    const record: LeaseRecord = { ...this.#record, released: true }
    const over = new AbortController()
    const leftMs = Math.max(0, this.#renewedAt + record.ttl_ms - this.#clock.now())
    const ranOut = new ShardingError('leadership_lost', 'the lease ran out before it was given back')
    const expiry = this.#clock.sleep(leftMs, over.signal).then(() => over.abort(ranOut))
    try {
      await this.#state.compareAndSet(LEASE_KEY, this.#version, record, over.signal)
    } catch (error) {
      // Nobody can be told; the next one waits until the lease runs out by itself.
      if (!(error instanceof ShardingError)) throw error
    } finally {
      over.abort()
      await Promise.allSettled([expiry])
    }
  }

  async #renewUntilStopped(): Promise<void> {
    const { signal } = this.#stopRenewing
    while (!signal.aborted && !this.#lost.signal.aborted) {
      try {
        await this.#clock.sleep(this.#record.ttl_ms / CHECKS_PER_TTL, signal)
        await this.#renew()
      } catch (error) {
        if (signal.aborted) return
        this.#loseIfOver(error)
      }
    }
  }

  async #renew(): Promise<void> {
    const askedAt = this.#clock.now()
    const record: LeaseRecord = { ...this.#record, renewals: this.#record.renewals + 1 }
    const patience = this.#lost.signal
    const expiry = this.#clock.sleep(Math.max(0, this.#renewedAt + this.#record.ttl_ms - askedAt), patience)
    const renewal = this.#state.compareAndSet(LEASE_KEY, this.#version, record, patience)
    const won = await Promise.race([renewal, expiry.then(() => 'expired' as const)])
    if (won === true) {
      this.#record = record
      this.#version++
      this.#renewedAt = askedAt
    } else {
      this.#lose(
        won === 'expired' ? 'the lease could not be renewed in time' : 'another process took the lease',
      )
    }
  }

  #loseIfOver(cause: unknown): void {
    if (this.#clock.now() - this.#renewedAt >= this.#record.ttl_ms) {
      this.#lose('the lease could not be renewed in time', cause)
    }
  }

  #lose(why: string, cause?: unknown): void {
    this.#lost.abort(new ShardingError('leadership_lost', why, { cause }))
  }
}

function leaseRecord(value: unknown): LeaseRecord {
  const fields = typeof value === 'object' && value !== null ? new Map(Object.entries(value)) : new Map()
  const [owner, epoch, ttl_ms, renewals, released] = [
    fields.get('owner'),
    fields.get('epoch'),
    fields.get('ttl_ms'),
    fields.get('renewals'),
    fields.get('released'),
  ]
  return {
    owner: typeof owner === 'string' ? owner : 'an unknown process',
    epoch: typeof epoch === 'number' ? epoch : 0,
    ttl_ms: typeof ttl_ms === 'number' ? ttl_ms : LEASE_TTL_MS,
    renewals: typeof renewals === 'number' ? renewals : 0,
    released: released === true,
  }
}
