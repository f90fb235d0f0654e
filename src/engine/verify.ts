import { InputError, NodeError } from '../domain/errors.ts'
import type { CallOptions, Clock, NodeCatalog, NodeConnector } from '../domain/ports.ts'
import type { ColumnDefinition } from '../domain/statement.ts'
import type { NodeId } from '../domain/words.ts'
import { DigestReader, type Doubtful, type IdRange, type RangeDigest, type RowId } from './row-digest.ts'

/** How long one reply may take, in milliseconds: that of a whole range with long JSON documents takes tenths of one. */
const CALL_TIMEOUT_MS = 30_000
/**
 * Rows compared at once: the fewer, the more of the time goes into finding where ranges end; the more, the more
 * often a write falls between the looks at two nodes. The sums of `row-digest.ts` allow 32,000.
 */
const RANGE_ROWS = 20_000
/** A range that differs is read again in so many parts: under writes a short one is seen alike on all nodes soon. */
const PARTS_OF_DIFFERENT = 16
/** Fewer rows at once make no look shorter. */
const MIN_RANGE_ROWS = 16
/** Copies that differ while clients write are read again for this long, in milliseconds. */
const DEFAULT_PATIENCE_MS = 30_000
/** So often a difference is looked at before it counts: by then it is told within the fewest rows at once. */
const MIN_LOOKS = 4
/** First and longest wait before ranges are read again, in milliseconds: a write reaches all nodes within a few. */
const FIRST_WAIT_MS = 10
const MAX_WAIT_MS = 250
/** Time spent on more ranges before those that differ are looked at again, in milliseconds. */
const ROUND_MS = 1_000
/** With so many different ranges the others can wait: the copies are hardly equal. It also bounds the memory. */
const MAX_DIFFERENT_RANGES = 32

export interface VerifyParts {
  readonly connector: NodeConnector
  readonly catalog: NodeCatalog
  readonly clock: Clock
}

export type Verification =
  | { readonly kind: 'equal'; readonly rows: number }
  | {
      readonly kind: 'different'
      /** One sentence: which table, which nodes, which ids, how. */
      readonly difference: string
    }

export interface VerifyRequest {
  /** A physical table, e.g. `system.users_s0`. */
  readonly table: string
  /** Two or more. */
  readonly nodes: readonly NodeId[]
  readonly signal?: AbortSignal
  /** How long a range may differ before it counts, in milliseconds; default 30 s. */
  readonly patienceMs?: number
}

/**
 * Compares the copies of one table on several nodes, all rows and all columns, while clients may go on writing.
 *
 * A range of ids that differs, or a reply with a warning (the daemon gives partial results that way), is not
 * trusted but read again, in ever smaller parts, until it was seen equal on all nodes at one moment or the
 * patience is over. What can be compared of a row, see `row-digest.ts`.
 *
 * @throws NodeError when a node does not answer, InputError for fewer than two nodes
 */
export async function verifyCopies(parts: VerifyParts, request: VerifyRequest): Promise<Verification> {
  const nodes = [...new Set(request.nodes)]
  if (nodes.length < 2)
    throw new InputError('nodes', 'give at least two nodes: one copy has nothing to equal')
  const { table, signal } = request
  const options = { timeoutMs: CALL_TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) }
  try {
    const definitions = await Promise.all(
      nodes.map(async (node) => await parts.catalog.columns(node, table, options)),
    )
    const difference = differenceOfColumns(nodes, definitions)
    if (difference !== null) return { kind: 'different', difference: `${table} ${difference}` }
    return await new Comparison(parts, request, nodes, definitions[0] ?? [], options).run()
  } catch (error) {
    if (!(error instanceof NodeError) || error.code !== 'missing') throw error
    return { kind: 'different', difference: `${table} is not there on ${error.node}` }
  }
}

/** A part of the table that was not yet seen equal. */
interface Span extends IdRange {
  /** How many of its rows to compare at once. */
  readonly rowsAtOnce: number
  readonly finding: Finding | null
}

/** What was last seen different in a span. */
interface Finding {
  readonly difference: string
  /** When it began, in milliseconds since 1970-01-01 UTC. */
  readonly since: number
  readonly looks: number
}

/** One run over all rows of one table. */
class Comparison {
  readonly #clock: Clock
  readonly #request: VerifyRequest
  readonly #nodes: readonly NodeId[]
  readonly #readers: readonly DigestReader[]
  #equalRows = 0

