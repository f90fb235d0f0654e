import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { operationOf } from '../../test/support/engine-doubles.ts'
import { JournalNodes } from '../../test/support/journal-nodes.ts'
import { OPERATION_TYPES } from '../domain/operation.ts'
import { STATE_TABLE } from '../domain/system-tables.ts'
import { DEFAULT_THROTTLE } from '../engine/throttle.ts'
import { type NodeRecord, NodeRecords } from './node-records.ts'
import type { NodeView } from './node-watch.ts'
import { RebalanceKeys } from './rebalance-keys.ts'
import { ThrottleSettings } from './throttle-settings.ts'

/** What operators and coordinators write under keys of the shared state, each its own part. */
let nodes: JournalNodes

beforeAll(async () => {
  nodes = await JournalNodes.start(2)
})
afterEach(async () => {
  nodes.embedded.faults.clear()
  await nodes.sql(`DELETE FROM c:${STATE_TABLE} WHERE id > 0`)
})
afterAll(async () => {
  await nodes.close()
})

async function stored(key: string): Promise<unknown> {
  return (await nodes.otherState().get(key)).value
}

/** As a version that we do not know would write it. */
async function store(key: string, value: object): Promise<void> {
  expect(await nodes.otherState().compareAndSet(key, 0, value)).toBe(true)
}

describe('what operators say about a node', () => {
  const A = '10.0.0.1:9312'
  const B = '10.0.0.2:9312'
  const DEFAULT: NodeRecord = { zone: null, weight: 1, capacityBytes: null, drained: false }

  it('is the usual as long as they say nothing', async () => {
    const records = new NodeRecords(nodes.state)
    expect(await records.get(A)).toEqual(DEFAULT)
    expect(await records.all([A, B])).toEqual(new Map([A, B].map((node) => [node, DEFAULT])))
    expect(await records.all([])).toEqual(new Map())
  })

  it('is kept, each thing by itself, for all processes', async () => {
    const records = new NodeRecords(nodes.state)
    expect(await records.set(A, { zone: 'north', weight: 2.5 })).toEqual({
      ...DEFAULT,
      zone: 'north',
      weight: 2.5,
    })
    await records.set(A, { capacityBytes: 1_000_000_000_000 })
    await records.set(B, { drained: true })
    const other = new NodeRecords(nodes.otherState())
    const a = { zone: 'north', weight: 2.5, capacityBytes: 1_000_000_000_000, drained: false }
    expect(await other.get(A)).toEqual(a)
    expect(await other.all([B, A])).toEqual(
      new Map([
        [B, { ...DEFAULT, drained: true }],
        [A, a],
      ]),
    )
    await other.set(A, { zone: null, capacityBytes: null })
    expect(await records.get(A)).toEqual({ ...DEFAULT, weight: 2.5 })
  })

  it.each([
    ['weight', { weight: 0 }],
    ['weight', { weight: -1 }],
    ['weight', { weight: Number.NaN }],
    ['weight', { weight: Number.POSITIVE_INFINITY }],
    ['capacityBytes', { capacityBytes: 0 }],
    ['capacityBytes', { capacityBytes: Number.NaN }],
    ['capacityBytes', { capacityBytes: -5 }],
  ] as const)('is refused when the %s cannot be: %j', async (field, change) => {
    const records = new NodeRecords(nodes.state)
    await records.set(A, { zone: 'north' })
    await expect(records.set(A, change)).rejects.toMatchObject({ name: 'InputError', field })
    expect(await records.get(A)).toEqual({ ...DEFAULT, zone: 'north' })
  })

  it('is not lost when several say something at once', async () => {
    const each = [{ zone: 'north' }, { weight: 3 }, { capacityBytes: 5 }, { drained: true }]
    await Promise.all(each.map(async (change) => await new NodeRecords(nodes.otherState()).set(A, change)))
    const view: NodeView = { node: A, state: 'serving', since: 1, seenAt: 2 }
    await Promise.all([
      new NodeRecords(nodes.otherState()).markSeen(view),
      new NodeRecords(nodes.otherState()).set(A, { weight: 4 }),
    ])
    const records = new NodeRecords(nodes.state)
    expect(await records.get(A)).toEqual({ zone: 'north', weight: 4, capacityBytes: 5, drained: true })
    expect(await records.seen([A], 10)).toEqual([view])
  })

  it('of other versions stays, whatever we write', async () => {
    await store(`node:${A}`, { rack: 7, weight: 'heavy', zone: 5, drained: 'yes' })
    const records = new NodeRecords(nodes.state)
    expect(await records.get(A)).toEqual(DEFAULT)
    await records.set(A, { weight: 2 })
    await records.markSeen({ node: A, state: 'down', since: 1, seenAt: 2 })
    expect(await stored(`node:${A}`)).toMatchObject({ rack: 7, weight: 2, state: 'down' })
  })
})

describe('when nodes were seen', () => {
  const A = '10.0.0.1:9312'
  const B = '10.0.0.2:9312'

  it('is known to the next coordinator, of those nodes that it asks for', async () => {
    const views: NodeView[] = [
      { node: A, state: 'serving', since: 100, seenAt: 900 },
      { node: B, state: 'gone', since: 50, seenAt: 40 },
    ]
    const records = new NodeRecords(nodes.state)
    for (const view of views) await records.markSeen(view)
    const next = new NodeRecords(nodes.otherState())
    expect(await next.seen([A, B, '10.0.0.3:9312'], 1_000)).toEqual(views)
    expect(await next.seen([B], 1_000)).toEqual(views.slice(1))
    expect(await next.seen([], 1_000)).toEqual([])
  })

  it('is never later than now, whatever clock has written it', async () => {
    const records = new NodeRecords(nodes.state)
    await records.markSeen({ node: A, state: 'down', since: 5_000, seenAt: 4_000 })
    expect(await records.seen([A], 4_500)).toEqual([{ node: A, state: 'down', since: 4_500, seenAt: 4_000 }])
  })

  it.each([
    { state: 'asleep', since: 1, seen_at: 1 },
    { state: 'down', since: '1', seen_at: 1 },
    { state: 'down', since: 1 },
    { weight: 2 },
  ])('is not known when it cannot be read: %j', async (value) => {
    await store(`node:${A}`, value)
    expect(await new NodeRecords(nodes.state).seen([A], 10)).toEqual([])
  })
})

