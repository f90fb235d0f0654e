import * as fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { commandOf, fenceOf, operationOf } from '../../test/support/engine-doubles.ts'
import { JournalNodes, LOSSES } from '../../test/support/journal-nodes.ts'
import { COMMAND_OUTCOMES, COMMAND_STATUSES, type Command, type CommandStatus } from '../domain/command.ts'
import { OPERATION_STATES, type Operation } from '../domain/operation.ts'
import { OPERATION_TABLE, QUEUE_TABLE } from '../domain/system-tables.ts'
import type { CommandChange, Journal } from './journal.ts'

const SEED = 20_251_124

let nodes: JournalNodes
let lastId = 0

beforeAll(async () => {
  nodes = await JournalNodes.start(2)
})
afterEach(() => nodes.embedded.faults.clear())
afterAll(async () => {
  await nodes.close()
})

/** An operation of this test alone, with as many commands. */
function operationWith(
  count: number,
  given: { readonly operation?: Partial<Operation>; readonly command?: Partial<Command> } = {},
): { operation: Operation; commands: Command[] } {
  const id = ++lastId
  const group = `create-t${id}`
  const commands = Array.from({ length: count }, () =>
    commandOf({ id: ++lastId, operationGroup: group, ...given.command }),
  )
  return { operation: operationOf({ id, group, ...given.operation }), commands }
}

async function store(journal: Journal, operation: Operation, commands: readonly Command[]): Promise<void> {
  await journal.addCommands(commands)
  await journal.addOperation(operation)
}

async function stored(...given: Parameters<typeof operationWith>) {
  const { operation, commands } = operationWith(...given)
  await store(nodes.journal, operation, commands)
  return { group: operation.group, operation, commands, ids: commands.map(({ id }) => id) }
}

function started(id: number): CommandChange {
  return {
    id,
    from: 'created',
    to: 'processing',
    tries: 1,
    outcome: '',
    lastError: '',
    duration: 0,
  }
}

const statusesOf = async (group: string) =>
  (await nodes.otherJournal().commands(group)).map(({ status }) => status)

