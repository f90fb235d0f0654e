import type { DatabaseSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { DaemonError } from '../store.ts'
import { decimalText } from './decimal-text.ts'
import { multiCompares, multiIn } from './multi-value.ts'

/** Compiled patterns kept: a query uses one or two, a busy node a few dozen. */
const MAX_COMPILED_PATTERNS = 100

/** Flags in front, as RE2 writes them: `(?i)abc`. */
const LEADING_FLAGS = /^\(\?([ims]+)\)/

/**
 * Pattern of REGEX(). The daemon uses RE2; what JavaScript cannot read is refused.
 *
 * @throws DaemonError when it is not a regular expression.
 */
export function compilePattern(pattern: string): RegExp {
  const flags = LEADING_FLAGS.exec(pattern)
  const source = flags === null ? pattern : pattern.slice(flags[0].length)
  try {
    return new RegExp(source, `u${flags?.[1] ?? ''}`)
  } catch (cause) {
    throw new DaemonError(
      `invalid regular expression '${pattern}': ${cause instanceof Error ? cause.message : ''}`,
    )
  }
}

/** The functions that compiled expressions call: what the dialect has and SQLite lacks. */
export function registerFunctions(database: DatabaseSync): void {
  const options = { deterministic: true, useBigIntArguments: true } as const
  const patterns = new Map<string, RegExp>()
  database.function('regex_matches', options, (text, pattern) => {
    const key = String(pattern)
    let compiled = patterns.get(key)
    if (compiled === undefined) {
      if (patterns.size >= MAX_COMPILED_PATTERNS) patterns.clear()
      compiled = compilePattern(key)
      patterns.set(key, compiled)
    }
    return compiled.test(String(text ?? '')) ? 1 : 0
  })
  database.function('crc32', options, (text) => crc32(String(text ?? '')))
  database.function('float_text', { deterministic: true }, (value) => decimalText(Math.fround(Number(value))))
  database.function('double_text', { deterministic: true }, (value) => decimalText(Number(value)))
  database.function('multi_compares', options, (text, quantifier, operator, other) =>
    multiCompares(String(text), String(quantifier), String(operator), BigInt(String(other))) ? 1 : 0,
  )
  database.function('multi_in', options, (text, quantifier, wanted) =>
    multiIn(String(text), String(quantifier), String(wanted)) ? 1 : 0,
  )
}
