import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Link, VirtualNodes, type VirtualProcess } from '../../test/support/virtual-nodes.ts'
import { Leadership, LEASE_TTL_MS, type Lease } from './leadership.ts'

const SEED = 20_251_126
/** A contender looks this often, in milliseconds. */
const LOOK_MS = LEASE_TTL_MS / 10
const DAY_MS = 86_400_000

let nodes: VirtualNodes
let leases: Lease[] = []

beforeEach(async () => {
  nodes = await VirtualNodes.start(2)
})
afterEach(async () => {
  // Whoever still holds one would renew it for ever.
  const released = Promise.all(leases.splice(0).map(async (lease) => await lease.release()))
  await nodes.clock.run(released)
  await nodes.close()
})

interface Contender {
  readonly process: VirtualProcess
  readonly leadership: Leadership
}

function contender(
  owner: string,
  options: { readonly aheadMs?: number; readonly ttlMs?: number } = {},
): Contender {
  const { aheadMs = 0, ttlMs = LEASE_TTL_MS } = options
  const process = nodes.process(aheadMs)
  return { process, leadership: new Leadership({ state: process.state, clock: process.clock, owner, ttlMs }) }
}

/** Waits for the lease; `lease` and `at` stay undefined until it has come. */
function contend({ leadership }: Contender, signal?: AbortSignal) {
  const waiting: { lease?: Lease; at?: number; failure?: unknown } = {}
  leadership.acquire(signal).then(
    (lease) => {
      leases.push(lease)
      waiting.lease = lease
      waiting.at = nodes.clock.now()
    },
    (failure: unknown) => (waiting.failure = failure),
  )
  return waiting
}

async function acquired(who: Contender): Promise<Lease> {
  const lease = await nodes.clock.run(who.leadership.acquire())
  leases.push(lease)
  return lease
}

function holds(lease: Lease): boolean {
  try {
    lease.assertHeld()
    return true
  } catch {
    return false
  }
}

describe('a lease that nobody holds', () => {
  it('is taken at once, and after nobody', async () => {
    const a = contender('a')
    expect(await nodes.clock.run(a.leadership.holder())).toBeUndefined()
    const before = nodes.clock.now()
    const lease = await acquired(a)
    expect(nodes.clock.now()).toBe(before)
    expect(lease).toMatchObject({ epoch: 1, succession: null })
    expect(lease.lost.aborted).toBe(false)
    expect(holds(lease)).toBe(true)
    expect(await nodes.clock.run(contender('b').leadership.holder())).toBe('a')
  })

  it('goes to exactly one of many who want it at once', async () => {
    const waiting = Array.from({ length: 6 }, (_, index) => contend(contender(`c${index}`)))
    await nodes.clock.advance(2 * LEASE_TTL_MS)
    const [first, ...others] = waiting.filter(({ lease }) => lease !== undefined)
    expect(others).toEqual([])
    expect(first?.lease).toMatchObject({ epoch: 1 })
  })

  it('goes from hand to hand, each time with a higher epoch, until all have had it', async () => {
    const waiting = Array.from({ length: 4 }, (_, index) => contend(contender(`c${index}`)))
    const epochs: number[] = []
    for (let turn = 1; turn <= 4; turn++) {
      await nodes.clock.advance(LOOK_MS)
      const holding = waiting.flatMap(({ lease }) => (lease !== undefined && holds(lease) ? [lease] : []))
      expect(holding).toHaveLength(1)
      epochs.push(holding[0]?.epoch ?? 0)
      await nodes.clock.run(Promise.all(holding.map(async (lease) => await lease.release())))
    }
    expect(epochs).toEqual([1, 2, 3, 4])
  })

  it('that was released has no holder, and the next one need not wait', async () => {
    const lease = await acquired(contender('a'))
    await nodes.clock.run(lease.release())
    const b = contender('b')
    expect(await nodes.clock.run(b.leadership.holder())).toBeUndefined()
    const before = nodes.clock.now()
    expect(await acquired(b)).toMatchObject({ epoch: 2, succession: null })
    expect(nodes.clock.now()).toBe(before)
  })
})