  constructor(
    parts: VerifyParts,
    request: VerifyRequest,
    nodes: readonly NodeId[],
    columns: readonly ColumnDefinition[],
    options: CallOptions,
  ) {
    this.#clock = parts.clock
    this.#request = request
    this.#nodes = nodes
    this.#readers = nodes.map(
      (node) => new DigestReader(parts.connector.connection(node), request.table, columns, options),
    )
  }

  async run(): Promise<Verification> {
    const { table, signal, patienceMs = DEFAULT_PATIENCE_MS } = this.#request
    let spans: readonly Span[] = [{ after: null, upTo: null, rowsAtOnce: RANGE_ROWS, finding: null }]
    for (;;) {
      const { different, unread } = await this.#round(spans)
      const findings = different.flatMap(({ finding }) => (finding === null ? [] : [finding]))
      const lasting = findings.find(
        ({ since, looks }) => looks >= MIN_LOOKS && this.#clock.now() - since >= patienceMs,
      )
      if (lasting !== undefined) return { kind: 'different', difference: `${table} ${lasting.difference}` }
      spans = [...different, ...unread]
      if (spans.length === 0) return { kind: 'equal', rows: this.#equalRows }
      await this.#clock.sleep(waitMs(findings), signal)
    }
  }

  /** Reads as many spans as make sense before the first different one is to be looked at again. */
  async #round(spans: readonly Span[]): Promise<{ different: Span[]; unread: Span[] }> {
    const different: Span[] = []
    const unread: Span[] = []
    let endAt = Infinity
    for (const span of spans) {
      let rest: Span | null = span
      while (rest !== null && different.length < MAX_DIFFERENT_RANGES && this.#clock.now() < endAt) {
        this.#request.signal?.throwIfAborted()
        const step = await this.#step(rest)
        if (step.different !== null) {
          different.push(step.different)
          endAt = Math.min(endAt, this.#clock.now() + ROUND_MS)
        }
        rest = step.rest
      }
      if (rest !== null) unread.push(rest)
    }
    return { different, unread }
  }

  /** Compares the first rows of a span. */
  async #step(span: Span): Promise<{ different: Span | null; rest: Span | null }> {
    const end = await this.#endOfRange(span)
    if (typeof end === 'object' && end !== null) {
      return { different: this.#again(span, span, end.difference), rest: null }
    }
    const range: IdRange = { after: span.after, upTo: end }
    const rest = end === span.upTo ? null : { ...span, after: end }
    const digests = await Promise.all(this.#readers.map(async (reader) => await reader.digest(range)))
    const difference = differenceOfDigests(this.#nodes, digests, range)
    if (difference !== null) return { different: this.#again(span, range, difference), rest }
    const [first] = digests
    if (first !== undefined && 'rows' in first) this.#equalRows += first.rows
    return { different: null, rest }
  }

  /** So that no node has more rows in the range than are compared at once. */
  async #endOfRange(span: Span): Promise<RowId | null | { readonly difference: string }> {
    const ids = await Promise.all(
      this.#readers.map(async (reader) => await reader.idAt(span, span.rowsAtOnce)),
    )
    let end = span.upTo
    for (const [index, id] of ids.entries()) {
      if (typeof id === 'object') {
        if (id !== null) return { difference: doubt(this.#nodes[index] ?? '', id, span) }
      } else if (end === null || id < end) {
        end = id
      }
    }
    return end
  }

  #again(span: Span, range: IdRange, difference: string): Span {
    const since = span.finding?.since ?? this.#clock.now()
    const looks = (span.finding?.looks ?? 0) + 1
    const rowsAtOnce = Math.max(MIN_RANGE_ROWS, Math.floor(span.rowsAtOnce / PARTS_OF_DIFFERENT))
    return { after: range.after, upTo: range.upTo, rowsAtOnce, finding: { difference, since, looks } }
  }
}

/** Short while there is something that was looked at only once. */
function waitMs(findings: readonly Finding[]): number {
  const looks = Math.min(...findings.map((finding) => finding.looks))
  return Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** (looks - 1))
}

function differenceOfColumns(
  nodes: readonly NodeId[],
  definitions: readonly (readonly ColumnDefinition[])[],
): string | null {
  const texts = definitions.map((columns) =>
    columns.map(({ name, type, properties }) => [name, type, ...properties.toSorted()].join(' ')).join(', '),
  )
  const other = texts.findIndex((text) => text !== texts[0])
  if (other < 0) return null
  return `has the columns (${texts[0] ?? ''}) on ${nodes[0] ?? ''} and (${texts[other] ?? ''}) on ${nodes[other] ?? ''}`
}

function differenceOfDigests(
  nodes: readonly NodeId[],
  digests: readonly (RangeDigest | Doubtful)[],
  range: IdRange,
): string | null {
  const [first, ...others] = digests
  for (const [index, digest] of digests.entries()) {
    if ('warning' in digest) return doubt(nodes[index] ?? '', digest, range)
  }
  if (first === undefined || 'warning' in first) return null
  for (const [index, other] of others.entries()) {
    const how = 'warning' in other ? null : differenceOfTwo(first, other)
    if (how !== null) {
      return `differs between ${nodes[0] ?? ''} and ${nodes[index + 1] ?? ''} ${rangeText(range)}: ${how}`
    }
  }
  return null
}

function differenceOfTwo(one: RangeDigest, other: RangeDigest): string | null {
  if (one.rows !== other.rows) return `${one.rows} rows and ${other.rows}`
  const columns = [...one.columns].filter(([name, digest]) => other.columns.get(name) !== digest)
  if (columns.length === 0) return null
  if (columns.some(([name]) => name === 'id')) return `${one.rows} rows each, but not of the same ids`
  return `${one.rows} rows each, but other values of ${columns.map(([name]) => name).join(', ')}`
}

function doubt(node: NodeId, { warning }: Doubtful, range: IdRange): string {
  return `was not shown completely by ${node} ${rangeText(range)}: ${warning}`
}

function rangeText({ after, upTo }: IdRange): string {
  if (after === null) return upTo === null ? 'over all ids' : `up to id ${upTo}`
  return upTo === null ? `behind id ${after}` : `behind id ${after} up to ${upTo}`
}
