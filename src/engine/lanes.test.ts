import { setImmediate as nextTurn } from 'node:timers/promises'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Lanes, type LaneLimits } from './lanes.ts'

const SEED = 20_251_124

interface Given {
  readonly node?: string
  readonly group?: string
  readonly heavy?: boolean
  readonly copies?: boolean
  readonly leaves?: boolean
  readonly wanted?: boolean
}

/** Lanes whose tasks are prepared at once, or when told, and end when told. */
class HandLanes {
  readonly lanes: Lanes
  /** Names in the order in which they were announced, and begun. */
  readonly prepared: string[] = []
  readonly begun: string[] = []
  readonly #preparing = new Map<string, PromiseWithResolvers<boolean>>()
  readonly #running = new Map<string, PromiseWithResolvers<void>>()
  readonly #byHand: boolean

  constructor(limits?: LaneLimits, byHand = false) {
    this.lanes = limits === undefined ? new Lanes() : new Lanes(limits)
    this.#byHand = byHand
  }

  submit(name: string, given: Given = {}): void {
    this.lanes.submit(given.node ?? 'n', {
      group: given.group ?? 'g',
      heavy: given.heavy ?? false,
      copies: given.copies ?? false,
      leaves: given.leaves ?? false,
      isWanted: () => given.wanted ?? true,
      prepare: async () => {
        this.prepared.push(name)
        if (!this.#byHand) return given.wanted ?? true
        const step = Promise.withResolvers<boolean>()
        this.#preparing.set(name, step)
        return await step.promise
      },
      run: async () => {
        this.begun.push(name)
        const step = Promise.withResolvers<void>()
        this.#running.set(name, step)
        await step.promise
      },
    })
  }

  get running(): string[] {
    return [...this.#running.keys()]
  }

  async isPrepared(name: string, wanted = true): Promise<void> {
    this.#preparing.get(name)?.resolve(wanted)
    await nextTurn()
  }

  async ends(name: string): Promise<void> {
    const step = this.#running.get(name)
    if (step === undefined) throw new Error(`${name} does not run, but ${this.running.join(', ')}`)
    this.#running.delete(name)
    step.resolve()
    await nextTurn()
  }

  async endAll(): Promise<void> {
    await nextTurn()
    while (this.running.length > 0) await this.ends(this.running[0] ?? '')
  }
}

describe('a lane', () => {
  it('has few statements in flight', async () => {
    const hand = new HandLanes({ maxInFlight: 2, maxPrepared: 10 })
    for (const name of ['a', 'b', 'c', 'd']) hand.submit(name)
    await nextTurn()
    expect(hand.running).toEqual(['a', 'b'])
    await hand.ends('b')
    expect(hand.running).toEqual(['a', 'c'])
    await hand.endAll()
    expect(hand.begun).toEqual(['a', 'b', 'c', 'd'])
  })

  it('has no more in flight than a daemon takes well, and announces some ahead', async () => {
    const hand = new HandLanes()
    for (let n = 0; n < 40; n++) hand.submit(`${n}`)
    await nextTurn()
    expect(hand.running).toHaveLength(3)
    expect(hand.prepared).toHaveLength(3 + 16)
    await hand.endAll()
    expect(hand.begun).toHaveLength(40)
  })

  it('does not wait for another', async () => {
    const hand = new HandLanes({ maxInFlight: 1, maxPrepared: 1 })
    hand.submit('a', { node: 'n1' })
    hand.submit('b', { node: 'n1' })
    hand.submit('c', { node: 'n2' })
    await nextTurn()
    expect(hand.running).toEqual(['a', 'c'])
    await hand.endAll()
  })

  it('runs nothing before it is announced, and not what is not wanted then', async () => {
    const hand = new HandLanes({ maxInFlight: 3, maxPrepared: 2 }, true)
    for (const name of ['a', 'b', 'c']) hand.submit(name)
    await nextTurn()
    expect(hand.prepared).toEqual(['a', 'b'])
    expect(hand.running).toEqual([])
    await hand.isPrepared('b')
    expect(hand.running).toEqual(['b'])
    await hand.isPrepared('a', false)
    await hand.isPrepared('c')
    expect(hand.running).toEqual(['b', 'c'])
    await hand.endAll()
    expect(hand.begun).toEqual(['b', 'c'])
  })

  it('lets groups take turns, so that a long one holds up no short one', async () => {
    const hand = new HandLanes({ maxInFlight: 1, maxPrepared: 1 })
    for (let n = 0; n < 6; n++) hand.submit(`long ${n}`, { group: 'long' })
    hand.submit('short 0', { group: 'short' })
    hand.submit('short 1', { group: 'short' })
    await hand.endAll()
    expect(hand.begun.slice(0, 7)).toEqual([
      'long 0',
      'short 0',
      'long 1',
      'short 1',
      'long 2',
      'long 3',
      'long 4',
    ])
    expect(hand.begun).toHaveLength(8)
  })

  it('runs one heavy statement at a time, and light ones beside it', async () => {
    const hand = new HandLanes({ maxInFlight: 3, maxPrepared: 10 })
    hand.submit('join 1', { heavy: true })
    hand.submit('join 2', { heavy: true })
    hand.submit('light 1')
    hand.submit('light 2')
    await nextTurn()
    expect(hand.running).toEqual(['join 1', 'light 1', 'light 2'])
    await hand.ends('light 1')
    expect(hand.running).toEqual(['join 1', 'light 2'])
    await hand.ends('join 1')
    expect(hand.running).toEqual(['light 2', 'join 2'])
    await hand.endAll()
  })

  it('lets many heavy statements of one group hold up no light one of another', async () => {
    const hand = new HandLanes({ maxInFlight: 3, maxPrepared: 4 })
    for (let n = 0; n < 10; n++) hand.submit(`join ${n}`, { group: 'moves', heavy: true })
    await nextTurn()
    hand.submit('light', { group: 'create' })
    await nextTurn()
    expect(hand.running).toEqual(['join 0', 'light'])
    await hand.endAll()
    expect(hand.begun).toHaveLength(11)
  })
})

describe('copies', () => {
  const COPIES = { copies: true }

  it('are as many at a time on a node as they may be', async () => {
    const hand = new HandLanes()
    hand.lanes.limitCopies(1, 9)
    for (const name of ['a', 'b']) hand.submit(name, COPIES)
    hand.submit('light')
    await nextTurn()
    expect(hand.running).toEqual(['a', 'light'])
    await hand.ends('a')
    expect(hand.running).toEqual(['light', 'b'])
    await hand.endAll()
  })

  it('are as many at a time on all nodes as they may be', async () => {
    const hand = new HandLanes()
    hand.lanes.limitCopies(2, 2)
    for (const node of ['n1', 'n2', 'n3']) hand.submit(`to ${node}`, { ...COPIES, node })
    await nextTurn()
    expect(hand.running).toEqual(['to n1', 'to n2'])
    await hand.ends('to n2')
    expect(hand.running).toEqual(['to n1', 'to n3'])
    await hand.endAll()
  })

  it('wait no longer when more of them are let through, and are not stopped when fewer are', async () => {
    const hand = new HandLanes()
    hand.lanes.limitCopies(1, 1)
    for (const name of ['a', 'b', 'c']) hand.submit(name, COPIES)
    await nextTurn()
    expect(hand.running).toEqual(['a'])
    hand.lanes.limitCopies(3, 3)
    expect(hand.running).toEqual(['a', 'b', 'c'])
    hand.lanes.limitCopies(1, 1)
    hand.submit('d', COPIES)
    await nextTurn()
    await hand.ends('a')
    await hand.ends('b')
    expect(hand.running).toEqual(['c'])
    await hand.ends('c')
    expect(hand.running).toEqual(['d'])
    await hand.endAll()
  })
})

it('nodes leave clusters one after the other, whichever lane they are in', async () => {
  const hand = new HandLanes()
  hand.submit('a', { node: 'n1', leaves: true })
  hand.submit('b', { node: 'n2', leaves: true })
  hand.submit('c', { node: 'n2' })
  await nextTurn()
  expect(hand.running).toEqual(['a', 'c'])
  await hand.ends('a')
  expect(hand.running).toEqual(['c', 'b'])
  await hand.endAll()
})

it('lanes run everything exactly once and never more at a time than they may', async () => {
  const anyTask = fc.record({
    node: fc.constantFrom('n1', 'n2'),
    group: fc.constantFrom('g1', 'g2', 'g3'),
    heavy: fc.boolean(),
    copies: fc.boolean(),
    leaves: fc.boolean(),
    wanted: fc.oneof(
      { weight: 4, arbitrary: fc.constant(true) },
      { weight: 1, arbitrary: fc.constant(false) },
    ),
  })
  const anyLimits = fc.record({
    maxInFlight: fc.integer({ min: 1, max: 3 }),
    maxPrepared: fc.integer({ min: 1, max: 4 }),
    perNode: fc.integer({ min: 1, max: 2 }),
    inAll: fc.integer({ min: 1, max: 3 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(anyTask, { maxLength: 25 }), anyLimits, async (tasks, limits) => {
      const lanes = new Lanes(limits)
      lanes.limitCopies(limits.perNode, limits.inAll)
      const running = new Set<(typeof tasks)[number]>()
      const ran: number[] = []
      for (const [index, task] of tasks.entries()) {
        const { wanted } = task
        lanes.submit(task.node, {
          ...task,
          isWanted: () => wanted,
          prepare: async () => await Promise.resolve(wanted),
          run: async () => {
            ran.push(index)
            running.add(task)
            const here = [...running].filter(({ node }) => node === task.node)
            expect(here.length).toBeLessThanOrEqual(limits.maxInFlight)
            expect(here.filter(({ heavy }) => heavy).length).toBeLessThanOrEqual(1)
            expect(here.filter(({ copies }) => copies).length).toBeLessThanOrEqual(limits.perNode)
            expect([...running].filter(({ copies }) => copies).length).toBeLessThanOrEqual(limits.inAll)
            expect([...running].filter(({ leaves }) => leaves).length).toBeLessThanOrEqual(1)
            await nextTurn()
            running.delete(task)
          },
        })
      }
      for (let turns = 0; turns <= 2 * tasks.length; turns++) await nextTurn()
      const wanted = [...tasks.keys()].filter((index) => tasks[index]?.wanted === true)
      expect(ran.toSorted((a, b) => a - b)).toEqual(wanted)
    }),
    { seed: SEED, numRuns: 1_000 },
  )
})
