import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import {
  fenceOf,
  fixedRandom,
  JumpingClock,
  NODE,
  ScriptedConnector,
} from '../../test/support/engine-doubles.ts'
import { type CommandChange, Journal } from './journal.ts'
import { JournalConnection } from './journal-connection.ts'
import { JournalWriter } from './journal-writer.ts'

interface Write {
  readonly changes: readonly CommandChange[]
  readonly epoch: number
  readonly signal: AbortSignal | undefined
  readonly end: PromiseWithResolvers<void>
}

/** Every write waits until the test lets it end. */
class HandJournal extends Journal {
  readonly writes: Write[] = []

  constructor() {
    const clock = new JumpingClock()
    super(new JournalConnection(new ScriptedConnector(), () => [NODE], clock, fixedRandom()), null, clock)
  }

  override async changeCommands(
    changes: readonly CommandChange[],
    epoch: number,
    signal?: AbortSignal,
  ): Promise<void> {
    const end = Promise.withResolvers<void>()
    this.writes.push({ changes, epoch, signal, end })
    await end.promise
  }

  /** Ids of each write, in order. */
  get ids(): number[][] {
    return this.writes.map(({ changes }) => changes.map(({ id }) => id))
  }

  async ends(write: number, error?: Error): Promise<void> {
    const end = this.writes[write]?.end
    if (error === undefined) end?.resolve()
    else end?.reject(error)
    await nextTurn()
  }
}

function change(id: number, to: CommandChange['to'] = 'processing'): CommandChange {
  return { id, from: 'created', to, tries: 1, outcome: '', lastError: '', duration: 0 }
}

function opened() {
  const journal = new HandJournal()
  const lost = new AbortController()
  const writer = new JournalWriter(journal, fenceOf(7, lost.signal))
  const told: string[] = []
  const write = (id: number, to?: CommandChange['to']): void => {
    writer.write(change(id, to)).then(
      () => told.push(`${id} written`),
      (reason: unknown) => told.push(`${id} ${reason instanceof Error ? reason.message : ''}`),
    )
  }
  return { journal, lost, write, told }
}

describe('the writer of the journal', () => {
  it('writes in one group what is asked for in one turn', async () => {
    const { journal, write, told } = opened()
    for (const id of [1, 2, 3]) write(id)
    await nextTurn()
    expect(journal.ids).toEqual([[1, 2, 3]])
    expect(told).toEqual([])
    await journal.ends(0)
    expect(told).toEqual(['1 written', '2 written', '3 written'])
  })

  it('gathers the next group while one is being written', async () => {
    const { journal, write, told } = opened()
    write(1)
    await nextTurn()
    write(2)
    await nextTurn()
    write(3)
    await nextTurn()
    expect(journal.ids).toEqual([[1]])
    await journal.ends(0)
    expect(journal.ids).toEqual([[1], [2, 3]])
    expect(told).toEqual(['1 written'])
    await journal.ends(1)
    expect(told).toEqual(['1 written', '2 written', '3 written'])
  })

  it('begins again after it had nothing to do', async () => {
    const { journal, write, told } = opened()
    write(1)
    await nextTurn()
    await journal.ends(0)
    write(2)
    await nextTurn()
    await journal.ends(1)
    expect(journal.ids).toEqual([[1], [2]])
    expect(told).toEqual(['1 written', '2 written'])
  })

  it('writes the changes of one command one after the other, in the order they were asked for', async () => {
    const { journal, write } = opened()
    write(1, 'processing')
    write(2)
    write(1, 'processed')
    write(1, 'rolling_back')
    write(3)
    for (const group of [0, 1, 2]) {
      await nextTurn()
      await journal.ends(group)
    }
    expect(journal.ids).toEqual([[1, 2, 3], [1], [1]])
    const ofOne = journal.writes.flatMap(({ changes }) => changes).filter(({ id }) => id === 1)
    expect(ofOne.map(({ to }) => to)).toEqual(['processing', 'processed', 'rolling_back'])
  })

  it('tells those, and only those, whose group could not be written', async () => {
    const { journal, write, told } = opened()
    write(1)
    write(2)
    await nextTurn()
    write(3)
    await journal.ends(0, new Error('the lease is lost'))
    await journal.ends(1)
    expect(told).toEqual(['1 the lease is lost', '2 the lease is lost', '3 written'])
  })

  it('writes as the coordinator that it belongs to, and no longer than that leads', async () => {
    const { journal, lost, write } = opened()
    write(1)
    await nextTurn()
    expect(journal.writes[0]).toMatchObject({ epoch: 7, signal: lost.signal })
    await journal.ends(0)
  })
})