describe('rows of the journal', () => {
  /** Whatever people, daemons and file names may bring. */
  const anyText = fc.oneof(
    fc
      .string({ unit: 'binary', maxLength: 40 })
      .filter((text) => !text.includes('\0') && text.isWellFormed()),
    fc.constantFrom(
      "it's",
      'a\\b',
      "'); DROP TABLE x; --",
      'zwei\nZeilen\ttab\r\n',
      '"',
      '%',
      'né 東京 🦊',
      '—',
    ),
  )
  const anyTime = fc.integer({ min: 0, max: 4_000_000_000_000 })
  const anyIds = fc.uniqueArray(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), { maxLength: 5 })

  it('give back every command as it was stored', async () => {
    const anyCommand = fc.record({
      query: anyText,
      rollbackQuery: anyText,
      lastError: anyText,
      waitFor: anyIds.map((ids) => ids.toSorted((a, b) => a - b)),
      rollbackWaitFor: anyIds.map((ids) => ids.toSorted((a, b) => a - b)),
      tries: fc.nat(1_000),
      status: fc.constantFrom(...COMMAND_STATUSES),
      outcome: fc.constantFrom(...COMMAND_OUTCOMES),
      createdAt: anyTime,
      updatedAt: anyTime,
      duration: fc.nat(2_147_483_647),
      phase: fc.constantFrom('before_pivot' as const, 'after_pivot' as const),
      onExisting: fc.constantFrom('accept' as const, 'fail' as const),
      existedBefore: fc.boolean(),
      savepoint: fc.nat(3_000),
      copyBytes: fc.nat(Number.MAX_SAFE_INTEGER),
      epoch: fc.nat(1_000_000),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(anyCommand, { minLength: 1, maxLength: 20 }), async (givens) => {
        const { operation, commands } = operationWith(givens.length)
        const wanted = commands.map((command, index) => ({ ...command, ...givens[index] }))
        await nodes.journal.addCommands(wanted)
        expect(await nodes.journal.commands(operation.group)).toEqual(wanted)
      }),
      { seed: SEED, numRuns: 60 },
    )
  })

  it('give back every operation as it was stored', async () => {
    const anyOperation = fc.record({
      table: anyText,
      state: fc.constantFrom(...OPERATION_STATES),
      hasPivot: fc.boolean(),
      requestedBy: anyText,
      error: anyText,
      summary: anyText,
      createdAt: anyTime,
      endedAt: anyTime,
      deadlineAt: anyTime,
      holdUntil: anyTime,
      keepFinished: fc.boolean(),
      keepTo: fc.nat(3_000),
    })
    await fc.assert(
      fc.asyncProperty(anyOperation, async (given) => {
        const { operation } = operationWith(0, { operation: given })
        await nodes.journal.addOperation(operation)
        expect(await nodes.journal.operation(operation.group)).toEqual(operation)
      }),
      { seed: SEED, numRuns: 60 },
    )
  })

  it('keep the beginning of an error that is too long', async () => {
    const { commands, group } = await stored(1, { command: { lastError: 'x'.repeat(5_000) } })
    const [command] = await nodes.journal.commands(group)
    expect(command?.lastError).toBe(`${'x'.repeat(999)}…`)
    expect(await nodes.journal.command(commands[0]?.id ?? 0)).toEqual(command)
  })

  it('of an older version have only the single columns to wait for', async () => {
    const { group, ids } = await stored(1, { command: { waitFor: [7], rollbackWaitFor: [8] } })
    await nodes.sql(`UPDATE c:${QUEUE_TABLE} SET waits=(), rollback_waits=() WHERE id=${ids[0]}`)
    expect(await nodes.journal.commands(group)).toMatchObject([{ waitFor: [7], rollbackWaitFor: [8] }])
  })

  it('that this version cannot read are not guessed', async () => {
    const { group, ids } = await stored(1)
    await nodes.sql(`UPDATE c:${QUEUE_TABLE} SET status='levitating' WHERE id=${ids[0]}`)
    await expect(nodes.journal.commands(group)).rejects.toThrow(
      `row ${ids[0]} has "levitating" in column 'status'`,
    )
  })

  it('beyond one page come back complete, in the order they were added', async () => {
    const { group, ids } = await stored(2_001)
    expect((await nodes.journal.commands(group)).map(({ id }) => id)).toEqual(ids)
  })

  it('of long commands are split into several statements', async () => {
    const counted = nodes.suffer('insert', QUEUE_TABLE, { kind: 'delay', ms: 0, before: true }, 100)
    const query = `CREATE TABLE a (${'c int, '.repeat(40_000)}d int)`
    const { group, ids } = await stored(9, { command: { query } })
    expect(counted.hits).toBeGreaterThan(1)
    expect(counted.hits).toBeLessThan(9)
    expect((await nodes.journal.commands(group)).map(({ id }) => id)).toEqual(ids)
  })
})

