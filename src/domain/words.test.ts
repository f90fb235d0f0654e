import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_SHARDS } from './limits.ts'
import { SYSTEM_TABLES } from './system-tables.ts'
import { markersOf, markerTableName, parseShardTableName, shardTableName } from './words.ts'

const SEED = 20_251_127
/** Names as users can give them; `_s` and digits in them are what is hard. */
const TABLE = fc.stringMatching(/^[a-z_]([a-z0-9_]|_s\d){0,12}$/)

describe('the name of a shard', () => {
  it('gives its table and number back, whatever the table is called', () => {
    fc.assert(
      fc.property(TABLE, fc.nat(MAX_SHARDS - 1), (table, shard) => {
        expect(parseShardTableName(shardTableName(table, shard))).toEqual({ table, shard })
      }),
      { seed: SEED, numRuns: 500 },
    )
  })

  it('is the name of one shard only', () => {
    fc.assert(
      fc.property(TABLE, TABLE, fc.nat(MAX_SHARDS - 1), fc.nat(MAX_SHARDS - 1), (a, b, one, two) => {
        fc.pre(a !== b || one !== two)
        expect(shardTableName(a, one)).not.toBe(shardTableName(b, two))
      }),
      { seed: SEED, numRuns: 500 },
    )
  })

  it.each([
    'users_s0',
    'system.users',
    'system.users_s',
    'system.users_s01',
    'system.users_s-1',
    'system.users_s1x',
    'system.users_sx',
    'system.users_s 1',
    'system._s1',
    'systems.users_s1',
    '',
  ])('is not %j', (name) => {
    expect(parseShardTableName(name)).toBeUndefined()
  })

  it('is none of the system tables', () => {
    for (const table of SYSTEM_TABLES) expect(parseShardTableName(table)).toBeUndefined()
  })
})

describe('the marker tables of a replica set', () => {
  it('are those with its name, also with a suffix, sorted', () => {
    const tables = new Set(['system.set_b', 'users', 'system.set', 'system.set_a', 'system.other', 'set'])
    expect(markersOf('set', tables)).toEqual(['system.set', 'system.set_a', 'system.set_b'])
    expect(markersOf('se', tables)).toEqual([])
    expect(markersOf('other', tables)).toEqual(['system.other'])
  })

  it('have names that they are found by', () => {
    for (const suffix of ['', 'x1']) {
      const name = markerTableName('r_12', suffix)
      expect(markersOf('r_12', new Set([name]))).toEqual([name])
    }
  })
})
