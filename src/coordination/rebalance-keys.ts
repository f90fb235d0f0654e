import type { Operation, OperationType } from '../domain/operation.ts'
import type { StateStore } from '../engine/state-store.ts'

/** Operations that move copies, whose state is kept under a key of its own for each table. */
const MOVING: ReadonlySet<OperationType> = new Set<OperationType>(['rebalance', 'replace', 'drain', 'revert'])

/** What stands under `rebalance:<table>`: which operation moves copies of the table, or did so last. */
export interface RebalanceRecord {
  readonly operation: string
  readonly status: string
}

/**
 * `rebalance:<table>` in `system.sharding_state`. The operation's own row is the truth; the key says which
 * operation that is.
 */
export class RebalanceKeys {
  readonly #state: StateStore

  constructor(state: StateStore) {
    this.#state = state
  }

  async record({ group, type, state }: Operation, tables: ReadonlySet<string>): Promise<void> {
    if (!MOVING.has(type)) return
    for (const table of tables) {
      if (table !== '' && !table.startsWith('system.'))
        await this.#set(table, { operation: group, status: state })
    }
  }

  async get(table: string): Promise<RebalanceRecord | undefined> {
    const { value } = await this.#state.get(key(table))
    if (typeof value !== 'object' || value === null) return undefined
    const fields = new Map(Object.entries(value))
    const [operation, status] = [fields.get('operation'), fields.get('status')]
    if (typeof operation !== 'string' || typeof status !== 'string' || operation === '') return undefined
    return { operation, status }
  }

  /** Forgets which operation was the last one. */
  async reset(table: string): Promise<void> {
    await this.#set(table, { operation: '', status: 'idle' })
  }

  async #set(table: string, record: RebalanceRecord): Promise<void> {
    for (;;) {
      const { version } = await this.#state.get(key(table))
      if (await this.#state.compareAndSet(key(table), version, record)) return
    }
  }
}

function key(table: string): string {
  return `rebalance:${table}`
}
