import { describe, expect, it } from 'vitest'
import { commandOf } from '../../test/support/engine-doubles.ts'
import type { CommandCounts, ProgressEvent } from '../engine/events.ts'
import { iterateProgress, ProgressHub } from './progress.ts'

/** Events that an iterator keeps for a slow reader. */
const MAX_BUFFERED = 10_000

const NO_COUNTS: CommandCounts = {
  created: 0,
  processing: 0,
  processed: 0,
  error: 0,
  failed: 0,
  rolling_back: 0,
  rollback_error: 0,
  rolled_back: 0,
  skipped: 0,
}

function operationEvent(group: string, state: 'running' | 'succeeded' = 'running'): ProgressEvent {
  return { kind: 'operation', group, type: 'create', table: 't', state, commands: 1, error: '' }
}

function commandEvent(group: string, id: number): ProgressEvent {
  return {
    kind: 'command',
    group,
    command: commandOf({ id }),
    statements: [],
    failure: '',
    commands: 1,
    counts: NO_COUNTS,
  }
}

function idOf(event: ProgressEvent): number | string {
  return event.kind === 'command' ? event.command.id : event.state
}

async function all(events: AsyncIterable<ProgressEvent>): Promise<ProgressEvent[]> {
  const found: ProgressEvent[] = []
  for await (const event of events) found.push(event)
  return found
}

describe('who listens', () => {
  it('hears every event until it stops listening', () => {
    const hub = new ProgressHub()
    const [one, other]: [ProgressEvent[], ProgressEvent[]] = [[], []]
    const stop = hub.subscribe((event) => one.push(event))
    hub.subscribe((event) => other.push(event))
    hub.emit(operationEvent('a'))
    stop()
    stop()
    hub.emit(operationEvent('b'))
    expect(one.map(({ group }) => group)).toEqual(['a'])
    expect(other.map(({ group }) => group)).toEqual(['a', 'b'])
  })

  it('may be many', () => {
    const hub = new ProgressHub()
    let heard = 0
    for (let listener = 0; listener < 100; listener++) hub.subscribe(() => heard++)
    hub.emit(operationEvent('a'))
    expect(heard).toBe(100)
  })
})

describe('progress as an iterator', () => {
  it('begins with the call, not with the first turn of the loop', async () => {
    const hub = new ProgressHub()
    const done = Promise.withResolvers<void>()
    const events = iterateProgress(hub, { until: done.promise })
    hub.emit(commandEvent('a', 1))
    hub.emit(commandEvent('a', 2))
    done.resolve()
    expect((await all(events)).map(idOf)).toEqual([1, 2])
  })

  it('gives each event as it comes', async () => {
    const hub = new ProgressHub()
    const events = iterateProgress(hub, {})
    for (const id of [1, 2, 3]) {
      const next = events.next()
      hub.emit(commandEvent('a', id))
      expect(await next).toMatchObject({ done: false, value: { command: { id } } })
    }
    await events.return?.()
  })

  it('is of one operation when it is asked for that', async () => {
    const hub = new ProgressHub()
    const done = Promise.withResolvers<void>()
    const events = iterateProgress(hub, { group: 'b', until: done.promise })
    for (const group of ['a', 'b', 'c', 'b']) hub.emit(operationEvent(group))
    done.resolve()
    expect((await all(events)).map(({ group }) => group)).toEqual(['b', 'b'])
  })

  it('hears nothing after its end', async () => {
    const hub = new ProgressHub()
    const events = iterateProgress(hub, { until: Promise.resolve() })
    hub.emit(commandEvent('a', 1))
    await Promise.resolve()
    await Promise.resolve()
    hub.emit(commandEvent('a', 2))
    expect((await all(events)).map(idOf)).toEqual([1])
  })

  it('throws why it ended out of the loop, behind the last event', async () => {
    const hub = new ProgressHub()
    const failed = Promise.withResolvers<void>()
    const events = iterateProgress(hub, { until: failed.promise })
    hub.emit(commandEvent('a', 1))
    const reason = new Error('why')
    failed.reject(reason)
    const found: ProgressEvent[] = []
    const loop = (async () => {
      for await (const event of events) found.push(event)
    })()
    await expect(loop).rejects.toBe(reason)
    expect(found.map(idOf)).toEqual([1])
  })

  it('ends by a signal, also by one that was given before', async () => {
    const hub = new ProgressHub()
    const abort = new AbortController()
    const events = all(iterateProgress(hub, { signal: abort.signal }))
    hub.emit(commandEvent('a', 1))
    abort.abort()
    hub.emit(commandEvent('a', 2))
    expect((await events).map(idOf)).toEqual([1])
    expect(await all(iterateProgress(hub, { signal: abort.signal }))).toEqual([])
  })

  it('ends while it waits for an event', async () => {
    const events = iterateProgress(new ProgressHub(), {})
    const waiting = events.next()
    await events.return?.()
    expect(await waiting).toMatchObject({ done: true })
  })

  it('listens no longer when it is left, begun or not', async () => {
    for (const turns of [0, 1]) {
      const hub = new ProgressHub()
      const events = iterateProgress(hub, { group: 'a' })
      hub.emit(operationEvent('a'))
      for (let turn = 0; turn < turns; turn++) await events.next()
      await events.return?.()
      let looked = 0
      const event = {
        ...operationEvent('a'),
        get group() {
          looked++
          return 'a'
        },
      }
      hub.emit(event)
      expect(looked).toBe(0)
      expect(await events.next()).toMatchObject({ done: true })
    }
  })

  it('drops the oldest events of commands for a reader that is too slow, and no event of an operation', async () => {
    const hub = new ProgressHub()
    const done = Promise.withResolvers<void>()
    const events = iterateProgress(hub, { until: done.promise })
    hub.emit(operationEvent('a', 'running'))
    for (let id = 1; id <= MAX_BUFFERED + 5; id++) hub.emit(commandEvent('a', id))
    hub.emit(operationEvent('a', 'succeeded'))
    done.resolve()
    const found = (await all(events)).map(idOf)
    expect(found).toHaveLength(MAX_BUFFERED)
    expect([found[0], found[1], found.at(-1)]).toEqual(['running', 8, 'succeeded'])
  })
})
