import { createHash } from 'node:crypto'
import { NodeError } from '../domain/errors.ts'
import type { Clock } from '../domain/ports.ts'
import type { TableName } from '../domain/statement.ts'
import type { Row } from '../domain/values.ts'
import { type JournalConnection, UncertainFailure } from './journal-connection.ts'
import { integer, text } from './journal-rows.ts'
import { STATE_TABLE } from '../domain/system-tables.ts'
import { all, equals, oneOf, select, update } from './where.ts'

/** A value of `system.sharding_state` with the number that compare-and-set goes by. */
export interface StateEntry {
  readonly value: unknown
  /** 0 when there is no such key. */
  readonly version: number
}

/** Keys and JSON values shared by all coordinators, changed by compare-and-set only. */
export class StateStore {
  readonly #connection: JournalConnection
  readonly #table: TableName
  readonly #clock: Clock

  constructor(connection: JournalConnection, cluster: string | null, clock: Clock) {
    this.#connection = connection
    this.#table = { cluster, name: STATE_TABLE }
    this.#clock = clock
  }

  async get(key: string, signal?: AbortSignal): Promise<StateEntry> {
    const query = select(STATE_TABLE, equals('id', stateId(key)), { limit: 1 })
    const { rows } = await this.#connection.read(query, signal)
    const [row] = rows
    if (row === undefined) return { value: undefined, version: 0 }
    return entryFrom(row)
  }

  /** Of several keys, all at once; a key that does not exist is not in it. */
  async getAll(keys: readonly string[]): Promise<Map<string, StateEntry>> {
    if (keys.length === 0) return new Map()
    const query = select(STATE_TABLE, oneOf('id', keys.map(stateId)), { limit: keys.length })
    const { rows } = await this.#connection.read(query)
    return new Map(rows.map((row) => [text(row, 'key'), entryFrom(row)]))
  }

  /**
   * Sets the key if its version is still the given one (0: if it does not exist).
   *
   * @returns whether we won
   */
  async compareAndSet(key: string, version: number, value: object, signal?: AbortSignal): Promise<boolean> {
    const json = JSON.stringify(value)
    try {
      const { total, certain } =
        version === 0 ? await this.#insert(key, json, signal) : await this.#update(key, version, json, signal)
      if (total === 1) return true
      return certain ? false : await this.#isOurs(key, version + 1, json, signal)
    } catch (error) {
      if (error instanceof UncertainFailure) return await this.#isOurs(key, version + 1, json, signal)
      // Somebody else inserted the key first.
      if (error instanceof NodeError && error.code === 'duplicate') return false
      throw error
    }
  }

  async #insert(key: string, json: string, signal?: AbortSignal) {
    return await this.#connection.write(
      {
        kind: 'insert',
        table: this.#table,
        columns: ['id', 'key', 'value', 'updated_at', 'version'],
        rows: [[stateId(key), key, json, this.#seconds(), 1]],
      },
      signal,
    )
  }

  async #update(key: string, version: number, json: string, signal?: AbortSignal) {
    const values = { value: json, updated_at: this.#seconds(), version: version + 1 }
    const where = all(equals('id', stateId(key)), equals('version', version))
    return await this.#connection.write(update(this.#table, values, where), signal)
  }

  /** After a write without an answer: the value there tells who made that version. */
  async #isOurs(key: string, version: number, json: string, signal?: AbortSignal): Promise<boolean> {
    const entry = await this.get(key, signal)
    return entry.version === version && JSON.stringify(entry.value) === json
  }

  #seconds(): number {
    return Math.floor(this.#clock.now() / 1_000)
  }
}

function entryFrom(row: Row): StateEntry {
  return { value: JSON.parse(text(row, 'value')), version: integer(row, 'version') }
}

/** The row id of a key: the same for everybody, so that two inserts of one key collide. 48 bits, never 0. */
function stateId(key: string): number {
  return createHash('sha256').update(key).digest().readUIntBE(0, 6) + 1
}
