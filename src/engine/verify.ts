import { NodeError } from '../domain/errors.ts'
import type { CallOptions, Clock, NodeCatalog, NodeConnector } from '../domain/ports.ts'
import type { Row } from '../domain/values.ts'
import type { NodeId } from '../domain/words.ts'
import { renderStatement } from '../sql/index.ts'
import { all, compare, select } from './where.ts'

/** How long one page may take, in milliseconds. */
const CALL_TIMEOUT_MS = 30_000
/** Rows compared at once: one page a node is all that is held in memory. The daemon returns 1,000 at most by default. */
const PAGE_ROWS = 1_000
/** Copies that differ while clients write are read again for this long, in milliseconds. */
const DEFAULT_PATIENCE_MS = 30_000
/** First and longest wait before a page is read again, in milliseconds: an UPDATE reaches all members within a few. */
const FIRST_WAIT_MS = 5
const MAX_WAIT_MS = 500

export interface VerifyParts {
  readonly connector: NodeConnector
  readonly catalog: NodeCatalog
  readonly clock: Clock
}

export type Verification =
  | { readonly kind: 'equal'; readonly rows: number }
  | {
      readonly kind: 'different'
      /** One sentence: which nodes, which ids, how. */
      readonly difference: string
    }

export interface VerifyRequest {
  /** A physical table, e.g. `system.users_s0`. */
  readonly table: string
  readonly nodes: readonly NodeId[]
  readonly signal?: AbortSignal
  readonly patienceMs?: number
}

/**
 * Compares the copies of one table on several nodes, all rows and all columns, while clients may go on writing.
 * A page that differs is read again, not trusted, and so is a reply with a warning: the daemon answers partial
 * results that way.
 *
 * @throws NodeError when a node does not answer
 */
export async function verifyCopies(parts: VerifyParts, request: VerifyRequest): Promise<Verification> {
  const [first, ...others] = request.nodes
  if (first === undefined) return { kind: 'equal', rows: 0 }
  const giveUpAt = parts.clock.now() + (request.patienceMs ?? DEFAULT_PATIENCE_MS)
  let rows = 0
  for (let after: Bound = null; ; ) {
    const page = await comparePage(parts, request, { first, others, after, giveUpAt })
    if ('difference' in page) return { kind: 'different', difference: page.difference }
    rows += page.rows
    if (page.last === null) return { kind: 'equal', rows }
    after = page.last
  }
}

/** The last id of the page before; null: there is none. */
type Bound = number | bigint | null

interface PageRequest {
  readonly first: NodeId
  readonly others: readonly NodeId[]
  readonly after: Bound
  readonly giveUpAt: number
}

type PageResult = { readonly rows: number; readonly last: Bound } | { readonly difference: string }

async function comparePage(
  parts: VerifyParts,
  request: VerifyRequest,
  { first, others, after, giveUpAt }: PageRequest,
): Promise<PageResult> {
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(2 * wait, MAX_WAIT_MS)) {
    const page = await readPage(parts, request, first, after, null)
    const isLast = page !== null && page.length < PAGE_ROWS
    const last = isLast ? null : idOf(page?.at(-1))
    const pages = await Promise.all(
      others.map(async (node) => await readPage(parts, request, node, after, last)),
    )
    const difference = differenceOf(page, pages, first, others)
    if (difference === null) return { rows: page?.length ?? 0, last }
    if (parts.clock.now() >= giveUpAt) return { difference }
    await parts.clock.sleep(wait, request.signal)
  }
}

/** Null: the node answered only in part. */
async function readPage(
  { connector }: VerifyParts,
  { table, signal }: VerifyRequest,
  node: NodeId,
  after: Bound,
  last: Bound,
): Promise<readonly Row[] | null> {
  const bounds = [
    ...(after === null ? [] : [compare('id', '>', after)]),
    ...(last === null ? [] : [compare('id', '<=', last)]),
  ]
  const [bound, ...more] = bounds
  const where = bound === undefined ? null : all(bound, ...more)
  const options: CallOptions = { timeoutMs: CALL_TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) }
  const query = renderStatement(select(table, where, { limit: PAGE_ROWS }))
  try {
    const reply = await connector.connection(node).read(query, options)
    return reply.warning === '' ? reply.rows : null
  } catch (error) {
    if (error instanceof NodeError && error.code === 'missing') return null
    throw error
  }
}

function idOf(row: Row | undefined): Bound {
  const id = row?.['id']
  return typeof id === 'number' || typeof id === 'bigint' ? id : null
}

function differenceOf(
  page: readonly Row[] | null,
  pages: readonly (readonly Row[] | null)[],
  first: NodeId,
  others: readonly NodeId[],
): string | null {
  if (page === null) return `${first} does not show all its rows`
  for (const [index, other] of pages.entries()) {
    const node = others[index] ?? ''
    if (other === null) return `${node} does not show all its rows`
    const difference = firstDifference(page, other)
    if (difference !== null) return `${first} and ${node} differ ${difference}`
  }
  return null
}

function firstDifference(a: readonly Row[], b: readonly Row[]): string | null {
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    const [left, right] = [a[index], b[index]]
    if (left === undefined || right === undefined || idOf(left) !== idOf(right)) {
      return `at row ${String(idOf(left) ?? idOf(right))}: only one of them has it`
    }
    if (text(left) !== text(right)) return `in row ${String(idOf(left))}`
  }
  return null
}

function text(row: Row): string {
  return JSON.stringify(row, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value))
}
