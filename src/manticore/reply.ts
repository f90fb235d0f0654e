import type { Reply, ResultColumn, Row, Value } from '../domain/values.ts'

/**
 * What a node's HTTP endpoint put into the body of its answer.
 * - `reply`: the statement worked.
 * - `failure`: the daemon refused it; `text` is what it said, word for word.
 * - `alien`: nothing that a Manticore daemon answers.
 */
export type DecodedBody =
  | { readonly kind: 'reply'; readonly reply: Reply }
  | { readonly kind: 'failure'; readonly text: string }
  | { readonly kind: 'alien'; readonly why: string }

/** A double holds every integer of up to 15 digits, so only text with a longer run needs the slower parser. */
const POSSIBLY_INEXACT = /\d{16}/
const INTEGER = /^-?\d+$/

/**
 * `JSON.parse` that keeps integers exact: those that a double cannot hold become `bigint`.
 *
 * @throws SyntaxError when the text is no JSON.
 */
export function parseExactJson(text: string): unknown {
  if (!POSSIBLY_INEXACT.test(text)) return JSON.parse(text)
  return JSON.parse(text, exactIntegers)
}

function exactIntegers(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value
  const source = context?.source
  return source !== undefined && INTEGER.test(source) ? BigInt(source) : value
}

/** Decodes the body of an answer. Never throws. */
export function decodeBody(text: string): DecodedBody {
  let body: unknown
  try {
    body = parseExactJson(text)
  } catch {
    return { kind: 'alien', why: 'no JSON' }
  }
  if (Array.isArray(body)) return decodeResultSets(body)
  if (isObject(body) && typeof body['error'] === 'string') return { kind: 'failure', text: body['error'] }
  return { kind: 'alien', why: 'JSON of another form' }
}

function decodeResultSets(sets: readonly unknown[]): DecodedBody {
  const [set] = sets
  if (!isObject(set)) return { kind: 'alien', why: 'JSON of another form' }
  const failed = sets.find((one) => isObject(one) && typeof one['error'] === 'string' && one['error'] !== '')
  if (isObject(failed)) return { kind: 'failure', text: String(failed['error']) }
  if (sets.length > 1) {
    return { kind: 'failure', text: `${sets.length} result sets came back where one is expected` }
  }
  return decodeResultSet(set)
}

function decodeResultSet(set: Readonly<Record<string, unknown>>): DecodedBody {
  const columns = decodeColumns(set['columns'] ?? [])
  const rows = decodeRows(set['data'] ?? [])
  const total = set['total']
  if (columns === null || rows === null || (typeof total !== 'number' && typeof total !== 'bigint')) {
    return { kind: 'alien', why: 'JSON of another form' }
  }
  const warning = typeof set['warning'] === 'string' ? set['warning'] : ''
  return { kind: 'reply', reply: { columns, rows, total: Number(total), warning } }
}

/** `[{"id": {"type": "long long"}}, …]`, or null when it is anything else. */
function decodeColumns(list: unknown): ResultColumn[] | null {
  if (!Array.isArray(list)) return null
  const columns: ResultColumn[] = []
  for (const item of list) {
    if (!isObject(item)) return null
    for (const [name, description] of Object.entries(item)) {
      if (!isObject(description) || typeof description['type'] !== 'string') return null
      columns.push({ name, type: description['type'] })
    }
  }
  return columns
}

function decodeRows(list: unknown): Row[] | null {
  if (!Array.isArray(list)) return null
  const rows: Row[] = []
  for (const item of list) {
    if (!isObject(item)) return null
    rows.push(isRow(item) ? item : flatRow(item))
  }
  return rows
}

function isRow(item: Readonly<Record<string, unknown>>): item is Row {
  for (const name in item) {
    const cell = item[name]
    if (typeof cell === 'object' && cell !== null) return false
  }
  return true
}

/** A row whose JSON or multi-value cells did not come as text is brought into that form. */
function flatRow(item: Readonly<Record<string, unknown>>): Row {
  const entries = Object.entries(item).map(([name, cell]): [string, Value] => [name, flatCell(cell)])
  return Object.fromEntries(entries)
}

function flatCell(cell: unknown): Value {
  if (cell === null || typeof cell === 'string' || typeof cell === 'number') return cell
  if (typeof cell === 'bigint' || typeof cell === 'boolean') return cell
  return exactJsonText(cell)
}

/** `JSON.stringify` that also writes `bigint`, as a bare number. Only for what `parseExactJson` made. */
function exactJsonText(value: unknown): string {
  if (typeof value === 'bigint') return value.toString()
  if (Array.isArray(value)) return `[${value.map(exactJsonText).join(',')}]`
  if (isObject(value)) {
    const members = Object.entries(value).map(
      ([key, item]) => `${JSON.stringify(key)}:${exactJsonText(item)}`,
    )
    return `{${members.join(',')}}`
  }
  return JSON.stringify(value)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
