import { createHash, type Hash } from 'node:crypto'
import type { CallOptions, NodeConnection } from '../domain/ports.ts'
import type { ColumnDefinition, ColumnType, Expression, Select, SelectItem } from '../domain/statement.ts'
import type { Reply, Value } from '../domain/values.ts'
import { unreachable } from '../domain/errors.ts'
import { renderStatement } from '../sql/index.ts'
import { all, column, compare, select } from './where.ts'

/**
 * What the rows of a table are, in a few numbers: the count of a range of ids and a digest of each column. The
 * daemon adds up checksums of attributes; text fields cannot be used in its expressions, so they are read and
 * hashed here.
 *
 * Not seen are differences that the daemon itself shows to nobody: text that is indexed only, digits of JSON
 * numbers behind the sixth decimal, and `{}` in place of no document.
 */

/**
 * Rows with text read at once: all that is held in memory of a node. Texts may be long, and the daemon sorts so
 * many without being asked to keep more.
 */
const TEXT_PAGE_ROWS = 1_000
/**
 * A checksum is multiplied with its remainder by this prime before it is added up. Checksums of 32 bits, in ranges
 * of up to 32,000 rows, keep the sum below 2^63 that way.
 */
const REMAINDER_OF = 65_521
/**
 * Floats show six decimals, so they are also taken divided by this: it moves all digits of small ones before the
 * point without rounding them. Those that overflow have none behind the sixth decimal.
 */
const TINY = 2 ** -120

export type RowId = number | bigint

/** Rows with `after < id <= upTo`; null: no bound. */
export interface IdRange {
  readonly after: RowId | null
  readonly upTo: RowId | null
}

/** The node answered, but with a warning: what it said proves nothing. */
export interface Doubtful {
  readonly warning: string
}

export interface RangeDigest {
  readonly rows: number
  /** Of `id` and of every column that can be compared. */
  readonly columns: ReadonlyMap<string, string>
}

/** Reads the digests of one table from one node. Rejects with NodeError when it does not answer. */
export class DigestReader {
  readonly #connection: NodeConnection
  readonly #table: string
  readonly #options: CallOptions
  readonly #rowsAlias: string
  readonly #attributes: readonly AttributeDigest[]
  readonly #texts: readonly string[]

  constructor(
    connection: NodeConnection,
    table: string,
    columns: readonly ColumnDefinition[],
    options: CallOptions,
  ) {
    this.#connection = connection
    this.#table = table
    this.#options = options
    this.#rowsAlias = freeAlias('rows', columns)
    this.#attributes = attributeDigests(columns)
    this.#texts = columns.filter(isStoredText).map(({ name }) => name)
  }

  /** The id of the row number `position` in the range, counted from 1; null when it has fewer. */
  async idAt(range: IdRange, position: number): Promise<RowId | null | Doubtful> {
    const query = select(this.#table, conditionOf(range), { columns: ['id'], limit: 1 })
    const reply = await this.#read({
      ...query,
      offset: position - 1,
      // Otherwise the daemon refuses to look further than its first 1,000 rows.
      options: [{ name: 'max_matches', value: position }],
    })
    if (reply.warning !== '') return { warning: reply.warning }
    return idOf(reply.rows[0]?.['id'])
  }

  async digest(range: IdRange): Promise<RangeDigest | Doubtful> {
    const [attributes, texts] = await Promise.all([this.#attributeSums(range), this.#textHashes(range)])
    if ('warning' in attributes) return attributes
    if ('warning' in texts) return texts
    return { rows: attributes.rows, columns: new Map([...attributes.columns, ...texts.columns]) }
  }

  async #attributeSums(range: IdRange): Promise<RangeDigest | Doubtful> {
    const reply = await this.#read({
      ...select(this.#table, conditionOf(range), { limit: 1, orderBy: [] }),
      items: [
        { expression: COUNT, alias: this.#rowsAlias },
        ...this.#attributes.flatMap(({ items }) => items),
      ],
    })
    if (reply.warning !== '') return { warning: reply.warning }
    const [sums] = reply.rows
    const rows = Number(sums?.[this.#rowsAlias] ?? 0)
    // The sums of no rows are zero or nothing at all.
    const columns = this.#attributes.map(({ name, sumAlias }): [string, string] => [
      name,
      rows === 0 ? '' : String(sums?.[sumAlias]),
    ])
    return { rows, columns: new Map(columns) }
  }

  async #textHashes(range: IdRange): Promise<{ columns: ReadonlyMap<string, string> } | Doubtful> {
    const hashes = new Map(this.#texts.map((name): [string, Hash] => [name, createHash('sha256')]))
    for (let rest: IdRange | null = hashes.size === 0 ? null : range; rest !== null; ) {
      const query = select(this.#table, conditionOf(rest), {
        columns: ['id', ...this.#texts],
        limit: TEXT_PAGE_ROWS,
      })
      const { rows, warning } = await this.#read(query)
      if (warning !== '') return { warning }
      for (const row of rows) {
        for (const [name, hash] of hashes) hash.update(JSON.stringify([String(row['id']), String(row[name])]))
      }
      const last = rows.length < TEXT_PAGE_ROWS ? null : idOf(rows.at(-1)?.['id'])
      rest = last === null ? null : { after: last, upTo: range.upTo }
    }
    return { columns: new Map([...hashes].map(([name, hash]) => [name, hash.digest('hex')])) }
  }

  async #read(query: Select): Promise<Reply> {
    return await this.#connection.read(renderStatement(query), this.#options)
  }
}

