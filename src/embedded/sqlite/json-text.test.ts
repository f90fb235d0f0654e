import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { normalizeJson } from './json-text.ts'

describe('JSON as the daemon shows it', () => {
  test.each([
    ['{ "b" : 1.5, "a" : [ true , null, "x" ] }', '{"b":1.500000,"a":[true,null,"x"]}'],
    ['{"10":1,"9":2}', '{"10":1,"9":2}'],
    [
      '[9007199254740993,-9223372036854775808,9223372036854775808,1e3]',
      '[9007199254740993,-9223372036854775808,9223372036854775808.000000,1000.000000]',
    ],
    ['{key: 1}', '{"key":1}'],
    [String.raw`["\u00e9 \q \" \\ \n"]`, String.raw`["é q \" \\ \n"]`],
    ['["a\nb"]', String.raw`["a\nb"]`],
    ['', ''],
    ['  ', ''],
    ['[]', '[]'],
    ['{}', '{}'],
  ])('%s', (text, json) => {
    expect(normalizeJson(text)).toEqual({ json })
  })

  test.each([
    ['not json', "P10: syntax error, unexpected TOK_IDENT, expecting $end near 'not json'"],
    ['5', "P10: syntax error, unexpected TOK_INT, expecting $end near '5'"],
    ['{"a":1} x', "P10: syntax error, unexpected TOK_IDENT, expecting $end near 'x'"],
    ['[1,]', "P10: syntax error, unexpected ']' near ']'"],
    ['{"a"', "P10: syntax error, unexpected $end near ''"],
    ['{"a":nope}', "P10: syntax error, unexpected TOK_IDENT near 'nope}'"],
  ])('%s is refused', (text, error) => {
    expect(normalizeJson(text)).toEqual({ error })
  })

  test('a document nested without end is refused, not fatal', () => {
    expect(normalizeJson('['.repeat(100_000))).toEqual({ error: 'P10: JSON is nested too deeply' })
  })

  test('any document keeps its meaning, and is a fixed point', () => {
    const value = fc.jsonValue({ noUnicodeString: false }).map((json) => JSON.stringify([json]))
    fc.assert(
      fc.property(value, (text) => {
        const normal = normalizeJson(text)
        if (!('json' in normal)) throw new Error(normal.error)
        expect(rounded(JSON.parse(normal.json))).toEqual(rounded(JSON.parse(text)))
        expect(normalizeJson(normal.json)).toEqual(normal)
      }),
    )
  })
})

/** Numbers with the six decimals that the daemon keeps; huge ones and -0 as they print. */
function rounded(value: unknown): unknown {
  if (typeof value === 'number') return Number(value.toFixed(6)) + 0
  if (Array.isArray(value)) return value.map(rounded)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, rounded(inner)]))
}
