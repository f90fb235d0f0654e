import { getEventListeners } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AttemptResult } from './attempt.ts'
import { DependencyGraph } from './dependency-graph.ts'
import { drive, type Stepper } from './drive.ts'
import { Lanes } from './lanes.ts'

const SEED = 20_251_124
const SETTLED: AttemptResult = { kind: 'settled' }
const AGAIN: AttemptResult = { kind: 'again' }

type Waits = Readonly<Record<number, readonly number[]>>

/** Every step waits until the test lets it go. */
class HandSteps implements Stepper {
  readonly group = 'g'
  readonly log: string[] = []
  readonly #waiting = new Map<string, PromiseWithResolvers<AttemptResult>>()
  readonly #kind: { readonly heavy: boolean; readonly copies: boolean }

  constructor(kind = { heavy: false, copies: false }) {
    this.#kind = kind
  }

  node(id: number): string {
    return `node${id % 2}`
  }

  heavy(): boolean {
    return this.#kind.heavy
  }

  leaves(): boolean {
    return false
  }

  copies(): boolean {
    return this.#kind.copies
  }

  async prepare(id: number): Promise<void> {
    await this.#wait(`prepare ${id}`)
  }

  async run(id: number, attempt: number): Promise<AttemptResult> {
    return await this.#wait(`run ${id} #${attempt}`)
  }

  async abandon(id: number): Promise<void> {
    await this.#wait(`abandon ${id}`)
  }

  async backoff(attempt: number, halt: AbortSignal): Promise<void> {
    halt.throwIfAborted()
    const step = this.#wait(`backoff #${attempt}`)
    const aborted = Promise.withResolvers<never>()
    halt.addEventListener('abort', () => aborted.reject(new Error('the wait was aborted')), { once: true })
    await Promise.race([step, aborted.promise])
  }

  /** Steps that have begun and not ended. */
  open(): string[] {
    return [...this.#waiting.keys()]
  }

  async done(step: string, result: AttemptResult = SETTLED): Promise<void> {
    await nextTurn()
    this.#take(step).resolve(result)
    await nextTurn()
  }

  async fails(step: string, reason: Error): Promise<void> {
    await nextTurn()
    this.#take(step).reject(reason)
    await nextTurn()
  }

  async #wait(step: string): Promise<AttemptResult> {
    const waiting = Promise.withResolvers<AttemptResult>()
    this.log.push(step)
    this.#waiting.set(step, waiting)
    return await waiting.promise
  }

  #take(step: string): PromiseWithResolvers<AttemptResult> {
    const waiting = this.#waiting.get(step)
    if (waiting === undefined) throw new Error(`'${step}' is not open, but ${this.open().join(', ')}`)
    this.#waiting.delete(step)
    return waiting
  }
}

function started(waits: Waits) {
  const steps = new HandSteps()
  const halt = new AbortController()
  const graph = new DependencyGraph(Object.keys(waits).map(Number), (id) => waits[id] ?? [])
  const ended = { result: '' }
  const driven = drive(graph, steps, new Lanes(), halt.signal)
  driven.then(
    ({ kind }) => {
      ended.result = kind
    },
    (reason: unknown) => {
      ended.result = String(reason)
    },
  )
  return { steps, halt, driven, ended }
}

