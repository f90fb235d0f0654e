import { InputError } from '../domain/errors.ts'
import type { Literal } from '../domain/statement.ts'

/** Characters that would end the string, begin an escape, or break a line of a log. */
const ESCAPED = /[\\'\n]/g

/**
 * A string in single quotes; every text comes back from the daemon as it went in.
 *
 * Text with a NUL or half a surrogate pair is refused: the daemon cannot keep it.
 *
 * @throws InputError field `text`
 */
export function quoteString(text: string): string {
  if (text.includes('\0')) {
    throw new InputError('text', 'a text with a NUL character cannot be stored; remove the character')
  }
  if (!text.isWellFormed()) {
    throw new InputError('text', 'the text is not valid Unicode: it holds half of a surrogate pair')
  }
  const escaped = text.replace(ESCAPED, (character) => (character === '\n' ? '\\n' : `\\${character}`))
  return `'${escaped}'`
}

/**
 * A value as it stands in a statement: a quoted string, a number, or `(1,2,3)`.
 *
 * @throws InputError field `text` or `value`
 */
export function renderLiteral(value: Literal): string {
  if (typeof value === 'string') return quoteString(value)
  if (typeof value === 'number' || typeof value === 'bigint') return renderNumber(value)
  return `(${value.map((number) => renderNumber(number)).join(',')})`
}

export function renderNumber(value: number | bigint): string {
  if (typeof value === 'bigint') return value.toString()
  if (!Number.isFinite(value)) throw new InputError('value', `${value} is not a number that can be stored`)
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw new InputError(
      'value',
      `the integer ${value} is past 2^53 and may have lost digits; give it as a bigint`,
    )
  }
  return Object.is(value, -0) ? '0' : plainDecimal(value)
}

/** A fraction without an exponent: not every reader of the dialect knows `1e-7`. */
function plainDecimal(value: number): string {
  const text = String(value)
  const [mantissa = '', exponent] = text.split('e-')
  if (exponent === undefined) return text
  const sign = mantissa.startsWith('-') ? '-' : ''
  const digits = mantissa.replace('-', '').replace('.', '')
  return `${sign}0.${'0'.repeat(Number(exponent) - 1)}${digits}`
}
