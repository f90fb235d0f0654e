import { createHash, type Hash } from 'node:crypto'
import type { Literal } from '../domain/statement.ts'
import type { Row } from '../domain/values.ts'
import { renderStatement } from '../sql/index.ts'

/** Columns of the sample rows as in a CREATE TABLE. */
export const SAMPLE_STRUCTURE = 'title text, author string, summary text, year int, barcode bigint'

const COLUMNS = ['id', 'title', 'author', 'summary', 'year', 'barcode'] as const
type SampleColumn = (typeof COLUMNS)[number]

/** A book that nobody has written. Made from its id alone, so that whoever reads it knows what it must be. */
export type SampleRow = Readonly<Record<SampleColumn, string | number | bigint>>

const SUBJECTS = [
  'lighthouse',
  'cartographer',
  'orchard',
  'night train',
  'clockmaker',
  'glass river',
  'archive',
]
const MOODS = ['forgotten', 'restless', 'silver', 'patient', 'half-finished', 'salt-stained', 'quiet']
const PLACES = ['Lisbon', 'Tromsø', 'Kyōto', 'Montréal', 'Çanakkale', 'Wrocław', 'the far islands']
const FIRST_NAMES = ['Maren', 'Tomás', 'Ines', 'Kofi', 'Yuki', 'Bronwen', 'Luís', 'Zofia']
const LAST_NAMES = [
  "O'Shea",
  'Almeida',
  'Nakamura',
  'van der Berg',
  'Mensah',
  'Šimek',
  'Haugen',
  "D'Angelo",
  'Li',
]
const FIRST_YEAR = 1850
const YEARS = 173
/** Above 2^53: a number that a double cannot hold must come back as it was. */
const FIRST_BARCODE = 9_780_000_000_000_007n * 100n

/** The row of an id from 1 on. With quotes, backslashes and letters from outside ASCII in it. */
export function sampleRow(id: number): SampleRow {
  const [subject, mood, place] = [pick(SUBJECTS, id), pick(MOODS, id * 3 + 1), pick(PLACES, id * 5 + 2)]
  const author = `${pick(FIRST_NAMES, id * 7)} ${pick(LAST_NAMES, id * 11 + 3)}`
  return {
    id,
    title: `The ${mood} ${subject}, volume ${id}`,
    author,
    summary: `${author}'s story of a ${subject} near ${place}: "it isn't ${mood}", shelf C:\\books\\${id % 97}`,
    year: FIRST_YEAR + (id % YEARS),
    barcode: FIRST_BARCODE + BigInt(id) * 97n,
  }
}

function pick(words: readonly string[], number: number): string {
  return words[number % words.length] ?? ''
}

/**
 * Writes the rows `firstId` to `lastId`. Says REPLACE, so that it may be sent again when its answer was lost.
 */
export function writeSampleRows(table: string, firstId: number, lastId: number): string {
  const rows: Literal[][] = []
  for (let id = firstId; id <= lastId; id++) {
    const row = sampleRow(id)
    rows.push(COLUMNS.map((column) => row[column]))
  }
  return renderStatement({ kind: 'replace', table: { cluster: null, name: table }, columns: COLUMNS, rows })
}

/** Reads up to `limit` rows behind `afterId`, in the order of their ids. */
export function readSampleRows(table: string, afterId: number, limit: number): string {
  return renderStatement({
    kind: 'select',
    items: COLUMNS.map((column) => ({ expression: { kind: 'column', column, path: [] }, alias: null })),
    from: { cluster: null, name: table },
    where: {
      kind: 'binary',
      operator: '>',
      left: { kind: 'column', column: 'id', path: [] },
      right: { kind: 'literal', value: afterId },
    },
    groupBy: [],
    having: null,
    orderBy: [{ expression: { kind: 'column', column: 'id', path: [] }, direction: 'asc' }],
    limit,
    offset: 0,
    options: [],
  })
}

/** Counts all rows of the table. */
export function countSampleRows(table: string): string {
  return renderStatement({
    kind: 'select',
    items: [
      {
        expression: { kind: 'call', name: 'count', distinct: false, arguments: [{ kind: 'star' }] },
        alias: 'n',
      },
    ],
    from: { cluster: null, name: table },
    where: null,
    groupBy: [],
    having: null,
    orderBy: [],
    limit: null,
    offset: 0,
    options: [],
  })
}

/** A checksum over rows in the order they are added. */
export class RowChecksum {
  readonly #hash: Hash = createHash('sha256')

  add(row: Row | SampleRow): this {
    this.#hash.update(rowText(row))
    return this
  }

  /** Hexadecimal; nothing can be added afterwards. */
  digest(): string {
    return this.#hash.digest('hex')
  }
}

/** Whether what came back is, in every column, what was written under its id. */
export function isAsWritten(row: Row): boolean {
  return rowText(row) === rowText(sampleRow(Number(row['id'])))
}

function rowText(row: Row | SampleRow): string {
  const values: Row = row
  return `${JSON.stringify(COLUMNS.map((column) => String(values[column])))}\n`
}
