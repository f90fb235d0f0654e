import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { commandOf, fixedRandom, operationOf } from '../../test/support/engine-doubles.ts'
import { VirtualNodes, type VirtualProcess } from '../../test/support/virtual-nodes.ts'
import { ShardingError } from '../domain/errors.ts'
import type { Operation } from '../domain/operation.ts'
import type { Fence } from '../domain/ports.ts'
import type { FaultHandle } from '../embedded/index.ts'
import { type EndedOperation, Engine } from '../engine/engine.ts'
import { DEFAULT_THROTTLE } from '../engine/throttle.ts'
import { Leadership, LEASE_TTL_MS, type Lease } from './leadership.ts'
import { type DuringOptions, type Term, Terms } from './terms.ts'

const COMMAND_MS = 20_000
/** More than a look at the journal and all that follows takes. */
const MOMENT_MS = 500

let nodes: VirtualNodes
let ends: (() => Promise<unknown>)[] = []

beforeEach(async () => {
  nodes = await VirtualNodes.start(2)
})
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await nodes.clock.run(end())
  await nodes.close()
})

interface Member {
  readonly process: VirtualProcess
  readonly terms: Terms
  readonly leadership: Leadership
  /** Epochs that an engine was made for. */
  readonly epochs: number[]
  /** What `startPlanned` was given. */
  readonly planned: Operation[]
  /** Ends what was planned. */
  readonly planning: PromiseWithResolvers<EndedOperation>
}

/** @param onEngine called when the lease is there, right before the journal is read */
function member(owner: string, onEngine: (process: VirtualProcess) => void = () => undefined): Member {
  const process = nodes.process()
  const { state, clock } = process
  const leadership = new Leadership({ state, clock, owner })
  const [epochs, planned]: [number[], Operation[]] = [[], []]
  const planning = Promise.withResolvers<EndedOperation>()
  planning.promise.catch(() => undefined)
  const terms = new Terms({
    leadership,
    clock,
    engineFor: (fence) => {
      epochs.push(fence.epoch)
      onEngine(process)
      return engineOf(process, fence)
    },
    heedSignals: async () => await Promise.resolve(),
    startPlanned: (_term, found) => {
      const fresh = found.filter(({ id }) => planned.every((operation) => operation.id !== id))
      planned.push(...fresh)
      return fresh.map(({ group }) => ({ group, ended: planning.promise }))
    },
  })
  ends.push(async () => await terms.close())
  return { process, terms, leadership, epochs, planned, planning }
}

function engineOf(process: VirtualProcess, fence: Fence): Engine {
  const { journal, connector, catalog, clock } = process
  return new Engine({
    journal,
    connector,
    catalog,
    clock,
    random: fixedRandom(),
    fence,
    guard: { before: async () => await Promise.resolve(false) },
    throttle: async () => await Promise.resolve(DEFAULT_THROTTLE),
    isGone: async () => await Promise.resolve(false),
    otherNode: async () => await Promise.resolve(undefined),
    onProgress: () => undefined,
    onState: async () => await Promise.resolve(),
  })
}

/** A call under the lease that lasts until it is told to end. */
function call({ terms }: Member, options: DuringOptions = {}) {
  const until = Promise.withResolvers<void>()
  const state: { term?: Term; failure?: unknown; over: boolean } = { over: false }
  const settled = terms
    .during(async (term) => {
      state.term = term
      await until.promise
    }, options)
    .catch((error: unknown) => (state.failure = error))
    .then(() => (state.over = true))
  ends.push(async () => {
    until.resolve()
    await settled
  })
  return Object.assign(state, {
    end: async () => {
      until.resolve()
      await nodes.clock.run(settled)
    },
    /** Its work is done; the lease is given back in the background. */
    done: () => until.resolve(),
    fail: (reason: Error) => until.reject(reason),
  })
}

/** Another process takes the lease. */
async function foreignLease(owner = 'other'): Promise<Lease> {
  const { state, clock } = nodes.process()
  const lease = await nodes.clock.run(new Leadership({ state, clock, owner }).acquire())
  ends.push(async () => await lease.release())
  return lease
}

