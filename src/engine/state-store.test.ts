import * as fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { JournalNodes, LOSSES } from '../../test/support/journal-nodes.ts'
import type { FaultEffect } from '../embedded/index.ts'
import { STATE_TABLE } from '../domain/system-tables.ts'

const SEED = 20_251_124

let nodes: JournalNodes
let keys = 0

beforeAll(async () => {
  nodes = await JournalNodes.start(2)
})
afterEach(() => nodes.embedded.faults.clear())
afterAll(async () => {
  await nodes.close()
})

const newKey = (): string => `key:${++keys}`

describe('a key of the shared state', () => {
  it('that nobody has set has no value and version 0', async () => {
    expect(await nodes.state.get(newKey())).toEqual({ value: undefined, version: 0 })
  })

  it('is set by who knows its version, and then has the next one', async () => {
    const key = newKey()
    expect(await nodes.state.compareAndSet(key, 0, { owner: 'a' })).toBe(true)
    expect(await nodes.state.compareAndSet(key, 1, { owner: 'b' })).toBe(true)
    expect(await nodes.otherState().get(key)).toEqual({ value: { owner: 'b' }, version: 2 })
  })

  it.each([0, 1, 3])('is not set by who believes it is at version %i when it is at 2', async (version) => {
    const key = newKey()
    await nodes.state.compareAndSet(key, 0, { n: 1 })
    await nodes.state.compareAndSet(key, 1, { n: 2 })
    expect(await nodes.otherState().compareAndSet(key, version, { n: 9 })).toBe(false)
    expect(await nodes.state.get(key)).toEqual({ value: { n: 2 }, version: 2 })
  })

  it('that nobody has set is not set by who believes it has a version', async () => {
    const key = newKey()
    expect(await nodes.state.compareAndSet(key, 1, { n: 9 })).toBe(false)
    expect(await nodes.state.get(key)).toEqual({ value: undefined, version: 0 })
  })

  for (const start of [0, 1]) {
    it(`at version ${start} is won by exactly one of many that try at once`, async () => {
      const key = newKey()
      if (start === 1) await nodes.state.compareAndSet(key, 0, { owner: -1 })
      const contenders = Array.from({ length: 8 }, () => nodes.otherState())
      const won = await Promise.all(
        contenders.map(async (state, owner) => await state.compareAndSet(key, start, { owner })),
      )
      expect(won.filter(Boolean)).toHaveLength(1)
      expect(await nodes.state.get(key)).toEqual({ value: { owner: won.indexOf(true) }, version: start + 1 })
    })
  }

  it('is read together with others, and is missing among them when nobody has set it', async () => {
    const [one, unset, other] = [newKey(), newKey(), newKey()]
    await nodes.state.compareAndSet(one, 0, { n: 1 })
    await nodes.state.compareAndSet(other, 0, { n: 2 })
    expect(await nodes.state.getAll([other, unset, one])).toEqual(
      new Map([
        [one, { value: { n: 1 }, version: 1 }],
        [other, { value: { n: 2 }, version: 1 }],
      ]),
    )
    expect(await nodes.state.getAll([])).toEqual(new Map())
  })

  it('is its own: others are not changed with it', async () => {
    const [one, other] = [newKey(), newKey()]
    await nodes.state.compareAndSet(one, 0, { n: 1 })
    await nodes.state.compareAndSet(other, 0, { n: 2 })
    await nodes.state.compareAndSet(one, 1, { n: 3 })
    expect(await nodes.state.get(other)).toEqual({ value: { n: 2 }, version: 1 })
  })
})

