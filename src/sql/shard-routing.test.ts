import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { jumpHash, shardOfId } from './shard-routing.ts'

describe('routing', () => {
  it('puts rows where real daemons put them', () => {
    // Found out by counting the rows of the shards: transcript 04.
    const shardsOf = (ids: readonly number[], shards: number): readonly number[] =>
      ids.map((id) => shardOfId(String(id), shards))
    expect(shardsOf([1, 2, 3, 4, 5, 6], 3)).toEqual([2, 2, 2, 2, 1, 0])
    expect(shardsOf([21, 22, 23, 24], 3)).toEqual([2, 0, 2, 1])
    expect(shardsOf([1, 2, 3, 4], 2)).toEqual([0, 0, 1, 1])
  })

  it('one more shard moves rows to it only, and only its share', () => {
    fc.assert(
      fc.property(fc.nat(0xffff_ffff), fc.integer({ min: 1, max: 300 }), (key, shards) => {
        const before = jumpHash(key, shards)
        const after = jumpHash(key, shards + 1)
        expect(before).toBeLessThan(shards)
        expect([before, shards]).toContain(after)
      }),
    )
  })

  it('spreads ids evenly', () => {
    const counts = Array.from({ length: 8 }, () => 0)
    for (let id = 1; id <= 8_000; id += 1) {
      const shard = shardOfId(String(id), 8)
      counts[shard] = (counts[shard] ?? 0) + 1
    }
    expect(Math.min(...counts)).toBeGreaterThan(850)
    expect(Math.max(...counts)).toBeLessThan(1_150)
  })
})
