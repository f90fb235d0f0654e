/**
 * Multi-value attributes as text: decimal numbers, ascending, without duplicates, separated by commas; that is
 * also how the daemon shows them.
 */

export function multiText(values: Iterable<number | bigint>): string {
  const distinct = [...new Set([...values].map(BigInt))]
  return distinct.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)).join(',')
}

export function multiNumbers(text: string): readonly (number | bigint)[] {
  return text === '' ? [] : text.split(',').map((digits) => compactInteger(BigInt(digits)))
}

/** A number where a double holds it exactly, else the bigint. */
export function compactInteger(value: bigint): number | bigint {
  const asNumber = Number(value)
  return Number.isSafeInteger(asNumber) ? asNumber : value
}

export type MultiQuantifier = 'any' | 'all'

const COMPARISONS: Readonly<Record<string, (value: bigint, other: bigint) => boolean>> = {
  '=': (value, other) => value === other,
  '!=': (value, other) => value !== other,
  '<': (value, other) => value < other,
  '<=': (value, other) => value <= other,
  '>': (value, other) => value > other,
  '>=': (value, other) => value >= other,
}

/** `ANY(column) operator other`; false for an empty list, whatever the quantifier. */
export function multiCompares(
  text: string,
  quantifier: string,
  operator: string,
  other: number | bigint,
): boolean {
  const compare = COMPARISONS[operator]
  if (compare === undefined) throw new TypeError(`no comparison ${operator} of multi-values`)
  if (text === '') return false
  const wanted = BigInt(other)
  const values = text.split(',').map(BigInt)
  return quantifier === 'all'
    ? values.every((value) => compare(value, wanted))
    : values.some((value) => compare(value, wanted))
}

/** `ANY(column) IN (…)`; `wanted` is a canonical list, too. */
export function multiIn(text: string, quantifier: string, wanted: string): boolean {
  if (text === '') return false
  const members = new Set(wanted.split(','))
  const values = text.split(',')
  return quantifier === 'all'
    ? values.every((value) => members.has(value))
    : values.some((value) => members.has(value))
}
