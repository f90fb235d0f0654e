import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeBody, parseExactJson } from './reply.ts'

const done = { total: 0, error: '', warning: '' }

describe('parseExactJson', () => {
  it('keeps every 64-bit integer exact', () => {
    const integer = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n })
    fc.assert(
      fc.property(fc.array(integer), (integers) => {
        const parsed = parseExactJson(`[${integers.join(',')}]`)
        expect(parsed).toEqual(integers.map((i) => (Number.isSafeInteger(Number(i)) ? Number(i) : i)))
      }),
    )
  })

  it('agrees with JSON.parse where no integer is large', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), (value) => {
        const text = JSON.stringify(value)
        const large = /(^|[^\d.eE])-?\d{16,}(?![\d.eE])/.test(text)
        fc.pre(!large)
        expect(parseExactJson(text)).toEqual(JSON.parse(text))
      }),
    )
  })

  it('leaves digits inside strings and fractions alone', () => {
    const text = '{"s":"12345678901234567890","f":1234567890.1234567890,"e":1e300}'
    expect(parseExactJson(text)).toEqual({ s: '12345678901234567890', f: 1234567890.1234567, e: 1e300 })
  })
})

describe('decodeBody', () => {
  it('gives the reply of a statement without rows', () => {
    expect(decodeBody(JSON.stringify([{ ...done, total: 3 }]))).toEqual({
      kind: 'reply',
      reply: { columns: [], rows: [], total: 3, warning: '' },
    })
  })

  it('gives columns in their order and rows as they are', () => {
    const columns = [{ b: { type: 'string' } }, { a: { type: 'long' } }]
    const body = [{ columns, data: [{ b: 'x', a: 1 }], ...done, total: 1, warning: 'partial' }]
    expect(decodeBody(JSON.stringify(body))).toEqual({
      kind: 'reply',
      reply: {
        columns: [
          { name: 'b', type: 'string' },
          { name: 'a', type: 'long' },
        ],
        rows: [{ b: 'x', a: 1 }],
        total: 1,
        warning: 'partial',
      },
    })
  })

  it('turns cells that are no scalars into exact text', () => {
    const body =
      '[{"columns":[{"j":{"type":"json"}}],"data":[{"j":{"a":[1,9007199254740993,"x\\""],"b":null},"k":null}],' +
      '"total":1,"error":"","warning":""}]'
    expect(decodeBody(body)).toMatchObject({
      reply: { rows: [{ j: '{"a":[1,9007199254740993,"x\\""],"b":null}', k: null }] },
    })
  })

  it('finds a failure in either form', () => {
    expect(decodeBody('{"error":"no such table"}')).toEqual({ kind: 'failure', text: 'no such table' })
    expect(decodeBody(JSON.stringify([{ ...done, error: 'bad' }]))).toEqual({ kind: 'failure', text: 'bad' })
  })

  it('does not drop a second result set in silence', () => {
    expect(decodeBody(JSON.stringify([done, done]))).toMatchObject({ kind: 'failure' })
  })

  it.each([
    '',
    'OK',
    '{',
    '[]',
    '[[]]',
    '7',
    'null',
    '{"error":{}}',
    '[{"total":"1"}]',
    '[{"data":[1],"total":1}]',
  ])('takes %s for nothing of a daemon', (text) => {
    expect(decodeBody(text).kind).toBe('alien')
  })
})