describe('storing an operation', () => {
  for (const table of [QUEUE_TABLE, OPERATION_TABLE]) {
    for (const loss of LOSSES) {
      it(`stores it once when ${table} is written and ${loss.kind} happens`, async () => {
        const fault = nodes.suffer('insert', table, loss)
        const { operation, commands, group } = await stored(3)
        expect(fault.hits).toBe(1)
        expect(await nodes.journal.commands(group)).toEqual(commands)
        expect(await nodes.journal.operation(group)).toEqual(operation)
      })
    }
  }

  it('is none without a row of its own: its commands are purged', async () => {
    const { operation, commands } = operationWith(2, { command: { epoch: 4 } })
    nodes.suffer('insert', OPERATION_TABLE, { kind: 'error_before', message: 'unknown column: n' })
    await expect(store(nodes.journal, operation, commands)).rejects.toMatchObject({ name: 'NodeError' })
    expect(await nodes.journal.operation(operation.group)).toBeUndefined()
    expect(await nodes.journal.uncommittedGroups(5)).toContain(operation.group)
    await nodes.journal.deleteCommands(operation.group)
    expect(await nodes.journal.commands(operation.group)).toEqual([])
    expect(await nodes.journal.uncommittedGroups(5)).not.toContain(operation.group)
  })

  it('is planned by one coordinator only: the one that has taken it last', async () => {
    const { operation, commands } = operationWith(1)
    const asked = { ...operation, state: 'planned', group: 'planned-1', epoch: 0 } as const
    await nodes.journal.addOperation(asked)
    expect(await nodes.journal.claim(operation.id, 3)).toBe(true)
    expect(await nodes.otherJournal().claim(operation.id, 4)).toBe(true)
    expect(await nodes.journal.claim(operation.id, 3)).toBe(false)
    await nodes.journal.addCommands(commands)
    await expect(nodes.journal.queue(operation, fenceOf(3))).rejects.toMatchObject({
      code: 'leadership_lost',
    })
    await nodes.otherJournal().queue(operation, fenceOf(4))
    expect(await nodes.journal.operation(operation.group)).toEqual({
      ...operation,
      epoch: 4,
      updatedAt: expect.any(Number),
    })
    expect(await nodes.journal.claim(operation.id, 5)).toBe(false)
  })

  it('is not queued by a process that has stood still beyond its lease', async () => {
    const { operation } = operationWith(0)
    await nodes.journal.addOperation({ ...operation, state: 'planned' })
    const lost = AbortSignal.abort(new Error('the lease is over'))
    await expect(nodes.journal.queue(operation, fenceOf(1, lost))).rejects.toThrow('the lease is over')
    expect(await nodes.journal.operationById(operation.id)).toMatchObject({ state: 'planned' })
  })

  it('is refused with the reason, once', async () => {
    const { operation } = operationWith(0)
    await nodes.journal.addOperation({ ...operation, state: 'planned' })
    const why = { error: 'rf is too high', refusal: 'invalid_input rf' }
    await nodes.journal.refuse(operation.id, why, 1)
    await nodes.journal.refuse(operation.id, why, 1)
    expect(await nodes.journal.operationById(operation.id)).toMatchObject({ state: 'refused', ...why })
    await expect(nodes.journal.queue(operation, fenceOf(1))).rejects.toMatchObject({
      code: 'illegal_transition',
    })
  })

  for (const loss of LOSSES) {
    it(`is taken and queued once when ${loss.kind} happens`, async () => {
      const { operation } = operationWith(0)
      await nodes.journal.addOperation({ ...operation, state: 'planned' })
      const faults = nodes.suffer('update', OPERATION_TABLE, loss, 2)
      expect(await nodes.journal.claim(operation.id, 1)).toBe(true)
      await nodes.journal.queue(operation, fenceOf(1))
      expect(faults.hits).toBe(2)
      expect(await nodes.journal.operation(operation.group)).toMatchObject({ state: 'queued' })
    })
  }

  it('of an id that somebody else has is refused', async () => {
    const { commands } = await stored(1)
    const [command] = commands
    await expect(
      nodes.journal.addCommands([commandOf({ ...command, operationGroup: 'other' })]),
    ).rejects.toMatchObject({ code: 'duplicate' })
  })

  it('that is committed, that is of our own epoch, or whose commands were added one by one is not purged', async () => {
    const committed = await stored(1, { command: { epoch: 3 } })
    const { operation: own, commands: ours } = operationWith(1, { command: { epoch: 5 } })
    const { operation: custom, commands: single } = operationWith(1, { command: { epoch: 0 } })
    await nodes.journal.addCommands([...ours, ...single])
    const found = await nodes.journal.uncommittedGroups(5)
    expect(found).not.toContain(committed.group)
    expect(found).not.toContain(own.group)
    expect(found).not.toContain(custom.group)
  })
})