function idOf(value: Value | undefined): RowId | null {
  return typeof value === 'number' || typeof value === 'bigint' ? value : null
}

function conditionOf({ after, upTo }: IdRange): Expression | null {
  const [first, ...others] = [
    ...(after === null ? [] : [compare('id', '>', after)]),
    ...(upTo === null ? [] : [compare('id', '<=', upTo)]),
  ]
  return first === undefined ? null : all(first, ...others)
}

const COUNT: Expression = { kind: 'call', name: 'count', distinct: false, arguments: [{ kind: 'star' }] }

interface AttributeDigest {
  readonly name: string
  readonly items: readonly SelectItem[]
  readonly sumAlias: string
}

/**
 * The checksum of a row's id and value has an alias of its own, so that the daemon computes it once. Checksums are
 * not added up as they are: the daemon's CRC32 is linear, and of two swapped values one in ten thousand pairs would
 * leave such a sum as it was.
 */
function attributeDigests(columns: readonly ColumnDefinition[]): readonly AttributeDigest[] {
  const attributes = columns.filter((definition) => !isTextField(definition))
  const id = { name: 'id', texts: [call('to_string', column('id'))] }
  const values = attributes.map(({ name, type }) => ({
    name,
    texts: [call('to_string', column('id')), literal('|'), ...textsOf(name, type)],
  }))
  return [id, ...values].map(({ name, texts }, index) => {
    const checksumAlias = freeAlias(`checksum${index}`, columns)
    const sumAlias = freeAlias(`sum${index}`, columns)
    const checksum = call('bigint', call('crc32', call('concat', ...texts)))
    const weight = binary('+', binary('%', column(checksumAlias), literal(REMAINDER_OF)), literal(1))
    const sum = call('sum', binary('*', column(checksumAlias), weight))
    return {
      name,
      sumAlias,
      items: [
        { expression: checksum, alias: checksumAlias },
        { expression: sum, alias: sumAlias },
      ],
    }
  })
}

/** An alias that is also the name of a column would hide it in all items behind. */
function freeAlias(wanted: string, columns: readonly ColumnDefinition[]): string {
  let alias = wanted
  while (columns.some(({ name }) => name === alias)) alias += '_'
  return alias
}

/** A value as the daemon can put it into a text, without loss. */
function textsOf(name: string, type: ColumnType): readonly Expression[] {
  switch (type) {
    case 'float':
      return [
        call('to_string', column(name)),
        literal('|'),
        call('to_string', binary('/', column(name), literal(TINY))),
      ]
    case 'string':
      return [column(name)]
    case 'text':
    case 'int':
    case 'bigint':
    case 'bool':
    case 'timestamp':
    case 'multi':
    case 'multi64':
    case 'json':
      return [call('to_string', column(name))]
    default:
      return unreachable(type)
  }
}

/** A full-text field; with the property `attribute` it is an attribute as well. */
function isTextField({ type, properties }: ColumnDefinition): boolean {
  return type === 'text' && !properties.includes('attribute')
}

function isStoredText(definition: ColumnDefinition): boolean {
  const { properties } = definition
  return isTextField(definition) && (properties.includes('stored') || !properties.includes('indexed'))
}

function call(name: string, ...values: readonly Expression[]): Expression {
  return { kind: 'call', name, distinct: false, arguments: values }
}

function literal(value: string | number): Expression {
  return { kind: 'literal', value }
}

function binary(operator: '+' | '*' | '/' | '%', left: Expression, right: Expression): Expression {
  return { kind: 'binary', operator, left, right }
}