describe('a lease that is held', () => {
  it('is kept for as long as it is wanted', async () => {
    const lease = await acquired(contender('a'))
    const b = contend(contender('b'))
    await nodes.clock.advance(100 * LEASE_TTL_MS)
    expect(holds(lease)).toBe(true)
    expect(lease.lost.aborted).toBe(false)
    expect(b.lease).toBeUndefined()
  })

  it('is not taken by who waits no longer', async () => {
    const lease = await acquired(contender('a'))
    const abort = new AbortController()
    const b = contend(contender('b'), abort.signal)
    await nodes.clock.advance(LEASE_TTL_MS)
    const reason = new Error('no time')
    abort.abort(reason)
    await nodes.clock.advance(0)
    expect(b.failure).toBe(reason)
    await nodes.clock.run(lease.release())
    await nodes.clock.advance(3 * LEASE_TTL_MS)
    expect(b.lease).toBeUndefined()
    expect(await nodes.clock.run(contender('c').leadership.holder())).toBeUndefined()
  })

  it.each([-DAY_MS, DAY_MS])('is not taken by who has a clock %i ms ahead', async (aheadMs) => {
    const lease = await acquired(contender('a'))
    const b = contend(contender('b', { aheadMs }))
    await nodes.clock.advance(10 * LEASE_TTL_MS)
    expect(b.lease).toBeUndefined()
    expect(holds(lease)).toBe(true)
  })

  it('is not taken by who was stopped for long while it was renewed', async () => {
    const lease = await acquired(contender('a'))
    const b = contender('b')
    const waiting = contend(b)
    await nodes.clock.advance(LEASE_TTL_MS / 2)
    b.process.clock.freeze()
    await nodes.clock.advance(10 * LEASE_TTL_MS)
    b.process.clock.thaw()
    await nodes.clock.advance(10 * LEASE_TTL_MS)
    expect(waiting.lease).toBeUndefined()
    expect(holds(lease)).toBe(true)
  })

  it('is not lost to an outage that is over before its time is', async () => {
    const a = contender('a')
    const lease = await acquired(a)
    const b = contend(contender('b'))
    for (const link of ['down', 'mute', 'stalled', 'down'] as const) {
      await nodes.clock.advance(LEASE_TTL_MS)
      a.process.connector.link = link
      await nodes.clock.advance(LEASE_TTL_MS / 2)
      a.process.connector.link = 'up'
      await nodes.clock.advance(LEASE_TTL_MS)
      expect(holds(lease)).toBe(true)
    }
    expect(b.lease).toBeUndefined()
  })
})

describe('a holder that is cut off', () => {
  it.each<Link>(['down', 'mute', 'stalled'])(
    'stops in time, and only then another one takes over: %s',
    async (link) => {
      const a = contender('a')
      const lease = await acquired(a)
      const b = contend(contender('b'))
      await nodes.clock.advance(7 * LEASE_TTL_MS)
      let lostAt = Number.NaN
      lease.lost.addEventListener('abort', () => (lostAt = nodes.clock.now()))
      const cutAt = nodes.clock.now()
      a.process.connector.link = link
      await nodes.clock.advance(3 * LEASE_TTL_MS)
      expect(lostAt - cutAt).toBeLessThanOrEqual(LEASE_TTL_MS)
      expect(lease.lost.reason).toMatchObject({ code: 'leadership_lost' })
      expect(() => lease.assertHeld()).toThrow(expect.objectContaining({ code: 'leadership_lost' }))
      expect(b.lease?.epoch).toBe(2)
      expect(b.at).toBeGreaterThanOrEqual(lostAt)
      // One look to see the last renewal, and one after it has stood still for its time.
      const latest = LEASE_TTL_MS + LEASE_TTL_MS / 5 + 2 * LOOK_MS
      expect((b.at ?? Number.NaN) - cutAt).toBeLessThanOrEqual(latest)
      expect(b.lease?.succession).toMatchObject({ from: 'a' })
      expect(b.lease?.succession?.takeoverMs).toBeGreaterThanOrEqual(LEASE_TTL_MS)
      expect(b.lease?.succession?.takeoverMs).toBeLessThanOrEqual(latest)
    },
  )

  it('changes nothing when it is back', async () => {
    const a = contender('a')
    const lease = await acquired(a)
    const b = contend(contender('b'))
    a.process.connector.link = 'stalled'
    await nodes.clock.advance(3 * LEASE_TTL_MS)
    a.process.connector.link = 'up'
    await nodes.clock.advance(LEASE_TTL_MS)
    await nodes.clock.run(lease.release())
    expect(await nodes.clock.run(contender('c').leadership.holder())).toBe('b')
    expect(b.lease !== undefined && holds(b.lease)).toBe(true)
  })

  it('loses it also when nobody else wants it, and can take it again', async () => {
    const a = contender('a')
    const lease = await acquired(a)
    a.process.connector.link = 'down'
    await nodes.clock.advance(2 * LEASE_TTL_MS)
    expect(holds(lease)).toBe(false)
    a.process.connector.link = 'up'
    expect(await acquired(a)).toMatchObject({ epoch: 2, succession: { from: 'a' } })
  })
})