async function holder(): Promise<string | undefined> {
  const { state, clock } = nodes.process()
  return await nodes.clock.run(new Leadership({ state, clock, owner: 'looks' }).holder())
}

/** An operation that a dead process has left: one command, which takes long. */
async function leaveOperation(group = 'left'): Promise<FaultHandle> {
  const { journal } = nodes.process()
  const table = `t_${group}`
  const command = commandOf({
    id: nodes.clock.now(),
    node: nodes.ids[0] ?? '',
    operationGroup: group,
    query: `CREATE TABLE ${table} (title text)`,
    rollbackQuery: `DROP TABLE IF EXISTS ${table}`,
  })
  const deadlineAt = nodes.clock.now() + 100 * COMMAND_MS
  const operation = operationOf({ id: command.id, group, table, state: 'running', deadlineAt })
  await nodes.clock.run(journal.addCommands([command]))
  await nodes.clock.run(journal.addOperation(operation))
  return nodes.embedded.faults.add({
    when: (statement) => statement.kind === 'create_table' && statement.table.name === table,
    effect: { kind: 'delay', ms: COMMAND_MS, before: true },
  })
}

async function askFor(id: number): Promise<void> {
  const { journal } = nodes.process()
  const operation = operationOf({ id, group: `planned-${id}`, state: 'planned', epoch: 0 })
  await nodes.clock.run(journal.addOperation(operation))
}

const closed = expect.objectContaining({ name: 'ShardingError', code: 'closed' })

describe('calls that need the lease', () => {
  it('share one, and the last one gives it back', async () => {
    const a = member('a')
    const [one, two] = [call(a), call(a)]
    await nodes.clock.advance(MOMENT_MS)
    const three = call(a)
    await nodes.clock.advance(MOMENT_MS)
    expect([one, two, three].map(({ term }) => term?.fence.epoch)).toEqual([1, 1, 1])
    expect(new Set([one.term?.engine, two.term?.engine, three.term?.engine]).size).toBe(1)
    expect(a.epochs).toEqual([1])
    await two.end()
    await one.end()
    expect(await holder()).toBe('a')
    expect(three.term?.fence.lost.aborted).toBe(false)
    await three.end()
    expect(await holder()).toBeUndefined()
    expect(three.term?.fence.lost.aborted).toBe(true)
  })

  it('one after the other have one each', async () => {
    const a = member('a')
    for (const epoch of [1, 2, 3]) {
      expect(
        await nodes.clock.run(a.terms.during(async ({ fence }) => await Promise.resolve(fence.epoch))),
      ).toBe(epoch)
    }
    expect(await holder()).toBeUndefined()
  })

  it('that fail give it back as well, and tell why', async () => {
    const a = member('a')
    const failing = call(a)
    await nodes.clock.advance(MOMENT_MS)
    const reason = new Error('why')
    failing.fail(reason)
    await nodes.clock.advance(MOMENT_MS)
    expect(failing.failure).toBe(reason)
    expect(await holder()).toBeUndefined()
  })

  it('hold on to it for as long as they last', async () => {
    const a = member('a')
    const long = call(a)
    const other = call(member('b'))
    await nodes.clock.advance(20 * LEASE_TTL_MS)
    expect(long.term?.fence.lost.aborted).toBe(false)
    expect(other.term).toBeUndefined()
    await long.end()
    await nodes.clock.advance(LEASE_TTL_MS)
    expect(other.term?.fence.epoch).toBe(2)
    expect(other.term?.succession).toBeNull()
  })
})

describe('whether this process may lead', () => {
  it('yes when nobody does', async () => {
    expect(await nodes.clock.run(member('a').terms.mayLead())).toBe(true)
  })

  it('not when another one does, alive or dead', async () => {
    const lease = await foreignLease()
    const a = member('a')
    expect(await nodes.clock.run(a.terms.mayLead())).toBe(false)
    await nodes.clock.run(lease.release())
    expect(await nodes.clock.run(a.terms.mayLead())).toBe(true)
  })

  it('yes while it leads, without asking', async () => {
    const a = member('a')
    const leading = call(a)
    await nodes.clock.advance(MOMENT_MS)
    a.process.connector.link = 'stalled'
    expect(await nodes.clock.run(a.terms.mayLead())).toBe(true)
    a.process.connector.link = 'up'
    await leading.end()
    await foreignLease()
    expect(await nodes.clock.run(a.terms.mayLead())).toBe(false)
  })
})

