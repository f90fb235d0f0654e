import type { Clock, IdSource, Random } from './ports.ts'

/** 2025-01-01 UTC in milliseconds: ids count from here, so that 41 bits last until 2094. */
const EPOCH_MS = 1_735_689_600_000
/** Ids of one millisecond; with 41 bits of time they stay below 2^53. */
const IDS_PER_MS = 4_096

/**
 * Time-ordered ids: milliseconds in the upper bits, a counter in the lower ones that begins at a random place in
 * each new millisecond, so that two processes hardly ever meet. Who stores an id sees a collision as a
 * duplicate. When one millisecond is used up, the next one is begun early.
 */
export class TimeOrderedIds implements IdSource {
  readonly #clock: Clock
  readonly #random: Random
  #last = 0

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  next(): number {
    const first = (this.#clock.now() - EPOCH_MS) * IDS_PER_MS
    // A new place for every id would drive those of all processes to the end of the range.
    if (this.#last >= first) this.#last++
    else this.#last = first + Math.floor((this.#random.next() * IDS_PER_MS) / 2)
    return this.#last
  }
}
