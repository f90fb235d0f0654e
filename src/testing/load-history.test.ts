import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CountHistory } from './load-history.ts'

describe('the history of a count', () => {
  it('knows the count of now exactly', () => {
    const history = new CountHistory(0)
    expect(history.at(1_000)).toBe(0)
    for (const now of [1_000, 1_000, 1_001, 1_004]) history.add(now)
    expect(history.at(1_004)).toBe(4)
  })

  it('knows what the count was, also after a long silence', () => {
    const history = new CountHistory(1_000)
    for (const now of [5_000, 5_100, 5_900, 60_000]) history.add(now)
    expect([59_000, 59_999, 60_000, 61_000].map((time) => history.at(time))).toEqual([3, 3, 4, 4])
  })

  it('never says more than was true, and within its steps no less', () => {
    const reachMs = 1_000
    const stepMs = reachMs / 500
    const gapsMs = fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 400 })
    fc.assert(
      fc.property(gapsMs, fc.integer({ min: 0, max: reachMs }), (gaps, agoMs) => {
        const history = new CountHistory(reachMs)
        const times: number[] = []
        let now = 10_000
        for (const gap of gaps) {
          now += gap
          times.push(now)
          history.add(now)
        }
        const said = history.at(now - agoMs)
        const wasAt = (time: number) => times.filter((added) => added <= time).length
        expect(said).toBeLessThanOrEqual(wasAt(now - agoMs))
        expect(said).toBeGreaterThanOrEqual(wasAt(now - agoMs - stepMs))
      }),
    )
  })
})
