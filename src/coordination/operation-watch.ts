import type { Operation } from '../domain/operation.ts'
import type { Clock } from '../domain/ports.ts'
import type { Journal } from '../engine/journal.ts'
import { ShardingError } from '../domain/errors.ts'

/** How often the journal is looked at for operations that somebody waits for, in milliseconds. */
const POLL_MS = 50
/** Operations looked at in one statement. */
const MAX_IDS = 500

interface Waiter {
  readonly id: number
  readonly reached: (operation: Operation) => boolean
  readonly resolve: (operation: Operation) => void
  readonly reject: (reason: unknown) => void
}

/** Waits for operations that other processes may be running: one look at the journal for all who wait. */
export class OperationWatch {
  readonly #journal: Journal
  readonly #clock: Clock
  readonly #waiters = new Set<Waiter>()
  #watching = false

  constructor(journal: Journal, clock: Clock) {
    this.#journal = journal
    this.#clock = clock
  }

  /**
   * Resolves with the operation as soon as it is as wanted.
   *
   * @param id row id
   * @throws ShardingError `operation_missing`, or what the journal fails with
   */
  async until(id: number, reached: (operation: Operation) => boolean): Promise<Operation> {
    const { promise, resolve, reject } = Promise.withResolvers<Operation>()
    const waiter = { id, reached, resolve, reject }
    this.#waiters.add(waiter)
    if (!this.#watching) void this.#watch()
    try {
      return await promise
    } finally {
      this.#waiters.delete(waiter)
    }
  }

  /** Never rejects: every failure goes to those who wait. */
  async #watch(): Promise<void> {
    this.#watching = true
    while (this.#waiters.size > 0) {
      try {
        await this.#look()
        await this.#clock.sleep(POLL_MS)
      } catch (error) {
        for (const { reject } of this.#waiters) reject(error)
        this.#waiters.clear()
      }
    }
    this.#watching = false
  }

  async #look(): Promise<void> {
    const waiters = [...this.#waiters]
    const ids = [...new Set(waiters.map(({ id }) => id))]
    for (let start = 0; start < ids.length; start += MAX_IDS) {
      const asked = ids.slice(start, start + MAX_IDS)
      const found = new Map(
        (await this.#journal.operationsById(asked)).map((operation) => [operation.id, operation]),
      )
      for (const waiter of waiters) if (asked.includes(waiter.id)) this.#tell(waiter, found.get(waiter.id))
    }
  }

  #tell(waiter: Waiter, operation: Operation | undefined): void {
    if (operation === undefined) {
      waiter.reject(
        new ShardingError('operation_missing', `there is no operation ${waiter.id} in the journal`),
      )
      return
    }
    if (waiter.reached(operation)) waiter.resolve(operation)
  }
}
