/** Digits behind the point, as in C's `%f`. */
const DIGITS = 6

/** From here on `toFixed` writes an exponent. */
const LARGEST_FIXED = 1e21

/** A number with six decimals and all digits before the point, rounded half to even: what `%f` gives. */
export function decimalText(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'nan' : value < 0 ? '-inf' : 'inf'
  if (Math.abs(value) >= LARGEST_FIXED) return `${BigInt(value)}.${'0'.repeat(DIGITS)}`
  const text = value.toFixed(DIGITS)
  const signed = Object.is(value, -0) ? `-${text}` : text
  const last = Number(signed.at(-1))
  // `toFixed` rounds a half away from zero.
  return isHalfway(value) && last % 2 === 1 ? `${signed.slice(0, -1)}${last - 1}` : signed
}

/** Only odd multiples of 1/128 lie exactly between two numbers with six decimals. */
function isHalfway(value: number): boolean {
  const parts = value * 128
  return Number.isInteger(parts) && parts % 2 !== 0
}
