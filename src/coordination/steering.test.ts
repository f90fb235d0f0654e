import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { commandOf, fixedRandom, operationOf } from '../../test/support/engine-doubles.ts'
import { VirtualNodes, type VirtualProcess } from '../../test/support/virtual-nodes.ts'
import type { Operation } from '../domain/operation.ts'
import type { FaultHandle } from '../embedded/index.ts'
import { Engine } from '../engine/engine.ts'
import { DEFAULT_THROTTLE } from '../engine/throttle.ts'
import { Leadership, LEASE_TTL_MS } from './leadership.ts'
import { Steering } from './steering.ts'
import { Terms } from './terms.ts'

const GROUP = 'left'
const TABLE = 't_left'
const ID = 77
const COMMAND_MS = 20_000
/** More than a look at the journal and all that follows takes. */
const MOMENT_MS = 500

let nodes: VirtualNodes
let members: Member[] = []

beforeEach(async () => {
  nodes = await VirtualNodes.start(2)
})
afterEach(async () => {
  for (const { terms, process } of members.splice(0)) {
    process.connector.link = 'up'
    process.clock.thaw()
    await nodes.clock.run(terms.close())
  }
  await nodes.close()
})

interface Member {
  readonly process: VirtualProcess
  readonly terms: Terms
  readonly steering: Steering
}

function member(owner: string): Member {
  const process = nodes.process()
  const { journal, connector, catalog, clock, state } = process
  const terms = new Terms({
    leadership: new Leadership({ state, clock, owner }),
    clock,
    engineFor: (fence) =>
      new Engine({
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
      }),
    heedSignals: async () => await Promise.resolve(),
    startPlanned: () => [],
  })
  const ready = async () => await Promise.resolve()
  const during = terms.during.bind(terms)
  const made = { process, terms, steering: new Steering({ clock, journal, ready, during }) }
  members.push(made)
  return made
}

/** An operation that a dead process has left: one command, which takes long. */
async function leaveOperation(given: Partial<Operation> = {}): Promise<FaultHandle> {
  const { journal } = nodes.process()
  const command = commandOf({
    id: ID,
    node: nodes.ids[0] ?? '',
    operationGroup: GROUP,
    query: `CREATE TABLE ${TABLE} (title text)`,
    rollbackQuery: `DROP TABLE IF EXISTS ${TABLE}`,
  })
  const deadlineAt = nodes.clock.now() + 100 * COMMAND_MS
  const operation = operationOf({
    id: ID,
    group: GROUP,
    table: TABLE,
    state: 'running',
    deadlineAt,
    ...given,
  })
  await nodes.clock.run(journal.addCommands([command]))
  await nodes.clock.run(journal.addOperation(operation))
  return nodes.embedded.faults.add({
    when: (statement) => statement.kind === 'create_table' && statement.table.name === TABLE,
    effect: { kind: 'delay', ms: COMMAND_MS, before: true },
    times: 100,
  })
}

/** What has become of a promise so far. */
function follow<T>(promise: Promise<T>) {
  const state: { value?: T; failure?: unknown } = {}
  promise.then(
    (value) => (state.value = value),
    (failure: unknown) => (state.failure = failure),
  )
  return state
}

async function holder(): Promise<string | undefined> {
  const { state, clock } = nodes.process()
  return await nodes.clock.run(new Leadership({ state, clock, owner: 'looks' }).holder())
}