describe('changing commands', () => {
  for (const loss of LOSSES) {
    it(`changes all of them once when ${loss.kind} happens`, async () => {
      const { group, ids } = await stored(5)
      const fault = nodes.suffer('update', QUEUE_TABLE, loss)
      await nodes.journal.changeCommands(ids.map(started), 1)
      expect(fault.hits).toBe(1)
      const changed = await nodes.otherJournal().commands(group)
      expect(changed.map(({ status, tries }) => ({ status, tries }))).toEqual(
        ids.map(() => ({ status: 'processing', tries: 1 })),
      )
    })

    it(`of an old epoch changes nothing, also when ${loss.kind} happens`, async () => {
      const { group, ids } = await stored(2)
      await nodes.journal.adopt(group, 2)
      nodes.suffer('update', QUEUE_TABLE, loss)
      await expect(nodes.journal.changeCommands(ids.map(started), 1)).rejects.toMatchObject({
        code: 'leadership_lost',
      })
      expect(await statusesOf(group)).toEqual(['created', 'created'])
    })
  }

  it('that change alike takes one statement for five hundred', async () => {
    const { group, ids } = await stored(1_201)
    const counted = nodes.suffer('update', QUEUE_TABLE, { kind: 'delay', ms: 0, before: true }, 100)
    await nodes.journal.changeCommands(ids.map(started), 1)
    expect(counted.hits).toBe(3)
    expect(new Set(await statusesOf(group))).toEqual(new Set(['processing']))
  })

  it('that change differently keeps each its own', async () => {
    const { group, ids } = await stored(3)
    const changes = ids.map((id, index) => ({ ...started(id), lastError: `error ${index}` }))
    await nodes.journal.changeCommands(changes, 1)
    expect((await nodes.journal.commands(group)).map(({ lastError }) => lastError)).toEqual([
      'error 0',
      'error 1',
      'error 2',
    ])
  })

  it('announces last, and nothing when an end before it could not be written', async () => {
    const { group, ids } = await stored(3)
    const [first = 0, second = 0, third = 0] = ids
    const ended = (id: number) => ({ ...started(id), from: 'processing', to: 'processed' }) as const
    await nodes.journal.changeCommands([started(first)], 1)
    await nodes.journal.changeCommands([started(second), ended(first)], 1)
    expect(await statusesOf(group)).toEqual(['processed', 'processing', 'created'])
    const wrong = { ...ended(first), to: 'failed' } as const
    const refused = nodes.journal.changeCommands([started(third), wrong, ended(second)], 1)
    await expect(refused).rejects.toMatchObject({ code: 'illegal_transition' })
    expect((await statusesOf(group))[2]).toBe('created')
  })

  it('that are not what we take them for is refused', async () => {
    const { group, ids } = await stored(2)
    await nodes.sql(`UPDATE c:${QUEUE_TABLE} SET status='skipped' WHERE id=${ids[1]}`)
    await expect(nodes.journal.changeCommands(ids.map(started), 1)).rejects.toMatchObject({
      code: 'illegal_transition',
    })
    expect(await statusesOf(group)).toEqual(['processing', 'skipped'])
  })

  it('that are not there any more is refused', async () => {
    const { group, ids } = await stored(1)
    await nodes.journal.deleteCommands(group)
    await expect(nodes.journal.changeCommands(ids.map(started), 1)).rejects.toMatchObject({
      code: 'illegal_transition',
    })
  })

  it('is not begun once the lease is lost', async () => {
    const { group, ids } = await stored(1)
    const lost = AbortSignal.abort(new Error('the lease is lost'))
    await expect(nodes.journal.changeCommands(ids.map(started), 1, lost)).rejects.toThrow('the lease is lost')
    expect(await statusesOf(group)).toEqual(['created'])
  })

  it('notes that a later command waits', async () => {
    const { group, ids } = await stored(1)
    await nodes.journal.addRollbackWait(ids[0] ?? 0, [41, 42])
    expect(await nodes.journal.commands(group)).toMatchObject([{ rollbackWaitFor: [41, 42] }])
  })
})

describe('changing an operation', () => {
  for (const loss of LOSSES) {
    it(`succeeds once when ${loss.kind} happens`, async () => {
      const { group } = await stored(0, { operation: { state: 'running' } })
      nodes.suffer('update', OPERATION_TABLE, loss)
      const values = { error: 'it was full', endedAt: 77, keepTo: 3 }
      expect(await nodes.journal.changeOperation(group, 'running', 'reverting', values, 1)).toBe(true)
      expect(await nodes.otherJournal().operation(group)).toMatchObject({
        state: 'reverting',
        error: 'it was full',
        endedAt: 77,
        keepTo: 3,
      })
    })

    it(`of an old epoch changes nothing, also when ${loss.kind} happens`, async () => {
      const { group } = await stored(0, { operation: { state: 'running' } })
      await nodes.journal.adopt(group, 2)
      nodes.suffer('update', OPERATION_TABLE, loss)
      await expect(nodes.journal.changeOperation(group, 'running', 'succeeded', {}, 1)).rejects.toMatchObject(
        { code: 'leadership_lost' },
      )
      expect(await nodes.journal.operation(group)).toMatchObject({ state: 'running', epoch: 2 })
    })

    it(`on request succeeds once when ${loss.kind} happens`, async () => {
      const { group } = await stored(0, { operation: { state: 'running' } })
      nodes.suffer('update', OPERATION_TABLE, loss)
      expect(await nodes.journal.requestState(group, 'running', 'pause_requested', {})).toBe(true)
      expect(await nodes.journal.operation(group)).toMatchObject({ state: 'pause_requested' })
    })
  }

  it('yields to what somebody has asked for meanwhile', async () => {
    const { group } = await stored(0, { operation: { state: 'running' } })
    expect(await nodes.otherJournal().requestState(group, 'running', 'stopping', { error: 'enough' })).toBe(
      true,
    )
    expect(await nodes.journal.changeOperation(group, 'running', 'succeeded', {}, 1)).toBe(false)
    expect(await nodes.journal.operation(group)).toMatchObject({ state: 'stopping', error: 'enough' })
  })

  it('on request is granted to one of two that want different things', async () => {
    const { group } = await stored(0, { operation: { state: 'running' } })
    const granted = await Promise.all([
      nodes.journal.requestState(group, 'running', 'pause_requested', {}),
      nodes.otherJournal().requestState(group, 'running', 'stopping', {}),
    ])
    expect(granted.filter(Boolean)).toHaveLength(1)
    const state = granted[0] ? 'pause_requested' : 'stopping'
    expect(await nodes.journal.operation(group)).toMatchObject({ state })
  })

  it('that is not there is refused', async () => {
    await expect(
      nodes.journal.changeOperation('nobody', 'running', 'succeeded', {}, 1),
    ).rejects.toMatchObject({ code: 'illegal_transition' })
  })

  it('is not needed to find it by its state', async () => {
    const { group } = await stored(0, { operation: { state: 'held' } })
    const found = async (...states: Operation['state'][]) =>
      (await nodes.journal.operations(states)).map((operation) => operation.group)
    expect(await found('held', 'paused')).toContain(group)
    expect(await found('paused')).not.toContain(group)
  })
})

