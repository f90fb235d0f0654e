import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Member, openMember } from '../../test/support/member.ts'
import { startNodes, type TestNodes } from '../../test/support/nodes.ts'
import type { Command } from '../domain/command.ts'
import type { ProgressEvent } from '../engine/events.ts'
import { Queue } from './queue.ts'

let nodes: TestNodes
let member: Member
let node: string
let queue: Queue
let groups = 0
let group: string

beforeAll(async () => {
  nodes = await startNodes(2, 'c')
  member = openMember(nodes.ids)
  node = nodes.ids[0] ?? ''
})
afterAll(async () => {
  await member.close()
  await nodes.close()
})
beforeEach(() => {
  queue = new Queue(member.cluster, member.client)
  group = `g${++groups}`
})

/** Adds a command that makes a table of the group, and gives its id. */
async function add(name: string, on = node): Promise<number> {
  const table = `${group}_${name}`
  return await queue.add(on, `CREATE TABLE ${table} (n int)`, `DROP TABLE IF EXISTS ${table}`, group)
}

async function stored(id: number): Promise<Command> {
  const command = await queue.getById(id)
  if (command === undefined) throw new Error(`there is no command ${id}`)
  return command
}

async function tables(on = node): Promise<string[]> {
  const names = await member.client.parts.catalog.tables(on)
  return [...names.keys()].filter((name) => name.startsWith(`${group}_`)).toSorted()
}

describe('adding a command', () => {
  it('stores it with its rollback, and sends nothing', async () => {
    const id = await add('a')
    expect(await stored(id)).toMatchObject({
      id,
      node,
      operationGroup: group,
      query: `CREATE TABLE ${group}_a (n int)`,
      rollbackQuery: `DROP TABLE IF EXISTS ${group}_a`,
      status: 'created',
      tries: 0,
      waitFor: [],
      rollbackWaitFor: [],
      existedBefore: false,
      phase: 'before_pivot',
    })
    expect(await tables()).toEqual([])
    expect(await queue.getById(id + 1)).toBeUndefined()
  })

  it('gives ids in the order of the calls', async () => {
    const ids = [await add('a'), await add('b'), await add('c')]
    expect(ids).toEqual(ids.toSorted((one, other) => one - other))
    expect(new Set(ids).size).toBe(3)
  })

  it.each(['', '  ', '\n', 'x'.repeat(129)])('to the group %j is refused', async (name) => {
    await expect(
      queue.add(node, 'CREATE TABLE t (n int)', 'DROP TABLE IF EXISTS t', name),
    ).rejects.toMatchObject({ name: 'InputError', field: 'group' })
  })

  it('to a group that was processed is refused', async () => {
    await add('a')
    await queue.process(group)
    await expect(add('b')).rejects.toMatchObject({
      field: 'group',
      message: expect.stringContaining("is 'succeeded'"),
    })
    expect(await member.cluster.journal.commands(group)).toHaveLength(1)
  })
})

describe('a command that waits for another', () => {
  it('waits on the way there, and the other one on the way back', async () => {
    const first = await add('a')
    queue.setWaitForId(first)
    const [second, third] = [await add('b'), await add('c')]
    queue.resetWaitForId()
    const fourth = await add('d')
    expect((await stored(second)).waitFor).toEqual([first])
    expect((await stored(third)).waitFor).toEqual([first])
    expect((await stored(fourth)).waitFor).toEqual([])
    expect((await stored(first)).rollbackWaitFor).toEqual([second, third])
    expect((await stored(second)).rollbackWaitFor).toEqual([])
  })

  it('can be set while the queue is used as a chain', async () => {
    const first = await add('a')
    expect(queue.setWaitForId(first)).toBe(queue)
    expect(queue.resetWaitForId()).toBe(queue)
  })

  it('that is of another group, or is not there, is refused', async () => {
    const first = await add('a')
    group = `g${++groups}`
    for (const id of [first, 12_345]) {
      queue.setWaitForId(id)
      await expect(add('b')).rejects.toMatchObject({ name: 'InputError', field: 'waitForId' })
    }
    queue.resetWaitForId()
    expect(await member.cluster.journal.commands(group)).toEqual([])
  })
})