describe('waiting for a lease that another process holds', () => {
  it('ends when patience does, and says who holds it', async () => {
    await foreignLease('the other one')
    const waiting = call(member('a'), { patienceMs: 7_000 })
    await nodes.clock.advance(6_900)
    expect(waiting.over).toBe(false)
    await nodes.clock.advance(MOMENT_MS)
    expect(waiting.failure).toMatchObject({
      code: 'leadership_taken',
      message: expect.stringContaining('the other one'),
    })
  })

  it('ends with the reason of the signal, also one that was given before', async () => {
    await foreignLease()
    const a = member('a')
    const abort = new AbortController()
    const waiting = call(a, { signal: abort.signal })
    await nodes.clock.advance(LEASE_TTL_MS)
    const reason = new Error('enough')
    abort.abort(reason)
    const late = call(a, { signal: abort.signal })
    await nodes.clock.advance(0)
    expect([waiting.failure, late.failure]).toEqual([reason, reason])
    expect([waiting.term, late.term]).toEqual([undefined, undefined])
  })

  it('leaves nothing behind that would take it later', async () => {
    const lease = await foreignLease()
    call(member('a'), { patienceMs: 1_000 })
    await nodes.clock.advance(2_000)
    await nodes.clock.run(lease.release())
    await nodes.clock.advance(2 * LEASE_TTL_MS)
    expect(await holder()).toBeUndefined()
  })

  it('goes on for those who are more patient', async () => {
    const lease = await foreignLease()
    const a = member('a')
    const abort = new AbortController()
    const [impatient, broken, patient] = [
      call(a, { patienceMs: 1_000 }),
      call(a, { signal: abort.signal }),
      call(a, { patienceMs: 100_000 }),
    ]
    await nodes.clock.advance(2_000)
    abort.abort(new Error('enough'))
    await nodes.clock.advance(0)
    expect(impatient.failure).toMatchObject({ code: 'leadership_taken' })
    expect(broken.failure).toMatchObject({ message: 'enough' })
    await nodes.clock.run(lease.release())
    await nodes.clock.advance(LEASE_TTL_MS)
    expect(patient.term?.fence.epoch).toBe(2)
    // Patience is for the waiting, not for the work.
    await nodes.clock.advance(200_000)
    expect(patient.over).toBe(false)
  })

  it('once over, no signal ends the work', async () => {
    const abort = new AbortController()
    const working = call(member('a'), { signal: abort.signal })
    await nodes.clock.advance(MOMENT_MS)
    abort.abort(new Error('enough'))
    await nodes.clock.advance(MOMENT_MS)
    expect(working.over).toBe(false)
    expect(working.term?.fence.lost.aborted).toBe(false)
    await working.end()
    expect(working.failure).toBeUndefined()
  })
})

describe('closing', () => {
  it('ends a term at once, and the next process need not wait', async () => {
    const a = member('a')
    const working = call(a)
    await nodes.clock.advance(MOMENT_MS)
    await nodes.clock.run(a.terms.close())
    expect(working.term?.fence.lost.reason).toMatchObject({ code: 'leadership_lost' })
    expect(await holder()).toBeUndefined()
    await working.end()
    expect(working.failure).toBeUndefined()
  })

  it('ends the waiting for a lease', async () => {
    await foreignLease()
    const a = member('a')
    const waiting = call(a)
    await nodes.clock.advance(LEASE_TTL_MS)
    await nodes.clock.run(a.terms.close())
    expect(waiting.failure).toEqual(closed)
  })

  it('lets nothing begin any more', async () => {
    const a = member('a')
    await nodes.clock.run(a.terms.close())
    await expect(a.terms.during(async () => await Promise.resolve(1))).rejects.toEqual(closed)
    expect(a.epochs).toEqual([])
  })

  it('waits until the lease is given back, also when the last call is just giving it back', async () => {
    const a = member('a')
    const last = call(a)
    await nodes.clock.advance(MOMENT_MS)
    a.process.connector.link = 'stalled'
    last.done()
    await nodes.clock.advance(0)
    let over = false
    const closing = a.terms.close().then(() => (over = true))
    await nodes.clock.advance(MOMENT_MS)
    expect(over).toBe(false)
    a.process.connector.link = 'up'
    await nodes.clock.run(closing)
    expect(await holder()).toBeUndefined()
  })

  it('twice is once', async () => {
    const a = member('a')
    call(a)
    await nodes.clock.advance(MOMENT_MS)
    await nodes.clock.run(Promise.all([a.terms.close(), a.terms.close()]))
    await nodes.clock.run(a.terms.close())
    expect(await holder()).toBeUndefined()
  })
})

