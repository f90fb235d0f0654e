import { describe, expect, test } from 'vitest'
import { decimalText } from './decimal-text.ts'

describe('a number with six decimals, as C writes it', () => {
  test.each([
    [0, '0.000000'],
    [-0, '-0.000000'],
    [0.1, '0.100000'],
    [-2.5, '-2.500000'],
    // Halfway between two: the even one.
    [0.0078125, '0.007812'],
    [-0.0078125, '-0.007812'],
    [0.0234375, '0.023438'],
    [1e20, '100000000000000000000.000000'],
    [2 ** 120, '1329227995784915872903807060280344576.000000'],
    [-(2 ** 80), '-1208925819614629174706176.000000'],
    [Infinity, 'inf'],
    [-Infinity, '-inf'],
    [Number.NaN, 'nan'],
  ])('%d is %s', (value, text) => {
    expect(decimalText(value)).toBe(text)
  })
})
