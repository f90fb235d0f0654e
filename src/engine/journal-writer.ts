import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Fence } from '../domain/ports.ts'
import type { CommandChange, Journal } from './journal.ts'

interface Pending {
  readonly change: CommandChange
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
}

/**
 * Writes changes of commands in groups: while one group is being written, the next one gathers. A replicated
 * write costs as much for five hundred commands as for one, so this makes the journal cheap without ever
 * acting before the write.
 */
export class JournalWriter {
  readonly #journal: Journal
  readonly #fence: Fence
  #pending: Pending[] = []
  #writing = false

  constructor(journal: Journal, fence: Fence) {
    this.#journal = journal
    this.#fence = fence
  }

  /** Resolves when the change is in the journal. */
  async write(change: CommandChange): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#pending.push({ change, resolve, reject })
    if (!this.#writing) void this.#writeAll()
    await promise
  }

  /** Never rejects: every failure goes to the callers of the changes that were in that group. */
  async #writeAll(): Promise<void> {
    this.#writing = true
    // Whatever is asked for in the same turn of the event loop goes into the first group: what a command's end
    // sets free is announced together with that end.
    await nextTurn()
    while (this.#pending.length > 0) {
      const group = this.#takeGroup()
      try {
        await this.#journal.changeCommands(
          group.map(({ change }) => change),
          this.#fence.epoch,
          this.#fence.lost,
        )
        for (const { resolve } of group) resolve()
      } catch (error) {
        for (const { reject } of group) reject(error)
      }
    }
    this.#writing = false
  }

  /** A command's second change waits for the next group: its first one must stand before it. */
  #takeGroup(): Pending[] {
    const ids = new Set<number>()
    const group: Pending[] = []
    const rest: Pending[] = []
    for (const pending of this.#pending) {
      if (ids.has(pending.change.id)) {
        rest.push(pending)
      } else {
        ids.add(pending.change.id)
        group.push(pending)
      }
    }
    this.#pending = rest
    return group
  }
}
