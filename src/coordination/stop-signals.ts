import {
  isEnded,
  OPERATION_TRANSITIONS,
  type Operation,
  type OperationEvent,
  type OperationType,
} from '../domain/operation.ts'
import type { Clock } from '../domain/ports.ts'
import type { Journal } from '../engine/journal.ts'
import type { StateStore } from '../engine/state-store.ts'

/** Operations that move copies, which a signal can stop. */
const MOVING: ReadonlySet<OperationType> = new Set<OperationType>(['rebalance', 'replace', 'drain', 'revert'])
/** How often the keys of tables whose copies move are read, in milliseconds: a person waits for it. */
const LOOK_INTERVAL_MS = 500

/** What stands under `stop_signal:<table>` while a stop is asked for. */
export interface StopSignal {
  /** The operation that it is meant for; `''`: whichever moves copies of the table. */
  readonly operation: string
  /** Let what is in flight finish first. */
  readonly graceful: boolean
}

/**
 * `stop_signal:<table>` in `system.sharding_state`. Whoever runs an operation that moves copies of the table stops
 * and undoes it, also when the key was written by other tools. It is empty again when the operation has ended.
 */
export class StopSignals {
  readonly #state: StateStore
  readonly #clock: Clock
  readonly #journal: Journal
  /** Tables whose copies operations of this process move, by group. */
  readonly #moved = new Map<string, readonly string[]>()
  #lookedAt = Number.NEGATIVE_INFINITY

  constructor(parts: { readonly state: StateStore; readonly clock: Clock; readonly journal: Journal }) {
    this.#state = parts.state
    this.#clock = parts.clock
    this.#journal = parts.journal
  }

  async give(table: string, { operation, graceful }: StopSignal): Promise<void> {
    await this.#set(table, { operation, graceful, requested_at: Math.floor(this.#clock.now()) })
  }

  async get(table: string): Promise<StopSignal | undefined> {
    const { value } = await this.#state.get(key(table))
    return signalFrom(value)
  }

  /** Forgets the signal of an operation that has ended. */
  async clear(table: string, operation: string): Promise<void> {
    const signal = await this.get(table)
    if (signal?.operation === operation) await this.#set(table, {})
  }

  /** Takes note of what runs here, and clears the signals of what has ended. */
  async record({ group, type, state }: Operation, tables: ReadonlySet<string>): Promise<void> {
    if (!MOVING.has(type)) return
    const users = [...tables].filter((table) => table !== '' && !table.startsWith('system.'))
    const isNew = !this.#moved.has(group)
    if (isEnded(state)) this.#moved.delete(group)
    else this.#moved.set(group, users)
    if (!isNew && !isEnded(state)) return
    const signals = await this.#state.getAll(users.map(key))
    for (const table of users) {
      const found = signals.get(key(table))
      // The row is there while copies move, so that other tools need no more than an UPDATE.
      const isWrong = isEnded(state) ? signalFrom(found?.value) !== undefined : found === undefined
      if (isWrong) await this.#set(table, {})
    }
  }

  /** Turns the signals that stand there now into requests to the operations of this process. */
  async heed(): Promise<void> {
    const now = this.#clock.now()
    if (this.#moved.size === 0 || now - this.#lookedAt < LOOK_INTERVAL_MS) return
    this.#lookedAt = now
    const tables = new Set([...this.#moved.values()].flat())
    const signals = await this.#state.getAll([...tables].map(key))
    for (const [group, moved] of this.#moved) {
      for (const table of moved) {
        const signal = signalFrom(signals.get(key(table))?.value)
        if (signal !== undefined && (signal.operation === '' || signal.operation === group)) {
          await this.#request(group, table, signal.graceful)
        }
      }
    }
  }

  async #request(group: string, table: string, graceful: boolean): Promise<void> {
    const operation = await this.#journal.operation(group)
    if (operation === undefined) return
    const event: OperationEvent = graceful ? 'stop' : 'revert'
    const to = OPERATION_TRANSITIONS[operation.state][event]
    // It is being undone already, or is past the point where that is possible.
    if (to === undefined || operation.state === 'succeeded') return
    await this.#journal.requestState(group, operation.state, to, {
      error: `stopped ${graceful ? '' : 'at once '}by stop_signal:${table}`,
    })
  }

  async #set(table: string, value: object): Promise<void> {
    for (;;) {
      const { version } = await this.#state.get(key(table))
      if (await this.#state.compareAndSet(key(table), version, value)) return
    }
  }
}

/** Undefined: no stop is asked for. Other tools may write less than we do. */
function signalFrom(value: unknown): StopSignal | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const fields = new Map(Object.entries(value))
  const [operation, graceful] = [fields.get('operation'), fields.get('graceful')]
  if (operation === undefined && graceful === undefined) return undefined
  return {
    operation: typeof operation === 'string' ? operation : '',
    // JSON of other tools has 0 and 1 as well.
    graceful: !(graceful === false || graceful === 0),
  }
}

function key(table: string): string {
  return `stop_signal:${table}`
}