describe('processing a group', () => {
  it('runs all of it, each command on its node', async () => {
    const other = nodes.ids[1] ?? ''
    const first = await add('a')
    queue.setWaitForId(first)
    await add('b', other)
    expect(await queue.process(group)).toMatchObject({
      group,
      type: 'custom',
      state: 'succeeded',
      commands: 2,
    })
    expect([await tables(), await tables(other)]).toEqual([[`${group}_a`], [`${group}_b`]])
  })

  it('again tells how it ended, and does nothing', async () => {
    const id = await add('a')
    const summary = await queue.process(group)
    expect(await queue.process(group)).toEqual(summary)
    expect((await stored(id)).tries).toBe(1)
  })

  it('undoes what was done when one fails', async () => {
    const first = await add('a')
    queue.setWaitForId(first)
    const second = await add('b')
    // Somebody else makes it, with other columns, after it was added.
    await member.client.connection(node).execute(`CREATE TABLE ${group}_b (title text)`)
    await expect(queue.process(group)).rejects.toMatchObject({
      code: 'operation_failed',
      failed: { id: second, node },
      summary: { state: 'rolled_back', rolledBack: 1 },
    })
    expect(await tables()).toEqual([`${group}_b`])
    await expect(queue.process(group)).rejects.toMatchObject({ code: 'operation_failed' })
  })

  it('that nobody has added to is refused', async () => {
    await expect(queue.process(group)).rejects.toMatchObject({
      code: 'operation_missing',
      message: expect.stringContaining(`'${group}'`),
    })
  })

  it('that was empty can be added to and processed later', async () => {
    await expect(queue.process(group)).rejects.toMatchObject({ code: 'operation_missing' })
    await add('a')
    expect(await queue.process(group)).toMatchObject({ state: 'succeeded' })
    expect(await tables()).toEqual([`${group}_a`])
  })
})

describe('undoing a group', () => {
  it('tells what it would run, last first, and then runs it', async () => {
    const first = await add('a')
    queue.setWaitForId(first)
    const second = await add('b')
    expect(await queue.getRollbackCommands(group)).toEqual([])
    await queue.process(group)
    expect((await queue.getRollbackCommands(group)).map(({ id }) => id)).toEqual([second, first])
    expect(await queue.rollbackOperationGroup(group)).toMatchObject({ state: 'rolled_back', rolledBack: 2 })
    expect(await tables()).toEqual([])
    expect(await queue.getRollbackCommands(group)).toEqual([])
  })

  it('twice is once', async () => {
    await add('a')
    await queue.process(group)
    const summary = await queue.rollbackOperationGroup(group)
    expect(await queue.rollbackOperationGroup(group)).toEqual(summary)
  })

  it('that is not there is refused', async () => {
    await expect(queue.rollbackOperationGroup(group)).rejects.toMatchObject({ code: 'operation_missing' })
    await add('a')
    await expect(queue.rollbackOperationGroup(group)).rejects.toMatchObject({ code: 'operation_missing' })
  })
})

describe('progress', () => {
  it('is told to each listener once, until it is taken away', async () => {
    const events: ProgressEvent[] = []
    const listener = (event: ProgressEvent) => events.push(event)
    queue.on('progress', listener).on('progress', listener)
    await add('a')
    await queue.process(group)
    const states = events.flatMap((event) => (event.kind === 'operation' ? [event.state] : []))
    expect(states).toEqual([...new Set(states)])
    expect(states.at(-1)).toBe('succeeded')
    const statuses = events.flatMap((event) => (event.kind === 'command' ? [event.command.status] : []))
    expect(statuses).toEqual(['processing', 'processed'])
    queue.off('progress', listener).off('progress', listener)
    const heard = events.length
    await queue.rollbackOperationGroup(group)
    expect(events).toHaveLength(heard)
  })

  it('is iterated over until what it is for has ended', async () => {
    await add('a')
    const kinds: string[] = []
    for await (const event of queue.progress({ group, until: queue.process(group) })) {
      kinds.push(event.kind === 'operation' ? event.state : event.command.status)
    }
    expect(kinds).toEqual(expect.arrayContaining(['running', 'processing', 'processed', 'succeeded']))
    expect(kinds.at(-1)).toBe('succeeded')
  })
})