describe('a holder that was stopped for longer than its lease', () => {
  it('knows that it is over before any timer tells', async () => {
    const a = contender('a')
    const lease = await acquired(a)
    a.process.clock.freeze()
    await nodes.clock.advance(LEASE_TTL_MS)
    a.process.clock.thaw()
    // In the same turn: no timer and no answer has been heard of yet.
    expect(lease.lost.aborted).toBe(false)
    expect(() => lease.assertHeld()).toThrow(expect.objectContaining({ code: 'leadership_lost' }))
    expect(lease.lost.aborted).toBe(true)
  })

  it('finds another one there, and leaves its lease alone', async () => {
    const a = contender('a')
    const lease = await acquired(a)
    const b = contend(contender('b'))
    a.process.clock.freeze()
    await nodes.clock.advance(3 * LEASE_TTL_MS)
    a.process.clock.thaw()
    await nodes.clock.advance(LEASE_TTL_MS)
    expect(lease.lost.reason).toMatchObject({ code: 'leadership_lost' })
    expect(b.lease !== undefined && holds(b.lease)).toBe(true)
  })

  it('goes on when it was stopped for a moment only', async () => {
    const a = contender('a')
    const lease = await acquired(a)
    a.process.clock.freeze()
    await nodes.clock.advance(LEASE_TTL_MS / 2)
    a.process.clock.thaw()
    await nodes.clock.advance(2 * LEASE_TTL_MS)
    expect(holds(lease)).toBe(true)
  })
})

describe('releasing', () => {
  it('ends the lease before anybody else has it', async () => {
    const lease = await acquired(contender('a'))
    const b = contend(contender('b'))
    const released = lease.release()
    await nodes.clock.advance(LOOK_MS)
    await released
    expect(holds(lease)).toBe(false)
    expect(lease.lost.reason).toMatchObject({ code: 'leadership_lost' })
    expect(b.lease?.epoch).toBe(2)
  })

  it('twice is once', async () => {
    const a = contender('a')
    const lease = await acquired(a)
    await nodes.clock.run(lease.release())
    const sent = a.process.connector.executed
    await nodes.clock.run(lease.release())
    expect(a.process.connector.executed).toBe(sent)
  })

  it('renews nothing any more', async () => {
    const a = contender('a')
    const lease = await acquired(a)
    await nodes.clock.run(lease.release())
    const sent = a.process.connector.executed
    await nodes.clock.advance(10 * LEASE_TTL_MS)
    expect(a.process.connector.executed).toBe(sent)
  })

  it('without a node to tell takes no longer than the lease does, and the next one waits for that', async () => {
    const a = contender('a')
    const lease = await acquired(a)
    a.process.connector.link = 'down'
    const before = nodes.clock.now()
    await nodes.clock.run(lease.release())
    expect(nodes.clock.now() - before).toBeLessThanOrEqual(LEASE_TTL_MS)
    expect(await acquired(contender('b'))).toMatchObject({ epoch: 2, succession: { from: 'a' } })
  })
})

