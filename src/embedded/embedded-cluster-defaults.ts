import { randomInt } from 'node:crypto'
import { setTimeout as sleepTimer } from 'node:timers/promises'
import type { Clock, Random } from '../domain/ports.ts'

/** Bits of a double between 0 and 1 that `crypto.randomInt` can fill in one call. */
const RANDOM_STEPS = 2 ** 47

/** The clock of an embedded cluster that is given none: the machine's. */
export const machineClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    try {
      await sleepTimer(ms, undefined, signal === undefined ? {} : { signal })
    } catch (error) {
      signal?.throwIfAborted()
      throw error
    }
  },
}

/** The chance of an embedded cluster that is given none. */
export const machineRandom: Random = {
  next: () => randomInt(RANDOM_STEPS) / RANDOM_STEPS,
}

/**
 * How long replication takes to give up a member that is gone, in milliseconds, unless told otherwise. A real
 * daemon takes about 5 s; whoever watches a demo should not have to.
 */
export const DEFAULT_FAILURE_DETECTION_MS = 200

export const DEFAULT_HOST = '127.0.0.1'

/** Nodes of an embedded cluster that is not told how many: enough for a quorum without one of them. */
export const DEFAULT_NODES = 3
