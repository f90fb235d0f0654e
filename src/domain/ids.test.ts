import { describe, expect, it } from 'vitest'
import { TimeOrderedIds } from './ids.ts'
import type { Clock, Random } from './ports.ts'

/** The same numbers every time (mulberry32). */
function seededRandom(seed: number): Random {
  let state = seed
  return {
    next: () => {
      state = (state + 0x6d2b79f5) | 0
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
    },
  }
}

function clockAt(times: { nowMs: number }): Clock {
  return { now: () => times.nowMs, sleep: async () => await Promise.resolve() }
}

const NOW_MS = 1_900_000_000_000

describe('ids', () => {
  it('grow, are unique and exact, whatever the clock does', () => {
    const time = { nowMs: NOW_MS }
    const ids = new TimeOrderedIds(clockAt(time), seededRandom(1))
    let last = 0
    for (let n = 0; n < 100_000; n++) {
      // Mostly within a millisecond, sometimes on, now and then an hour back.
      if (n % 50 === 0) time.nowMs += 1
      if (n % 30_000 === 29_999) time.nowMs -= 3_600_000
      const id = ids.next()
      expect(id).toBeGreaterThan(last)
      last = id
    }
    expect(Number.isSafeInteger(last)).toBe(true)
  })

  it('are in the order of time, also of different processes', () => {
    const earlier = new TimeOrderedIds(clockAt({ nowMs: NOW_MS }), seededRandom(1))
    const later = new TimeOrderedIds(clockAt({ nowMs: NOW_MS + 1 }), seededRandom(2))
    expect(later.next()).toBeGreaterThan(earlier.next())
  })

  it('begin the next millisecond early when one is used up', () => {
    const ids = new TimeOrderedIds(clockAt({ nowMs: NOW_MS }), seededRandom(1))
    const many = Array.from({ length: 10_000 }, () => ids.next())
    expect(new Set(many).size).toBe(many.length)
    expect((many.at(-1) ?? 0) - (many[0] ?? 0)).toBe(9_999)
  })

  it('of two processes in the same millisecond hardly ever meet', () => {
    const time = { nowMs: NOW_MS }
    let meetings = 0
    for (let round = 0; round < 2_000; round++) {
      const made = [2 * round, 2 * round + 1].flatMap((seed) => {
        const ids = new TimeOrderedIds(clockAt(time), seededRandom(seed))
        return Array.from({ length: 20 }, () => ids.next())
      })
      if (new Set(made).size < made.length) meetings++
    }
    // Twenty consecutive ids each, from one of 2,048 places: about one pair in fifty.
    expect(meetings).toBeLessThan(2_000 / 30)
  })
})
