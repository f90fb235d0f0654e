import { crc32 } from 'node:zlib'

const JUMP_MULTIPLIER = 2862933555777941757n
const TWO_TO_31 = 2 ** 31

/**
 * The jump consistent hash of Lamping and Veach (2014): a bucket below `buckets` for a key.
 *
 * The generator runs in 64 bits; the division in doubles, as in the paper.
 */
export function jumpHash(key: number, buckets: number): number {
  let state = BigInt(key)
  let bucket = -1
  let next = 0
  while (next < buckets) {
    bucket = next
    state = BigInt.asUintN(64, state * JUMP_MULTIPLIER + 1n)
    next = Math.floor((bucket + 1) * (TWO_TO_31 / (Number(state >> 33n) + 1)))
  }
  return bucket
}

/** The shard that a row belongs to: a position among the shards ordered by the number after `_s`. */
export function shardOfId(id: string, shards: number): number {
  return jumpHash(crc32(id), shards)
}
