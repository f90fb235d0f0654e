import type { ColumnDefinition, Literal } from '../../domain/statement.ts'
import { unreachable } from '../../domain/errors.ts'
import { DaemonError, type StoredValue } from '../store.ts'
import type { SqlCell } from './database.ts'
import { normalizeJson } from './json-text.ts'
import { multiNumbers, multiText } from './multi-value.ts'

export interface ConvertedCell {
  readonly cell: SqlCell
  /** The daemon's text when it could not read a JSON document and stored an empty one. */
  readonly warning: string
}

const INT64_MAX = 2n ** 63n - 1n
const UINT64_MAX = 2n ** 64n - 1n

/**
 * A literal as it lies in a column of that type: integers cut to their width, floats to 32 bits, lists sorted,
 * JSON normalised.
 *
 * @param place of the value, e.g. `row 1, column 2`, for the error.
 * @throws DaemonError when a value of that sort does not go into the column.
 */
export function convertLiteral(column: ColumnDefinition, value: Literal, place: string): ConvertedCell {
  const { type } = column
  if (type === 'multi' || type === 'multi64') return plain(multiCell(type, value, place))
  if (isList(value)) throw new DaemonError(`${place}: MVA value specified for a non-MVA column`)
  switch (type) {
    case 'text':
    case 'string':
      return plain(String(value))
    case 'json': {
      const json = normalizeJson(String(value))
      return 'json' in json ? plain(json.json) : { cell: '', warning: json.error }
    }
    case 'int':
    case 'timestamp':
      return plain(BigInt.asUintN(32, wholeNumber(value)))
    case 'bigint':
      return plain(BigInt.asIntN(64, wholeNumber(value)))
    case 'bool':
      return plain(wholeNumber(value) === 0n ? 0n : 1n)
    case 'float':
      return plain(Math.fround(floatNumber(value)))
    default:
      return unreachable(type)
  }
}

function plain(cell: SqlCell): ConvertedCell {
  return { cell, warning: '' }
}

function isList(value: Literal): value is readonly (number | bigint)[] {
  return typeof value === 'object'
}

function multiCell(type: 'multi' | 'multi64', value: Literal, place: string): string {
  if (!isList(value)) throw new DaemonError(`${place}: non-MVA value specified for a MVA column`)
  const narrow = (number: bigint): bigint =>
    type === 'multi' ? BigInt.asUintN(32, number) : BigInt.asIntN(64, number)
  return multiText(value.map((number) => narrow(wholeNumber(number))))
}

/** Text counts by the number it begins with, as in C; fractions are cut off. */
function wholeNumber(value: string | number | bigint): bigint {
  if (typeof value === 'bigint') return value
  if (typeof value === 'string') return BigInt(/^\s*([+-]?\d+)/.exec(value)?.[1] ?? '0')
  return Number.isFinite(value) ? BigInt(Math.trunc(value)) : 0n
}

function floatNumber(value: string | number | bigint): number {
  const number = typeof value === 'string' ? Number.parseFloat(value) : Number(value)
  return Number.isFinite(number) ? number : 0
}

/** The id that a statement asks for; 0 asks for a new one. */
export function convertId(value: Literal, place: string): bigint {
  if (isList(value)) throw new DaemonError(`${place}: MVA value specified for a non-MVA column`)
  const id = wholeNumber(value)
  if (id < 0n) throw new DaemonError('Negative document ids are not allowed')
  // Read as an unsigned number, kept and shown as a signed one.
  return BigInt.asIntN(64, id < UINT64_MAX ? id : UINT64_MAX)
}

/** An id made here, after the largest of a table. */
export function checkedId(id: bigint): bigint {
  if (id > INT64_MAX) throw new DaemonError(`document id ${id} is out of range`)
  return id
}

/** A cell as others see it: lists as numbers, the rest as it is. */
export function storedValue(column: ColumnDefinition, cell: string | number | bigint): StoredValue {
  return (column.type === 'multi' || column.type === 'multi64') && typeof cell === 'string'
    ? multiNumbers(cell)
    : cell
}

/** The other way round; a value that is missing is the column's empty value. */
export function storedCell(column: ColumnDefinition, value: StoredValue | undefined): SqlCell {
  if (value === undefined) return emptyCell(column)
  if (typeof value === 'object') return multiText(value)
  return typeof value === 'number' && column.type !== 'float' ? BigInt(value) : value
}

export function emptyCell(column: ColumnDefinition): SqlCell {
  switch (column.type) {
    case 'text':
    case 'string':
    case 'json':
    case 'multi':
    case 'multi64':
      return ''
    case 'int':
    case 'bigint':
    case 'bool':
    case 'timestamp':
      return 0n
    case 'float':
      return 0
    default:
      return unreachable(column.type)
  }
}