describe('a lease that is lost', () => {
  it('is told to those who work under it, and the next call has a new one', async () => {
    const a = member('a')
    const working = call(a)
    await nodes.clock.advance(MOMENT_MS)
    a.process.connector.link = 'down'
    await nodes.clock.advance(2 * LEASE_TTL_MS)
    expect(working.term?.fence.lost.reason).toMatchObject({ code: 'leadership_lost' })
    a.process.connector.link = 'up'
    const next = call(a)
    await nodes.clock.advance(2 * LEASE_TTL_MS)
    expect(next.term?.fence.epoch).toBe(2)
    expect(next.term?.succession?.from).toBe('a')
    // The end of the old work does not end the new term.
    await working.end()
    await nodes.clock.advance(2 * LEASE_TTL_MS)
    expect(next.term?.fence.lost.aborted).toBe(false)
    expect(await holder()).toBe('a')
  })

  it('before the term has begun begins none, and the next call has a new one', async () => {
    await leaveOperation()
    const stopped: VirtualProcess[] = []
    const a = member('a', (process) => {
      if (stopped.length > 0) return
      process.clock.freeze()
      stopped.push(process)
    })
    const stalled = call(a)
    await nodes.clock.advance(2 * LEASE_TTL_MS)
    expect(stopped).toEqual([a.process])
    a.process.clock.thaw()
    await nodes.clock.advance(MOMENT_MS)
    expect(stalled.term).toBeUndefined()
    expect(stalled.failure).toMatchObject({ code: 'leadership_lost' })
    const next = call(a)
    await nodes.clock.advance(2 * LEASE_TTL_MS)
    expect(next.term?.fence.lost.aborted).toBe(false)
    expect(next.term?.resumed.map(({ group }) => group)).toEqual(['left'])
  })

  it('leaves what was going on to the next one', async () => {
    const fault = await leaveOperation()
    const [a, b] = [member('a'), member('b')]
    call(a)
    await nodes.clock.advance(MOMENT_MS)
    expect(fault.hits).toBe(1)
    const other = call(b)
    a.process.connector.link = 'down'
    await nodes.clock.advance(COMMAND_MS + 10 * MOMENT_MS)
    expect(other.term?.succession?.from).toBe('a')
    const [resumed] = other.term?.resumed ?? []
    expect(
      (await nodes.clock.run(resumed?.ended ?? Promise.reject(new Error('none'))))?.operation.state,
    ).toBe('succeeded')
  })
})

