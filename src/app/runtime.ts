import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { TimeOrderedIds } from '../domain/ids.ts'
import type { Clock, IdSource, Random } from '../domain/ports.ts'

/** Time, chance and identity of this process: the only place where they come from outside. */
export interface Runtime {
  readonly clock: Clock
  readonly random: Random
  readonly ids: IdSource
  /** `host:pid:random`, unique among all processes that may lead. */
  readonly owner: string
}

export const systemClock: Clock = {
  // Goes on evenly when somebody sets the machine's clock: leases and deadlines must not end early, or never.
  now: () => Math.floor(performance.timeOrigin + performance.now()),
  sleep: async (ms, signal) => {
    try {
      await sleep(ms, undefined, signal === undefined ? {} : { signal })
    } catch (error) {
      // Node.js rejects with an AbortError of its own, whatever the reason.
      signal?.throwIfAborted()
      throw error
    }
  },
}

export const systemRandom: Random = { next: () => Math.random() }

export function systemRuntime(): Runtime {
  return {
    clock: systemClock,
    random: systemRandom,
    ids: new TimeOrderedIds(systemClock, systemRandom),
    owner: `${hostname()}:${process.pid}:${randomBytes(4).toString('hex')}`,
  }
}
