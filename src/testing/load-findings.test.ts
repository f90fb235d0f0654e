import { describe, expect, it } from 'vitest'
import { LoadFindings } from './load-findings.ts'

describe('the gaps of a node', () => {
  it('last from the first failed request to the next success', () => {
    const findings = new LoadFindings(['a', 'b'])
    findings.answered('a', 90)
    findings.failed('a', 'gone', 100, 110)
    findings.failed('a', 'gone', 111, 120)
    findings.answered('b', 125)
    findings.answered('a', 130)
    findings.failed('a', 'gone', 140, 141)
    findings.answered('a', 145)
    expect(findings.longestGapMs).toBe(30)
  })

  it('do not cover the time before another client had its answer', () => {
    const findings = new LoadFindings(['a'])
    findings.answered('a', 500)
    findings.failed('a', 'no answer in time', 100, 510)
    findings.answered('a', 520)
    expect(findings.longestGapMs).toBe(20)
  })

  it('last to the last failure when the node never answers again', () => {
    const findings = new LoadFindings(['a'])
    findings.failed('a', 'gone', 100, 101)
    findings.failed('a', 'gone', 180, 190)
    expect(findings.longestGapMs).toBe(90)
  })

  it('do not go on while nobody asks', () => {
    const findings = new LoadFindings(['a', 'b'])
    findings.failed('a', 'gone', 100, 110)
    findings.askedFromNowOn(['b'])
    // A request that was under way when the clients left.
    findings.failed('a', 'gone', 105, 120)
    findings.askedFromNowOn(['a', 'b'])
    findings.failed('a', 'gone', 9_000, 9_005)
    findings.answered('a', 9_008)
    expect(findings.longestGapMs).toBe(10)
    expect(findings.failures).toEqual([{ node: 'a', text: 'gone', count: 3, firstAt: 110, lastAt: 9_005 }])
  })
})

describe('the lists of findings', () => {
  it('have a bound, and the number of failed requests has none', () => {
    const findings = new LoadFindings(['a'])
    for (let kind = 0; kind < 300; kind++) {
      findings.failed('a', `failure ${kind} ${'x'.repeat(10_000)}`, kind, kind)
      findings.counted({ node: 'a', at: kind, expectedMin: 5, expectedMax: 6, found: kind % 2 === 0 ? 4 : 7 })
    }
    expect(findings.failures.length).toBe(100)
    expect(findings.failures[0]?.text.length).toBeLessThan(1_000)
    expect(findings.failedRequests).toBe(300)
    expect(findings.wrongCounts.length).toBe(100)
  })

  it('hold no count within its bounds', () => {
    const findings = new LoadFindings(['a'])
    for (const found of [5, 6]) findings.counted({ node: 'a', at: 1, expectedMin: 5, expectedMax: 6, found })
    expect(findings.wrongCounts).toEqual([])
  })
})