describe('a drive', () => {
  it('of nothing is done', async () => {
    const { driven } = started({})
    expect(await driven).toEqual({ kind: 'done' })
  })

  it('prepares, runs, and lets go what waited for it', async () => {
    const { steps, driven, ended } = started({ 1: [], 2: [1] })
    await steps.done('prepare 1')
    expect(steps.open()).toEqual(['run 1 #1'])
    await steps.done('run 1 #1')
    await steps.done('prepare 2')
    expect(ended.result).toBe('')
    await steps.done('run 2 #1')
    expect(await driven).toEqual({ kind: 'done' })
    expect(steps.log).toEqual(['prepare 1', 'run 1 #1', 'prepare 2', 'run 2 #1'])
  })

  it('lets go what waited for it before the journal knows, and ends no sooner than that', async () => {
    const { steps, driven, ended } = started({ 1: [], 2: [1] })
    const recorded = Promise.withResolvers<void>()
    await steps.done('prepare 1')
    await steps.done('run 1 #1', { kind: 'settled', recorded: recorded.promise })
    await steps.done('prepare 2')
    await steps.done('run 2 #1')
    expect(steps.open()).toEqual([])
    expect(ended.result).toBe('')
    recorded.resolve()
    expect(await driven).toEqual({ kind: 'done' })
  })

  it('starts nothing more when the journal cannot be told', async () => {
    const { steps, driven } = started({ 1: [], 2: [1] })
    const recorded = Promise.withResolvers<void>()
    await steps.done('prepare 1')
    await steps.done('run 1 #1', { kind: 'settled', recorded: recorded.promise })
    recorded.reject(new Error('the lease is lost'))
    await steps.done('prepare 2')
    expect(steps.open()).toEqual(['abandon 2'])
    await steps.done('abandon 2')
    await expect(driven).rejects.toThrow('the lease is lost')
  })

  it('tries again after a wait, and counts', async () => {
    const { steps, driven } = started({ 1: [] })
    await steps.done('prepare 1')
    await steps.done('run 1 #1', AGAIN)
    await steps.done('backoff #1')
    await steps.done('prepare 1')
    await steps.done('run 1 #2', AGAIN)
    await steps.done('backoff #2')
    await steps.done('prepare 1')
    await steps.done('run 1 #3')
    expect(await driven).toEqual({ kind: 'done' })
  })

  it('starts nothing more after a failure, and ends when what is in flight has ended', async () => {
    const { steps, driven, ended } = started({ 1: [], 2: [], 3: [1], 4: [2] })
    await steps.done('prepare 1')
    await steps.done('prepare 2')
    const error = new Error('refused')
    await steps.done('run 1 #1', { kind: 'failed', error })
    expect(ended.result).toBe('')
    await steps.done('run 2 #1')
    expect(await driven).toEqual({ kind: 'failed', id: 1, error })
    expect(steps.open()).toEqual([])
    expect(steps.log).not.toContain('prepare 4')
  })

  it('tells the first of several failures', async () => {
    const { steps, driven } = started({ 1: [], 2: [] })
    await steps.done('prepare 1')
    await steps.done('prepare 2')
    await steps.done('run 2 #1', { kind: 'failed', error: 'second' })
    await steps.done('run 1 #1', { kind: 'failed', error: 'first' })
    expect(await driven).toEqual({ kind: 'failed', id: 2, error: 'second' })
  })

  it('abandons what was announced before a failure and not sent', async () => {
    const { steps, driven } = started({ 1: [], 2: [] })
    await steps.done('prepare 1')
    await steps.done('run 1 #1', { kind: 'failed', error: 'refused' })
    await steps.done('prepare 2')
    expect(steps.open()).toEqual(['abandon 2'])
    await steps.done('abandon 2')
    expect(await driven).toMatchObject({ kind: 'failed', id: 1 })
    expect(steps.log).not.toContain('run 2 #1')
  })

  it('that is halted waits for what is in flight, but not for a backoff', async () => {
    const { steps, halt, driven, ended } = started({ 1: [], 2: [], 3: [1] })
    await steps.done('prepare 1')
    await steps.done('prepare 2')
    await steps.done('run 2 #1', AGAIN)
    halt.abort()
    await nextTurn()
    expect(ended.result).toBe('')
    await steps.done('run 1 #1')
    expect(await driven).toEqual({ kind: 'halted' })
    expect(steps.log).not.toContain('prepare 3')
  })

  it.each(['heavy', 'copies'] as const)(
    'that is halted does not wait for another operation whose %s holds it up',
    async (kind) => {
      const lanes = new Lanes()
      lanes.limitCopies(1, 1)
      const other = Promise.withResolvers<void>()
      const task = { heavy: kind === 'heavy', copies: kind === 'copies', leaves: false }
      lanes.submit('node1', {
        ...task,
        group: 'other',
        isWanted: () => true,
        prepare: async () => await Promise.resolve(true),
        run: async () => await other.promise,
      })
      const steps = new HandSteps(task)
      const halt = new AbortController()
      const driven = drive(new DependencyGraph([1], () => []), steps, lanes, halt.signal)
      await steps.done('prepare 1')
      expect(steps.open()).toEqual([])
      halt.abort()
      await steps.done('abandon 1')
      expect(await driven).toEqual({ kind: 'halted' })
      other.resolve()
    },
  )

  it('that is halted before it begins does nothing', async () => {
    const steps = new HandSteps()
    const graph = new DependencyGraph([1], () => [])
    expect(await drive(graph, steps, new Lanes(), AbortSignal.abort())).toEqual({ kind: 'halted' })
    expect(steps.log).toEqual([])
  })

  it('that was halted does not try again what failed meanwhile', async () => {
    const { steps, halt, driven } = started({ 1: [] })
    await steps.done('prepare 1')
    halt.abort()
    await steps.done('run 1 #1', AGAIN)
    expect(await driven).toEqual({ kind: 'halted' })
  })

  it.each(['prepare 1', 'run 1 #1', 'backoff #1', 'abandon 1'])(
    'rejects when the journal cannot be written during %s, once nothing is in flight',
    async (broken) => {
      const { steps, halt, driven, ended } = started({ 1: [], 2: [] })
      driven.catch(() => undefined)
      await steps.done('prepare 2')
      if (broken === 'abandon 1') halt.abort()
      if (broken !== 'prepare 1') await steps.done('prepare 1')
      if (broken === 'backoff #1') await steps.done('run 1 #1', AGAIN)
      await steps.fails(broken, new Error('the journal is gone'))
      expect(ended.result).toBe('')
      await steps.done('run 2 #1')
      await expect(driven).rejects.toThrow('the journal is gone')
    },
  )

  it('of commands that wait for each other says so instead of waiting for ever', async () => {
    const { steps, driven } = started({ 1: [], 2: [3], 3: [2] })
    driven.catch(() => undefined)
    await steps.done('prepare 1')
    await steps.done('run 1 #1')
    await expect(driven).rejects.toThrow(TypeError)
    await expect(started({ 1: [1] }).driven).rejects.toThrow(TypeError)
  })

  it('that has ended listens to nobody any more', async () => {
    const { steps, halt, driven } = started({ 1: [] })
    expect(getEventListeners(halt.signal, 'abort')).toHaveLength(1)
    await steps.done('prepare 1')
    await steps.done('run 1 #1')
    await driven
    expect(getEventListeners(halt.signal, 'abort')).toEqual([])
  })

  it('keeps the order and ends quietly, whatever fails, is tried again, or is halted', async () => {
    const anyRun = fc.integer({ min: 1, max: 12 }).chain((count) =>
      fc.record({
        waits: fc.tuple(
          ...Array.from({ length: count }, (_, id) =>
            id === 0 ? fc.constant<number[]>([]) : fc.array(fc.nat(id - 1), { maxLength: 3 }),
          ),
        ),
        results: fc.array(fc.constantFrom('settled', 'settled', 'settled', 'again', 'failed'), {
          minLength: 40,
          maxLength: 40,
        }),
        haltAfter: fc.option(fc.nat(30)),
      }),
    )
    const kinds = new Set<string>()
    await fc.assert(
      fc.asyncProperty(anyRun, async ({ waits, results, haltAfter }) => {
        const settled = new Set<number>()
        const inFlight = new Set<number>()
        const halt = new AbortController()
        let steps = 0
        let isStopped = false
        /** The drive knows of it a turn later. */
        const stop = () => void nextTurn().then(() => (isStopped = true))
        const stepper: Stepper = {
          group: 'g',
          node: (id) => `node${id % 3}`,
          heavy: (id) => id % 4 === 0,
          copies: (id) => id % 8 === 0,
          leaves: (id) => id % 16 === 0,
          prepare: async (id) => {
            expect(isStopped).toBe(false)
            for (const other of waits[id] ?? []) expect(settled.has(other)).toBe(true)
            expect(inFlight.has(id)).toBe(false)
            inFlight.add(id)
            await nextTurn()
          },
          run: async (id) => {
            expect(inFlight.has(id)).toBe(true)
            expect(isStopped).toBe(false)
            await nextTurn()
            const kind = results[steps++] ?? 'settled'
            if (steps === haltAfter) halt.abort()
            if (kind === 'failed' || halt.signal.aborted) stop()
            inFlight.delete(id)
            if (kind === 'settled') settled.add(id)
            return kind === 'failed' ? { kind, error: id } : kind === 'settled' ? SETTLED : AGAIN
          },
          abandon: async (id) => {
            await nextTurn()
            inFlight.delete(id)
          },
          backoff: async (_attempt, halted) => {
            await nextTurn()
            halted.throwIfAborted()
          },
        }
        const graph = new DependencyGraph([...waits.keys()], (id) => waits[id] ?? [])
        const { kind } = await drive(graph, stepper, new Lanes(), halt.signal)
        expect(inFlight.size).toBe(0)
        const sawFailure = results.slice(0, steps).includes('failed')
        // A halt that comes with the last step has nothing left to halt.
        if (kind === 'done') expect(settled.size).toBe(waits.length)
        else expect(kind === 'halted' ? halt.signal.aborted : sawFailure).toBe(true)
        if (sawFailure) expect(kind).not.toBe('done')
        kinds.add(kind)
      }),
      { seed: SEED, numRuns: 1_500 },
    )
    expect(kinds).toEqual(new Set(['done', 'failed', 'halted']))
  })
})
