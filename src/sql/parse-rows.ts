import type {
  DeleteCluster,
  DeleteRows,
  InsertRows,
  Literal,
  TruncateTable,
  UpdateRows,
} from '../domain/statement.ts'
import type { TokenCursor } from './cursor.ts'
import { readOptionalFilter } from './parse-filters.ts'
import { readLiteral } from './parse-values.ts'

/** Behind the word INSERT or REPLACE. */
export function readInsert(cursor: TokenCursor, kind: InsertRows['kind']): InsertRows {
  cursor.expectWord('into')
  const table = cursor.clusterTable()
  const columns = cursor.acceptMark('(') ? cursor.list(() => cursor.columnName()) : null
  if (columns !== null) expectListEnd(cursor)
  cursor.expectWord('values')
  const rows = cursor.list(() => readRow(cursor, columns?.length ?? null))
  return { kind, table, columns, rows }
}

/** `width` is how many values the statement's own column list asks for. */
function readRow(cursor: TokenCursor, width: number | null): Literal[] {
  cursor.expectMark('(')
  const row = cursor.list(() => readLiteral(cursor))
  if (width !== null && cursor.atMark(')') && row.length !== width) {
    throw cursor.problem('wrong number of values here')
  }
  expectListEnd(cursor)
  return row
}

function expectListEnd(cursor: TokenCursor): void {
  if (!cursor.acceptMark(')')) throw cursor.error("',' or ')'")
}

/** Behind the word UPDATE. */
export function readUpdate(cursor: TokenCursor): UpdateRows {
  const table = cursor.clusterTable()
  cursor.expectWord('set')
  const assignments = cursor.list(() => {
    const column = cursor.columnName()
    cursor.expectMark('=')
    return { column, value: readLiteral(cursor) }
  })
  return { kind: 'update', table, assignments, where: readOptionalFilter(cursor, 'where') }
}

/** Behind the word DELETE. */
export function readDelete(cursor: TokenCursor): DeleteRows | DeleteCluster {
  if (cursor.acceptWords('cluster')) return { kind: 'delete_cluster', cluster: cursor.plainName() }
  cursor.expectWord('from')
  const table = cursor.clusterTable()
  return { kind: 'delete', table, where: readOptionalFilter(cursor, 'where') }
}

/** Behind the word TRUNCATE. */
export function readTruncate(cursor: TokenCursor): TruncateTable {
  cursor.expectWord('table')
  return { kind: 'truncate_table', table: cursor.clusterTable() }
}
