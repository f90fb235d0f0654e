import type { Value } from '../domain/values.ts'
import type { StatementResult } from './store.ts'

/** The answer of a statement without a result set. */
export function done(total = 0, warning = ''): StatementResult {
  return { columns: [], rows: [], total, warning }
}

/** A result set of text columns, as all SHOW statements give. */
export function textRows(names: readonly string[], rows: readonly (readonly Value[])[]): StatementResult {
  return {
    columns: names.map((name) => ({ name, type: 'string' })),
    rows: rows.map((cells) => Object.fromEntries(names.map((name, index) => [name, cells[index] ?? '']))),
    total: rows.length,
    warning: '',
  }
}

const SYNTAX_CHARACTERS = /[\\^$.*+?()[\]{}|/]/g

/** LIKE of SHOW statements: `%` is any text, `_` any character; case does not count. */
export function likeMatcher(like: string | null): (text: string) => boolean {
  if (like === null) return () => true
  const source = like.replaceAll(/[%_]|[^%_]+/g, (part) =>
    part === '%' ? '.*' : part === '_' ? '.' : part.replaceAll(SYNTAX_CHARACTERS, String.raw`\$&`),
  )
  const pattern = new RegExp(`^${source}$`, 'isu')
  return (text) => pattern.test(text)
}
