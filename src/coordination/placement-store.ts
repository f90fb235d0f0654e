import type { BuddyPlacement, ObservedPlacement } from '../planning/observed.ts'
import type { JournalConnection } from '../engine/journal-connection.ts'
import { integer, list, text } from '../engine/journal-rows.ts'
import { PLACEMENT_TABLE } from '../domain/system-tables.ts'
import { compare, select } from '../engine/where.ts'

/** Rows read at once; see the daemon's default of 1,000 matches. */
const PAGE_ROWS = 1_000

/** All rows, whoever wrote them. */
export interface StoredPlacements {
  readonly ours: readonly ObservedPlacement[]
  /** The daemon made their ids, beyond 2^53. */
  readonly others: readonly BuddyPlacement[]
}

/** Reads the placement in force: `system.sharding_table`. It is written by commands of operations only. */
export class PlacementStore {
  readonly #connection: JournalConnection

  constructor(connection: JournalConnection) {
    this.#connection = connection
  }

  /** Ours, of all tables, in the order of their ids. */
  async all(): Promise<readonly ObservedPlacement[]> {
    return (await this.stored()).ours
  }

  async stored(): Promise<StoredPlacements> {
    const ours: ObservedPlacement[] = []
    const others: BuddyPlacement[] = []
    for (let after: number | bigint = 0; ; ) {
      const page = select(PLACEMENT_TABLE, compare('id', '>', after), { limit: PAGE_ROWS })
      const { rows } = await this.#connection.read(page)
      for (const row of rows) {
        const { id } = row
        const placement = {
          table: text(row, 'table'),
          node: text(row, 'node'),
          replicaSet: text(row, 'cluster'),
          shards: list(row, 'shards'),
        }
        if (typeof id === 'bigint') others.push({ id, ...placement })
        else ours.push({ id: integer(row, 'id'), ...placement })
        after = typeof id === 'bigint' ? id : integer(row, 'id')
      }
      if (rows.length < PAGE_ROWS) return { ours, others }
    }
  }
}