describe('what stands there', () => {
  it('lasts as long as its holder says, whatever the contender would say', async () => {
    const a = contender('a', { ttlMs: 12 * LEASE_TTL_MS })
    await acquired(a)
    const b = contend(contender('b'))
    a.process.connector.link = 'down'
    await nodes.clock.advance(11 * LEASE_TTL_MS)
    expect(b.lease).toBeUndefined()
    await nodes.clock.advance(2 * LEASE_TTL_MS)
    expect(b.lease?.epoch).toBe(2)
  })

  it.each([{}, { owner: 7, epoch: 'x', ttl_ms: null }, { released: 'yes' }])(
    'and cannot be read counts as held for the usual time: %j',
    async (value) => {
      const a = contender('a')
      await nodes.clock.run(a.process.state.compareAndSet('master', 0, value))
      expect(await nodes.clock.run(a.leadership.holder())).toBe('an unknown process')
      const before = nodes.clock.now()
      expect(await acquired(a)).toMatchObject({ epoch: 1, succession: { from: 'an unknown process' } })
      expect(nodes.clock.now() - before).toBeGreaterThanOrEqual(LEASE_TTL_MS)
    },
  )

  it('keeps counting epochs from where an older version stopped', async () => {
    const a = contender('a')
    const value = { owner: 'old', epoch: 41, ttl_ms: 100 }
    await nodes.clock.run(a.process.state.compareAndSet('master', 0, value))
    expect(await acquired(a)).toMatchObject({ epoch: 42, succession: { from: 'old' } })
  })
})

describe('whatever happens', () => {
  type Step =
    | { readonly what: 'link'; readonly who: number; readonly link: Link }
    | { readonly what: 'freeze' | 'thaw' | 'release' | 'contend'; readonly who: number }
    | { readonly what: 'pass'; readonly ms: number }

  const WHO = fc.nat(2)
  const STEP: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ what: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 7_000 }) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        what: fc.constant('link' as const),
        who: WHO,
        link: fc.constantFrom<Link>('up', 'up', 'down', 'mute', 'stalled'),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ what: fc.constantFrom('freeze' as const, 'thaw' as const), who: WHO }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ what: fc.constantFrom('release' as const, 'contend' as const), who: WHO }),
    },
  )

  it('never do two hold it, epochs grow, and in the end somebody leads', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(STEP, { minLength: 5, maxLength: 40 }), async (steps) => {
        await nodes.close()
        nodes = await VirtualNodes.start(1)
        const all = [0, -DAY_MS, 3_333].map((aheadMs, index) => contender(`c${index}`, { aheadMs }))
        const waiting = all.map((who) => [contend(who)])
        const held = () =>
          waiting.flatMap((tries, who) =>
            // A stopped process does nothing, whatever it believes.
            all[who]?.process.clock.frozen === true
              ? []
              : tries.flatMap(({ lease }) => (lease !== undefined && holds(lease) ? [lease] : [])),
          )
        for (const step of steps) {
          if (step.what === 'pass') await nodes.clock.advance(step.ms)
          else {
            const who = all[step.who]
            const latest = waiting[step.who]?.at(-1)
            if (step.what === 'link' && who !== undefined) who.process.connector.link = step.link
            if (step.what === 'freeze') who?.process.clock.freeze()
            if (step.what === 'thaw') who?.process.clock.thaw()
            if (step.what === 'release') void latest?.lease?.release()
            const over = latest?.failure !== undefined || latest?.lease?.lost.aborted === true
            if (step.what === 'contend' && over && who !== undefined) waiting[step.who]?.push(contend(who))
          }
          expect(held().length).toBeLessThanOrEqual(1)
        }
        for (const { process } of all) {
          process.connector.link = 'up'
          process.clock.thaw()
        }
        // What was asked for while all was cut off may still be tried for half a minute.
        await nodes.clock.advance(45_000)
        for (const [index, tries] of waiting.entries()) {
          const who = all[index]
          const latest = tries.at(-1)
          const over = latest?.failure !== undefined || latest?.lease?.lost.aborted === true
          if (over && who !== undefined) tries.push(contend(who))
        }
        await nodes.clock.advance(3 * LEASE_TTL_MS)
        expect(held()).toHaveLength(1)
        const inOrder = waiting
          .flat()
          .filter(({ lease }) => lease !== undefined)
          .toSorted((one, other) => (one.at ?? 0) - (other.at ?? 0))
          .map(({ lease }) => lease?.epoch ?? 0)
        expect(inOrder).toEqual(inOrder.map((_, index) => index + 1))
        await nodes.clock.run(Promise.all(leases.splice(0).map(async (lease) => await lease.release())))
      }),
      { seed: SEED, numRuns: 60 },
    )
  }, 120_000)
})