describe('taking over an operation', () => {
  it('raises the epoch of all its rows, and never lowers it', async () => {
    const { group, ids } = await stored(2)
    await nodes.journal.adopt(group, 7)
    await nodes.journal.adopt(group, 6)
    const commands = await nodes.journal.commands(group)
    expect(commands.map(({ epoch }) => epoch)).toEqual([7, 7])
    expect(await nodes.journal.operation(group)).toMatchObject({ epoch: 7 })
    await nodes.journal.changeCommands(ids.map(started), 7)
    expect(await statusesOf(group)).toEqual(['processing', 'processing'])
  })

  it('leaves other operations alone', async () => {
    const [one, other] = [await stored(1), await stored(1)]
    await nodes.journal.adopt(one.group, 9)
    expect(await nodes.journal.operation(other.group)).toMatchObject({ epoch: 1 })
    expect(await nodes.journal.commands(other.group)).toMatchObject([{ epoch: 1 }])
  })
})

describe('when the node that the journal is written on dies', () => {
  it('the next one is asked, and nothing is lost or done twice', async () => {
    const own = await JournalNodes.start(3)
    try {
      const { operation, commands } = operationWith(3)
      await store(own.journal, operation, commands)
      own.suffer('update', QUEUE_TABLE, { kind: 'crash_after' })
      await own.journal.changeCommands(
        commands.map(({ id }) => started(id)),
        1,
      )
      expect(own.embedded.nodes.filter(({ running }) => running)).toHaveLength(2)
      const found = await own.otherJournal().commands(operation.group)
      expect(found.map(({ status, tries }) => [status, tries])).toEqual(commands.map(() => ['processing', 1]))
    } finally {
      await own.close()
    }
  })
})

describe('what has not ended', () => {
  it('is counted by status and state, with the time of the oldest', async () => {
    const before = await nodes.journal.backlog()
    await stored(2, { operation: { state: 'running', createdAt: 7 }, command: { status: 'created' } })
    await stored(1, { operation: { state: 'running', createdAt: 5 }, command: { status: 'rollback_error' } })
    await stored(3, { operation: { state: 'succeeded' }, command: { status: 'processed' } })
    const after = await nodes.otherJournal().backlog()
    const more = (status: CommandStatus) =>
      (after.commands.get(status) ?? 0) - (before.commands.get(status) ?? 0)
    expect([more('created'), more('rollback_error'), more('processing')]).toEqual([2, 1, 0])
    expect(after.commands.has('processed')).toBe(false)
    const running = (before.operations.get('running')?.count ?? 0) + 2
    expect(after.operations.get('running')).toMatchObject({ count: running })
    expect(after.operations.get('running')?.oldestAt).toBeLessThanOrEqual(5)
    expect(after.operations.has('succeeded')).toBe(false)
  })
})
