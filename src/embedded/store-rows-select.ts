import type { Select } from '../domain/statement.ts'
import { Database, type SqlCell } from './sqlite/database.ts'
import { runSelect, selectSearchesText } from './sqlite/select.ts'
import { cellsOfRow, rowId, TableRows } from './sqlite/table-rows.ts'
import type { StatementResult, StoredRow, StoredTable } from './store.ts'

/** The temporary table's number; its database holds no other. */
const TABLE_NUMBER = 1

/**
 * Runs `select` over rows gathered from elsewhere, e.g. from the shards of `table`, with the same types, names and
 * order as if they lay in one local table. Without ORDER BY they come in the order given; a row whose id came
 * before is left out.
 *
 * @throws DaemonError as the SELECT on a local table would.
 */
export function runSelectOverRows(
  table: StoredTable,
  rows: Iterable<StoredRow>,
  select: Select,
): StatementResult {
  const database = new Database(':memory:')
  try {
    const gathered = new TableRows(database, table, TABLE_NUMBER, selectSearchesText(select))
    return database.transaction(() => {
      gathered.make()
      gathered.makeIndex()
      gathered.write(numberedRows(table, rows), false)
      return runSelect(database, gathered.source(), select)
    })
  } finally {
    database.close()
  }
}

function* numberedRows(
  table: StoredTable,
  rows: Iterable<StoredRow>,
): Iterable<{ readonly id: bigint; readonly order: number; readonly cells: readonly SqlCell[] }> {
  const seen = new Set<bigint>()
  for (const row of rows) {
    const id = rowId(row)
    if (seen.has(id)) continue
    yield { id, order: seen.size, cells: cellsOfRow(table, row) }
    seen.add(id)
  }
}
