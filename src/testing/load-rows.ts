import type { Expression, Select } from '../domain/statement.ts'
import { renderStatement, renderTableName } from '../sql/index.ts'

/** Columns of a table that a load can be put on, as in a CREATE TABLE. */
export const LOAD_STRUCTURE = 'title text, n int'

/** The largest prime in 31 bits: `n` fits into the daemon's int, and no two versions of a row agree in it. */
const MODULUS = 2_147_483_647
const ID_FACTOR = 31
const VERSION_FACTOR = 1_000_003

/** The title of a row: made from its id alone, with what careless clients break. */
export function loadTitle(id: number): string {
  return `row ${id}: it's "kept" in C:\\rows\\${id % 97}, Tromsø`
}

/** The number in a row that was updated `version` times. */
export function loadNumber(id: number, version: number): number {
  return ((id % MODULUS) * ID_FACTOR + version * VERSION_FACTOR) % MODULUS
}

export function insertRow(table: string, id: number): string {
  return renderStatement({
    kind: 'insert',
    table: { cluster: null, name: table },
    columns: ['id', 'title', 'n'],
    rows: [[id, loadTitle(id), loadNumber(id, 0)]],
  })
}

export function updateRow(table: string, id: number, version: number): string {
  return renderStatement({
    kind: 'update',
    table: { cluster: null, name: table },
    assignments: [{ column: 'n', value: loadNumber(id, version) }],
    where: compareId('=', id),
  })
}

export function countRows(table: string): string {
  return `SELECT COUNT(*) FROM ${renderTableName({ cluster: null, name: table })}`
}

/**
 * Counts the rows with ids from `firstId` to `lastId`. A range even for a single id: a node asks all shards then,
 * and not only the one that the id belongs to.
 */
export function countRowsBetween(table: string, firstId: number, lastId: number): string {
  return renderStatement({
    ...selectFrom(table),
    items: [{ expression: COUNT, alias: 'found' }],
    where: {
      kind: 'binary',
      operator: 'and',
      left: compareId('>=', firstId),
      right: compareId('<=', lastId),
    },
  })
}

/** Reads up to `limit` rows behind `afterId`, in the order of their ids. */
export function readRowsAfter(table: string, afterId: number | bigint, limit: number): string {
  return renderStatement({
    ...selectFrom(table),
    items: ['id', 'title', 'n'].map((name) => ({ expression: column(name), alias: null })),
    where: compareId('>', afterId),
    orderBy: [{ expression: column('id'), direction: 'asc' }],
    limit,
  })
}

const COUNT: Expression = { kind: 'call', name: 'count', distinct: false, arguments: [{ kind: 'star' }] }

function column(name: string): Expression {
  return { kind: 'column', column: name, path: [] }
}

function compareId(operator: '=' | '>' | '>=' | '<=', id: number | bigint): Expression {
  return { kind: 'binary', operator, left: column('id'), right: { kind: 'literal', value: id } }
}

function selectFrom(table: string): Select {
  return {
    kind: 'select',
    items: [],
    from: { cluster: null, name: table },
    where: null,
    groupBy: [],
    having: null,
    orderBy: [],
    limit: null,
    offset: 0,
    options: [],
  }
}
