import type { ResultColumn, Row, Value } from '../domain/values.ts'
import { compactInteger } from './sqlite/multi-value.ts'
import { DaemonError, type StatementResult } from './store.ts'

/** Digits behind the point of a `float` column. */
const FLOAT_DIGITS = 6

/** The body that the daemon's `/sql?mode=raw` and `/cli_json` answer with. 64-bit integers are bare numbers. */
export function encodeReply(result: StatementResult): string {
  const end = `"total":${result.total},"error":"","warning":${JSON.stringify(result.warning)}}]`
  if (result.columns.length === 0) return `[{${end}`
  const columns = result.columns.map(
    ({ name, type }) => `{${JSON.stringify(name)}:{"type":${JSON.stringify(type)}}}`,
  )
  const keys = result.columns.map(({ name }) => `${JSON.stringify(name)}:`)
  const rows = result.rows.map((row) => encodeRow(result.columns, keys, row))
  return `[{"columns":[${columns.join(',')}],"data":[${rows.join(',\n')}],${end}`
}

function encodeRow(columns: readonly ResultColumn[], keys: readonly string[], row: Row): string {
  const cells = columns.map(
    (column, index) => `${keys[index] ?? ''}${encodeValue(row[column.name] ?? null, column)}`,
  )
  return `{${cells.join(',')}}`
}

function encodeValue(value: Value, column: ResultColumn): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value !== 'number') return String(value)
  if (!Number.isFinite(value)) return '0'
  return column.type === 'float' ? value.toFixed(FLOAT_DIGITS) : String(value)
}

/** The body of a failure. */
export function encodeError(message: string): string {
  return JSON.stringify({ error: message })
}

/**
 * Reads a body of {@link encodeReply}.
 *
 * @throws DaemonError when it is one of {@link encodeError}; TypeError when it is neither.
 */
export function decodeReply(body: string): StatementResult {
  const parsed = parseExact(body)
  if (isRecord(parsed) && typeof parsed['error'] === 'string') throw new DaemonError(parsed['error'])
  const answer: unknown = Array.isArray(parsed) ? parsed[0] : undefined
  if (!isRecord(answer)) throw new TypeError('not the answer to a statement')
  return {
    columns: list(answer['columns']).map(decodeColumn),
    rows: list(answer['data']).map(decodeRow),
    total: Number(answer['total']),
    warning: typeof answer['warning'] === 'string' ? answer['warning'] : '',
  }
}

/** JSON.parse, but integers that a double cannot hold become bigint. */
function parseExact(text: string): unknown {
  const parsed: unknown = JSON.parse(text, (_key, value: unknown, context?: { readonly source?: string }) => {
    const source = context?.source
    const isInexact = typeof value === 'number' && !Number.isSafeInteger(value)
    return isInexact && source !== undefined && /^-?\d+$/.test(source)
      ? compactInteger(BigInt(source))
      : value
  })
  return parsed
}

function decodeColumn(column: unknown): ResultColumn {
  const [entry] = isRecord(column) ? Object.entries(column) : []
  if (entry === undefined || !isRecord(entry[1])) throw new TypeError('not a description of a column')
  return { name: entry[0], type: String(entry[1]['type']) }
}

function decodeRow(row: unknown): Row {
  if (!isRecord(row)) throw new TypeError('not a row')
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, decodeValue(value)]))
}

function decodeValue(value: unknown): Value {
  if (value === null || typeof value === 'string' || typeof value === 'number') return value
  if (typeof value === 'bigint' || typeof value === 'boolean') return value
  throw new TypeError('not a cell')
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
