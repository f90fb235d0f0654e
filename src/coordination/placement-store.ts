import type { ObservedPlacement } from '../planning/observed.ts'
import type { JournalConnection } from '../engine/journal-connection.ts'
import { integer, list, text } from '../engine/journal-rows.ts'
import { PLACEMENT_TABLE } from '../domain/system-tables.ts'
import { compare, select } from '../engine/where.ts'

/** Rows read at once; see the daemon's default of 1,000 matches. */
const PAGE_ROWS = 1_000

/** Reads the placement in force: `system.sharding_table`. It is written by commands of operations only. */
export class PlacementStore {
  readonly #connection: JournalConnection

  constructor(connection: JournalConnection) {
    this.#connection = connection
  }

  /** Of all tables, in the order of their ids. */
  async all(): Promise<ObservedPlacement[]> {
    const placements: ObservedPlacement[] = []
    for (let after = 0; ; ) {
      const page = select(PLACEMENT_TABLE, compare('id', '>', after), { limit: PAGE_ROWS })
      const { rows } = await this.#connection.read(page)
      placements.push(
        ...rows.map((row) => ({
          id: integer(row, 'id'),
          table: text(row, 'table'),
          node: text(row, 'node'),
          replicaSet: text(row, 'cluster'),
          shards: list(row, 'shards'),
        })),
      )
      if (rows.length < PAGE_ROWS) return placements
      after = placements.at(-1)?.id ?? 0
    }
  }
}
