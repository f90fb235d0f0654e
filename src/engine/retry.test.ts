import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fixedRandom, nodeError } from '../../test/support/engine-doubles.ts'
import { ERROR_RULES, type ErrorCode, ShardingError } from '../domain/errors.ts'
import { backoffMs, isOutcomeUnknown, isTransient, MAX_BACKOFF_MS, MAX_UNDO_BACKOFF_MS } from './retry.ts'

describe('the wait before another try', () => {
  it('doubles from one try to the next, up to its maximum', () => {
    const waits = Array.from({ length: 12 }, (_, index) => backoffMs(index + 1, fixedRandom(1)))
    expect(waits).toEqual([50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000, 5_000, 5_000])
  })

  it('is never shorter than half of that, however many tries there were', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000_000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        fc.constantFrom(1_000, MAX_BACKOFF_MS, MAX_UNDO_BACKOFF_MS),
        (attempt, chance, maxMs) => {
          const ceiling = Math.min(maxMs, 50 * 2 ** (attempt - 1))
          const wait = backoffMs(attempt, fixedRandom(chance), maxMs)
          expect(wait).toBeGreaterThanOrEqual(ceiling / 2)
          expect(wait).toBeLessThanOrEqual(ceiling)
        },
      ),
      { seed: 1, numRuns: 2_000 },
    )
  })

  it('differs by chance, so that those who failed together do not come back together', () => {
    expect(backoffMs(8, fixedRandom(0))).toBe(MAX_BACKOFF_MS / 2)
    expect(backoffMs(8, fixedRandom(0.5))).toBe(MAX_BACKOFF_MS * 0.75)
  })
})

describe('what an error says about the statement', () => {
  it('follows the table of error codes', () => {
    const codes = Object.keys(ERROR_RULES).filter((code): code is ErrorCode => code in ERROR_RULES)
    for (const code of codes) {
      const error = new ShardingError(code, 'x')
      expect(isTransient(error), code).toBe(ERROR_RULES[code].retry === 'backoff')
      expect(isOutcomeUnknown(error), code).toBe(ERROR_RULES[code].retry === 'probe')
    }
  })

  it('is certain where it matters', () => {
    expect(isOutcomeUnknown(nodeError('outcome_unknown'))).toBe(true)
    expect(isTransient(nodeError('outcome_unknown'))).toBe(false)
    expect(isTransient(nodeError('unreachable'))).toBe(true)
    expect(isTransient(nodeError('duplicate'))).toBe(false)
    // Any other error is a defect, and no defect goes away by trying again.
    expect(isTransient(new Error('unreachable'))).toBe(false)
    expect(isOutcomeUnknown(undefined)).toBe(false)
  })
})