describe('when the answer is lost', () => {
  const WRITES = [
    { start: 0, kind: 'insert' },
    { start: 1, kind: 'update' },
  ] as const

  async function keyAt(version: number): Promise<string> {
    const key = newKey()
    if (version === 1) await nodes.state.compareAndSet(key, 0, { owner: 'nobody' })
    return key
  }

  for (const { start, kind } of WRITES) {
    for (const loss of LOSSES) {
      it(`the winner of an ${kind} knows that it won: ${loss.kind}`, async () => {
        const key = await keyAt(start)
        const fault = nodes.suffer(kind, STATE_TABLE, loss)
        expect(await nodes.state.compareAndSet(key, start, { owner: 'us' })).toBe(true)
        expect(fault.hits).toBe(1)
        expect(await nodes.state.get(key)).toEqual({ value: { owner: 'us' }, version: start + 1 })
      })

      it(`the winner of an ${kind} knows that it won, time and again: ${loss.kind}`, async () => {
        const key = await keyAt(start)
        nodes.suffer(kind, STATE_TABLE, loss, 4)
        expect(await nodes.state.compareAndSet(key, start, { owner: 'us' })).toBe(true)
        expect(await nodes.state.get(key)).toMatchObject({ version: start + 1 })
      })

      it(`the loser of an ${kind} knows that it lost: ${loss.kind}`, async () => {
        const key = await keyAt(start)
        await nodes.otherState().compareAndSet(key, start, { owner: 'them' })
        nodes.suffer(kind, STATE_TABLE, loss)
        expect(await nodes.state.compareAndSet(key, start, { owner: 'us' })).toBe(false)
        expect(await nodes.state.get(key)).toEqual({ value: { owner: 'them' }, version: start + 1 })
      })

      it(`one of many wins an ${kind}, and all know who: ${loss.kind}`, async () => {
        const key = await keyAt(start)
        nodes.suffer(kind, STATE_TABLE, loss, 5)
        const contenders = Array.from({ length: 6 }, () => nodes.otherState())
        const won = await Promise.all(
          contenders.map(async (state, owner) => await state.compareAndSet(key, start, { owner })),
        )
        expect(won.filter(Boolean)).toHaveLength(1)
        const { value } = await nodes.state.get(key)
        expect(value).toEqual({ owner: won.indexOf(true) })
      })
    }
  }

  it('a node that dies with the answer does not make a winner a loser', async () => {
    const own = await JournalNodes.start(3)
    try {
      expect(await own.state.compareAndSet('master', 0, { owner: 'a' })).toBe(true)
      own.suffer('update', STATE_TABLE, { kind: 'crash_after' })
      expect(await own.state.compareAndSet('master', 1, { owner: 'b' })).toBe(true)
      expect(await own.otherState().get('master')).toEqual({ value: { owner: 'b' }, version: 2 })
    } finally {
      await own.close()
    }
  })

  it('every value is known again as ours', async () => {
    const anyValue = fc.dictionary(
      fc.stringMatching(/^[a-z_]{1,8}$/),
      fc.oneof(
        fc.string({ unit: 'grapheme', maxLength: 12 }).filter((text) => !text.includes('\0')),
        fc.integer(),
        fc.maxSafeInteger(),
        fc.boolean(),
        // The daemon keeps six digits of a fraction.
        fc.constantFrom(null, "it's", 'a\\b"c', 0.1, 1.5, -0.000001),
        fc.array(fc.nat(), { maxLength: 3 }),
        fc.record({ nested: fc.constantFrom('x', 'é') }),
      ),
      { maxKeys: 4 },
    )
    const anyLoss: fc.Arbitrary<FaultEffect> = fc.constantFrom(...LOSSES)
    await fc.assert(
      fc.asyncProperty(
        anyValue,
        anyLoss,
        fc.constantFrom(...WRITES),
        async (given, loss, { start, kind }) => {
          const value: unknown = JSON.parse(JSON.stringify(given))
          const key = await keyAt(start)
          const fault = nodes.suffer(kind, STATE_TABLE, loss)
          expect(await nodes.state.compareAndSet(key, start, given)).toBe(true)
          fault.remove()
          expect(await nodes.state.get(key)).toEqual({ value, version: start + 1 })
        },
      ),
      { seed: SEED, numRuns: 150 },
    )
  })
})