describe('waiting for the end of an operation', () => {
  it('is leading, when nobody else does, until it has come', async () => {
    await leaveOperation()
    const waiting = follow(member('a').steering.untilEnded(ID))
    await nodes.clock.advance(MOMENT_MS)
    expect(await holder()).toBe('a')
    expect(waiting.value).toBeUndefined()
    await nodes.clock.advance(COMMAND_MS + MOMENT_MS)
    expect(waiting.value?.operation).toMatchObject({ group: GROUP, state: 'succeeded' })
    expect(waiting.value?.commands.map(({ status }) => status)).toEqual(['processed'])
    await nodes.clock.advance(MOMENT_MS)
    expect(await holder()).toBeUndefined()
  })

  it.each(['down', 'mute', 'stalled'] as const)(
    'goes on after outages that cost the lease: %s',
    async (link) => {
      await leaveOperation()
      const a = member('a')
      const waiting = follow(a.steering.untilEnded(ID))
      for (let outage = 0; outage < 3; outage++) {
        await nodes.clock.advance(2 * MOMENT_MS)
        a.process.connector.link = link
        await nodes.clock.advance(2 * LEASE_TTL_MS)
        a.process.connector.link = 'up'
        await nodes.clock.advance(2 * LEASE_TTL_MS)
      }
      await nodes.clock.advance(3 * COMMAND_MS)
      expect(waiting).toMatchObject({ value: { operation: { state: 'succeeded' } } })
    },
  )

  it('goes on after the process was stopped for longer than its lease', async () => {
    await leaveOperation()
    const a = member('a')
    const waiting = follow(a.steering.untilEnded(ID))
    await nodes.clock.advance(MOMENT_MS)
    a.process.clock.freeze()
    await nodes.clock.advance(2 * LEASE_TTL_MS)
    a.process.clock.thaw()
    await nodes.clock.advance(3 * COMMAND_MS)
    expect(waiting).toMatchObject({ value: { operation: { state: 'succeeded' } } })
  })

  it('leaves the work to whoever leads, and takes it over when that one dies', async () => {
    const fault = await leaveOperation()
    const [a, b] = [member('a'), member('b')]
    const working = follow(a.steering.untilEnded(ID))
    await nodes.clock.advance(MOMENT_MS)
    const waiting = follow(b.steering.untilEnded(ID))
    await nodes.clock.advance(LEASE_TTL_MS)
    expect(await holder()).toBe('a')
    expect(fault.hits).toBe(1)
    a.process.clock.freeze()
    await nodes.clock.advance(2 * LEASE_TTL_MS)
    expect(await holder()).toBe('b')
    await nodes.clock.advance(3 * COMMAND_MS)
    expect(waiting).toMatchObject({ value: { operation: { state: 'succeeded' } } })
    a.process.clock.thaw()
    await nodes.clock.advance(MOMENT_MS)
    expect(working).toMatchObject({ value: { operation: { state: 'succeeded' } } })
  })

  it('is over at once when it has ended already', async () => {
    await leaveOperation({ state: 'rolled_back', error: 'why' })
    const { operation } = await nodes.clock.run(member('a').steering.untilEnded(ID))
    expect(operation).toMatchObject({ state: 'rolled_back', error: 'why' })
  })

  it.each([
    ['invalid_input rf', 'InputError', { code: 'invalid_input', field: 'rf' }],
    ['table_exists table', 'InputError', { code: 'table_exists', field: 'table' }],
    ['operation_busy', 'ShardingError', { code: 'operation_busy' }],
    ['of_tomorrow', 'ShardingError', { code: 'refused' }],
    ['', 'ShardingError', { code: 'refused' }],
  ])('throws what it was refused with: %j', async (refusal, name, fields) => {
    await leaveOperation({ state: 'refused', refusal, error: 'the very words' })
    const waiting = nodes.clock.run(member('a').steering.untilEnded(ID))
    await expect(waiting).rejects.toMatchObject({ name, message: 'the very words', ...fields })
  })

  it('of one that is not there is no waiting', async () => {
    const waiting = nodes.clock.run(member('a').steering.untilEnded(404))
    await expect(waiting).rejects.toMatchObject({
      code: 'operation_missing',
      message: expect.stringContaining('404'),
    })
    await nodes.clock.advance(MOMENT_MS)
    expect(await holder()).toBeUndefined()
  })
})

describe('asking for a change of an operation', () => {
  const is = (state: Operation['state']) => (operation: Operation) => operation.state === state

  it('is done by this process when nobody leads, to the very end', async () => {
    await leaveOperation({ state: 'paused' })
    const a = member('a')
    const resumed = await nodes.clock.run(
      a.steering.request(GROUP, 'resume', ({ state }) => state !== 'paused'),
    )
    expect(resumed.state).toBe('running')
    await nodes.clock.advance(COMMAND_MS + LEASE_TTL_MS)
    expect((await nodes.clock.run(a.process.journal.operation(GROUP)))?.state).toBe('succeeded')
    expect(await holder()).toBeUndefined()
  })

  it('is done by whoever leads', async () => {
    await leaveOperation()
    const [a, b] = [member('a'), member('b')]
    const working = follow(a.steering.untilEnded(ID))
    await nodes.clock.advance(MOMENT_MS)
    const stopped = follow(b.steering.request(GROUP, 'stop', is('rolled_back'), { error: 'b wants it' }))
    await nodes.clock.advance(COMMAND_MS + LEASE_TTL_MS)
    expect(stopped.value).toMatchObject({ state: 'rolled_back', error: 'b wants it' })
    expect(working.value?.operation.state).toBe('rolled_back')
  })

  it('is done in the end when whoever leads dies much later', async () => {
    await leaveOperation()
    const [a, b] = [member('a'), member('b')]
    void follow(a.steering.untilEnded(ID))
    await nodes.clock.advance(MOMENT_MS)
    nodes.embedded.faults.clear()
    // It lives, and keeps its lease, but does nothing of what is asked.
    const lazy = nodes.process()
    a.process.clock.freeze()
    const lease = await nodes.clock.run(
      new Leadership({ state: lazy.state, clock: lazy.clock, owner: 'lazy' }).acquire(),
    )
    const stopped = follow(b.steering.request(GROUP, 'stop', is('rolled_back'), { error: 'b wants it' }))
    await nodes.clock.advance(120_000)
    expect(stopped).toEqual({})
    lazy.connector.link = 'down'
    await nodes.clock.advance(COMMAND_MS + 4 * LEASE_TTL_MS)
    expect(lease.lost.aborted).toBe(true)
    expect(stopped).toMatchObject({ value: { state: 'rolled_back' } })
  })

  it('that its state does not allow changes nothing', async () => {
    await leaveOperation({ state: 'finishing' })
    const a = member('a')
    await expect(nodes.clock.run(a.steering.request(GROUP, 'stop', is('rolled_back')))).rejects.toMatchObject(
      {
        code: 'illegal_transition',
      },
    )
    await expect(
      nodes.clock.run(a.steering.request('none', 'stop', is('rolled_back'))),
    ).rejects.toMatchObject({
      code: 'operation_missing',
    })
    expect((await nodes.clock.run(a.process.journal.operation(GROUP)))?.state).toBe('finishing')
  })
})