describe('what a dead process has left', () => {
  it('is gone on with, and keeps the lease until it has ended', async () => {
    await leaveOperation()
    const a = member('a')
    const groups = await nodes.clock.run(
      a.terms.during(async ({ resumed }) => await Promise.resolve(resumed.map(({ group }) => group))),
    )
    expect(groups).toEqual(['left'])
    await nodes.clock.advance(COMMAND_MS / 2)
    expect(await holder()).toBe('a')
    expect(await nodes.clock.run(a.terms.mayLead())).toBe(true)
    await nodes.clock.advance(COMMAND_MS)
    expect(await holder()).toBeUndefined()
    expect((await nodes.clock.run(a.process.journal.operation('left')))?.state).toBe('succeeded')
  })

  it('is taken up once, however many calls there are', async () => {
    const fault = await leaveOperation()
    const a = member('a')
    const calls = [call(a), call(a)]
    await nodes.clock.advance(MOMENT_MS)
    calls.push(call(a))
    await nodes.clock.advance(COMMAND_MS)
    expect(calls.map(({ term }) => term?.resumed.map(({ group }) => group))).toEqual([
      ['left'],
      ['left'],
      ['left'],
    ])
    expect(fault.hits).toBe(1)
  })

  it('is broken off by closing, and gone on with by the next one', async () => {
    await leaveOperation()
    const a = member('a')
    const resumed = await nodes.clock.run(a.terms.during(async (term) => await Promise.resolve(term.resumed)))
    await nodes.clock.advance(MOMENT_MS)
    await nodes.clock.run(a.terms.close())
    const [ended] = await nodes.clock.run(Promise.allSettled(resumed.map(async (left) => await left.ended)))
    expect(ended).toMatchObject({ status: 'rejected', reason: { code: 'leadership_lost' } })
    const next = call(member('b'))
    await nodes.clock.advance(MOMENT_MS)
    const outcomes = await nodes.clock.run(
      Promise.all((next.term?.resumed ?? []).map(async (left) => await left.ended)),
    )
    expect(outcomes.map(({ operation }) => operation.state)).toEqual(['succeeded'])
  })

  it('and cannot be read begins no term: the lease is given back and the reason told', async () => {
    const a = member('a')
    const fault = nodes.embedded.faults.add({
      when: (statement) =>
        statement.kind === 'select' && statement.from?.name === 'system.sharding_operation',
      effect: { kind: 'error_before', message: 'unknown column: state' },
      times: 100,
    })
    const failing = call(a)
    await nodes.clock.advance(MOMENT_MS)
    expect(failing.failure).toBeInstanceOf(ShardingError)
    expect(failing.failure).toMatchObject({ message: expect.stringContaining('unknown column: state') })
    expect(await holder()).toBeUndefined()
    fault.remove()
    const next = call(a)
    await nodes.clock.advance(MOMENT_MS)
    expect(next.term?.fence.epoch).toBe(2)
  })
})

describe('what others ask for', () => {
  it('before the term is begun with, and keeps the lease until it has ended', async () => {
    await askFor(7)
    const a = member('a')
    const groups = await nodes.clock.run(
      a.terms.during(async ({ resumed }) => await Promise.resolve(resumed.map(({ group }) => group))),
    )
    expect(groups).toEqual(['planned-7'])
    await nodes.clock.advance(LEASE_TTL_MS)
    expect(await holder()).toBe('a')
    a.planning.reject(new ShardingError('table_exists', 'it is there'))
    await nodes.clock.advance(MOMENT_MS)
    expect(await holder()).toBeUndefined()
  })

  it('is found during the term', async () => {
    const a = member('a')
    call(a)
    await nodes.clock.advance(MOMENT_MS)
    await askFor(8)
    await nodes.clock.advance(MOMENT_MS)
    expect(a.planned.map(({ id }) => id)).toEqual([8])
  })

  it('is found at once by who looks', async () => {
    const a = member('a')
    const working = call(a)
    await nodes.clock.advance(MOMENT_MS)
    await askFor(9)
    expect(a.planned).toEqual([])
    // Less than the time between two looks.
    const looked = working.term?.look()
    await nodes.clock.advance(1)
    await looked
    expect(a.planned.map(({ id }) => id)).toEqual([9])
  })

  it('is found after the journal could not be read for a while', async () => {
    const a = member('a')
    call(a)
    await nodes.clock.advance(MOMENT_MS)
    nodes.embedded.faults.add({
      when: (statement) =>
        statement.kind === 'select' && statement.from?.name === 'system.sharding_operation',
      effect: { kind: 'error_before', message: 'unknown column: state' },
      times: 3,
    })
    await askFor(10)
    await nodes.clock.advance(10 * MOMENT_MS)
    expect(a.planned.map(({ id }) => id)).toEqual([10])
  })
})