describe('how much moving copies may take', () => {
  it('is the usual as long as nobody says anything', async () => {
    expect(await new ThrottleSettings(nodes.state).get()).toEqual(DEFAULT_THROTTLE)
  })

  it('is kept, each thing by itself, for all processes', async () => {
    const settings = new ThrottleSettings(nodes.state)
    expect(await settings.set({ movesInAll: 9 })).toEqual({ ...DEFAULT_THROTTLE, movesInAll: 9 })
    await settings.set({ maxLatencyMs: 250, movesPerNode: 3 })
    const other = new ThrottleSettings(nodes.otherState())
    expect(await other.get()).toEqual({ movesPerNode: 3, movesInAll: 9, maxLatencyMs: 250 })
    expect(await other.set({ maxLatencyMs: null })).toEqual({
      movesPerNode: 3,
      movesInAll: 9,
      maxLatencyMs: null,
    })
    expect(await settings.get()).toEqual({ movesPerNode: 3, movesInAll: 9, maxLatencyMs: null })
  })

  it.each([
    ['movesPerNode', { movesPerNode: 0 }],
    ['movesPerNode', { movesPerNode: 1.5 }],
    ['movesInAll', { movesInAll: -1 }],
    ['movesInAll', { movesInAll: Number.POSITIVE_INFINITY }],
    ['maxLatencyMs', { maxLatencyMs: 0 }],
    ['maxLatencyMs', { maxLatencyMs: Number.NaN }],
  ] as const)('is refused when %s cannot be: %j', async (field, change) => {
    const settings = new ThrottleSettings(nodes.state)
    await settings.set({ movesInAll: 2 })
    await expect(settings.set(change)).rejects.toMatchObject({ name: 'InputError', field })
    expect(await settings.get()).toEqual({ ...DEFAULT_THROTTLE, movesInAll: 2 })
  })

  it('is not lost when several say something at once', async () => {
    const each = [{ movesPerNode: 5 }, { movesInAll: 6 }, { maxLatencyMs: 7 }]
    await Promise.all(each.map(async (change) => await new ThrottleSettings(nodes.otherState()).set(change)))
    expect(await new ThrottleSettings(nodes.state).get()).toEqual({
      movesPerNode: 5,
      movesInAll: 6,
      maxLatencyMs: 7,
    })
  })

  it('and cannot be read is the usual', async () => {
    await store('throttle', { moves_per_node: 'many', moves_in_all: 2 })
    expect(await new ThrottleSettings(nodes.state).get()).toEqual({ ...DEFAULT_THROTTLE, movesInAll: 2 })
  })
})

describe('which operation moved copies of a table last', () => {
  it('is nothing at first', async () => {
    expect(await new RebalanceKeys(nodes.state).get('users')).toBeUndefined()
  })

  it('is written down for every table that it touches, and for no shard', async () => {
    const keys = new RebalanceKeys(nodes.state)
    const operation = operationOf({ group: 'drain-1', type: 'drain', state: 'running' })
    await keys.record(operation, new Set(['users', '', 'system.users_s0', 'orders']))
    await keys.record({ ...operation, state: 'paused' }, new Set(['orders']))
    const other = new RebalanceKeys(nodes.otherState())
    expect(await other.get('users')).toEqual({ operation: 'drain-1', status: 'running' })
    expect(await other.get('orders')).toEqual({ operation: 'drain-1', status: 'paused' })
    expect(await stored('rebalance:')).toBeUndefined()
    expect(await stored('rebalance:system.users_s0')).toBeUndefined()
  })

  it.each(OPERATION_TYPES)('goes by operations that move copies only: %s', async (type) => {
    const keys = new RebalanceKeys(nodes.state)
    await keys.record(operationOf({ group: 'g', type, state: 'queued' }), new Set(['users']))
    const moves = ['rebalance', 'replace', 'drain', 'revert'].includes(type)
    expect(await keys.get('users')).toEqual(moves ? { operation: 'g', status: 'queued' } : undefined)
  })

  it('is nothing again when it is forgotten, until the next one', async () => {
    const keys = new RebalanceKeys(nodes.state)
    const operation = operationOf({ group: 'g', type: 'rebalance', state: 'succeeded' })
    await keys.record(operation, new Set(['users', 'orders']))
    await keys.reset('users')
    expect(await keys.get('users')).toBeUndefined()
    expect(await keys.get('orders')).toEqual({ operation: 'g', status: 'succeeded' })
    await keys.reset('users')
    await keys.record(operation, new Set(['users']))
    expect(await keys.get('users')).toEqual({ operation: 'g', status: 'succeeded' })
  })

  it.each([{ operation: 7, status: 'x' }, { operation: 'g' }, {}])(
    'is nothing when it cannot be read: %j',
    async (value) => {
      await store('rebalance:users', value)
      expect(await new RebalanceKeys(nodes.state).get('users')).toBeUndefined()
    },
  )
})
