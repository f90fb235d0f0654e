import { InputError, NodeError, type NodeErrorCode, ShardingError } from '../domain/errors.ts'
import type { Clock, NodeConnection, NodeConnector } from '../domain/ports.ts'
import type { Reply } from '../domain/values.ts'
import type { NodeId } from '../domain/words.ts'
import { LoadFindings, type LoadFailure, type WrongCount } from './load-findings.ts'
import { CountHistory } from './load-history.ts'
import { LoadLedger } from './load-ledger.ts'
import { countRows, insertRow, updateRow } from './load-rows.ts'
import { compareRows, type LoadDifferences } from './load-verify.ts'

const DEFAULT_WRITERS = 3
const DEFAULT_READERS = 3
/** Long enough to leave the machine to others, short enough to meet the milliseconds of a change of definition. */
const DEFAULT_PAUSE_MS = 2
const DEFAULT_UPDATE_EVERY = 5
/** Clients at most: a node takes no more than a few statements at once anyway. */
const MAX_CLIENTS = 1_000
/** No application waits longer for one row. */
const REQUEST_TIMEOUT_MS = 10_000
/** Rows updated one after the other lie this far apart: a prime, so that all rows have their turn. */
const UPDATE_STRIDE = 7_919

/** Failures of statements that were not sent. */
const NEVER_LEFT: ReadonlySet<string> = new Set<NodeErrorCode>(['unreachable', 'closed'])
/** Failures after which a write may have taken effect all the same. */
const MAY_HAVE_HAPPENED: ReadonlySet<string> = new Set<NodeErrorCode>([
  'outcome_unknown',
  // Every id is written once: the node itself has sent it twice.
  'duplicate',
  // What garbled the answer was asked to do something first.
  'not_manticore',
])

export interface LoadOptions {
  readonly connector: NodeConnector
  /** Paces the clients and dates what they see. */
  readonly clock: Clock
  /** Writer and reader number `i` use `nodes[i % nodes.length]`. */
  readonly nodes: readonly NodeId[]
  /** A sharded table with the columns of {@link LOAD_STRUCTURE}, empty. */
  readonly table: string
  /** Default 3. */
  readonly writers?: number
  /** Default 3. */
  readonly readers?: number
  /** Between two requests of one client; default 2. */
  readonly pauseMs?: number
  /** The first id, above 0; default 1. The others follow without gaps. */
  readonly firstId?: number
  /** Every how many requests of a writer is an UPDATE of a row of its own; default 5, at least 2. */
  readonly updateEvery?: number
  /** How long an acknowledged write may take until every node shows it; default 0. */
  readonly settleMs?: number
}

export interface LoadReport {
  /** Rows inserted for certain. */
  readonly acknowledged: number
  /** Updates done for certain. */
  readonly updates: number
  /** Counts answered in full. */
  readonly reads: number
  /** Requests that failed or were answered only in part. */
  readonly failedRequests: number
  /**
   * Longest time during which one node answered no request of ours, in milliseconds: from the first failed request
   * to the next success on that node, or to the last failed one when there was no success any more.
   */
  readonly longestGapMs: number
  /** Failed requests by node and error text; the first 100 kinds. */
  readonly failures: readonly LoadFailure[]
  /**
   * Counts below what had been acknowledged `settleMs` before they were asked for, or above what may have been there
   * when they were answered; the first 100.
   */
  readonly wrongCounts: readonly WrongCount[]
}

/** How a request failed: it never left, a node said no to it, or it may have been done. */
type Failure = 'unsent' | 'refused' | 'unknown'

type Outcome = { readonly kind: 'answered'; readonly reply: Reply } | { readonly kind: Failure }

/**
 * Clients that write and read a sharded table all the time through different nodes, and the proof afterwards of what
 * has become of their rows. Nothing else may write to the table.
 *
 * @example
 * const load = Load.start({ connector, clock, nodes, table: 'users' })
 * await rebalance()
 * const { wrongCounts } = await load.stop()
 * const { missing, doubled } = await load.verify(nodes[0])
 */
export class Load {
  readonly #options: LoadOptions
  readonly #settleMs: number
  readonly #ledger: LoadLedger
  readonly #findings: LoadFindings
  readonly #acknowledgedBy: CountHistory
  readonly #stopping = new AbortController()
  readonly #clients: Promise<readonly PromiseSettledResult<void>[]>
  #nodes: readonly NodeId[]
  #updates = 0
  #reads = 0
  #lastWriteAt = -Infinity
  #report: Promise<LoadReport> | null = null
  #stopped = false

  private constructor(options: LoadOptions) {
    const { firstId = 1, writers = DEFAULT_WRITERS, readers = DEFAULT_READERS } = options
    this.#options = options
    this.#settleMs = options.settleMs ?? 0
    this.#nodes = options.nodes
    this.#ledger = new LoadLedger(firstId)
    this.#findings = new LoadFindings(options.nodes)
    this.#acknowledgedBy = new CountHistory(this.#settleMs)
    const clients = [
      ...Array.from({ length: writers }, (_, number) => this.#write(number)),
      ...Array.from({ length: readers }, (_, number) => this.#read(number)),
    ]
    // Settled, so that a client that breaks does not end the process before stop() tells of it.
    this.#clients = Promise.allSettled(clients)
  }

  /** @throws InputError for options that cannot be used. */
  static start(options: LoadOptions): Load {
    checkNodes(options.nodes)
    countRows(options.table)
    checkInteger('writers', options.writers ?? DEFAULT_WRITERS, 0, MAX_CLIENTS)
    checkInteger('readers', options.readers ?? DEFAULT_READERS, 0, MAX_CLIENTS)
    checkInteger('firstId', options.firstId ?? 1, 1, Number.MAX_SAFE_INTEGER / 2)
    checkInteger('updateEvery', options.updateEvery ?? DEFAULT_UPDATE_EVERY, 2, Number.MAX_SAFE_INTEGER)
    return new Load(options)
  }

  /**
   * Moves the clients over to these nodes. A request under way is not given up.
   *
   * @throws InputError when there are none
   */
  setNodes(nodes: readonly NodeId[]): void {
    checkNodes(nodes)
    this.#nodes = nodes
    this.#findings.askedFromNowOn(nodes)
  }

  /** Rows inserted for certain. */
  get acknowledged(): number {
    return this.#ledger.acknowledged
  }

  /** Resolves when no request is in flight. May be called again. */
  stop(): Promise<LoadReport> {
    this.#report ??= this.#stop()
    return this.#report
  }

  /**
   * Reads all rows through `node` and says what is wrong. A row whose INSERT had no answer may be there or not, but
   * only once; one with an UPDATE that failed may have it or not. A node that cannot reach a shard may leave out its
   * rows for some seconds without a word, so it is asked again before a row counts as missing.
   *
   * @throws InputError before stop() has resolved
   * @throws NodeError when the node does not answer in full
   */
  async verify(node: NodeId): Promise<LoadDifferences> {
    if (!this.#stopped) throw new InputError('load', 'the load still writes; await stop() first')
    const { clock, connector, table } = this.#options
    const waitMs = this.#lastWriteAt + this.#settleMs - clock.now()
    if (waitMs > 0) await clock.sleep(waitMs)
    return await compareRows(table, this.#ledger, connector.connection(node), clock)
  }

  async #stop(): Promise<LoadReport> {
    this.#stopping.abort()
    const broken = (await this.#clients).find((client) => client.status === 'rejected')
    this.#stopped = true
    if (broken !== undefined) throw broken.reason
    const { failedRequests, longestGapMs, failures, wrongCounts } = this.#findings
    return {
      acknowledged: this.#ledger.acknowledged,
      updates: this.#updates,
      reads: this.#reads,
      failedRequests,
      longestGapMs,
      failures,
      wrongCounts,
    }
  }

  async #write(client: number): Promise<void> {
    const { updateEvery = DEFAULT_UPDATE_EVERY } = this.#options
    const rows = new OwnRows(this.#settleMs)
    for (let turn = 1; !this.#stopping.signal.aborted; turn++) {
      const isUpdatesTurn = turn % updateEvery === 0 || this.#ledger.full
      const updatable = isUpdatesTurn ? rows.next(this.#options.clock.now() - this.#settleMs) : undefined
      const version = updatable === undefined ? null : this.#ledger.beginUpdate(updatable)
      if (updatable !== undefined && version !== null) await this.#update(client, updatable, version)
      else if (!this.#ledger.full) await this.#insert(client, rows)
      await this.#pause()
    }
  }

  async #insert(client: number, rows: OwnRows): Promise<void> {
    const id = this.#ledger.beginInsert()
    const { kind } = await this.#change(client, id, insertRow(this.#options.table, id))
    if (kind === 'unsent' || kind === 'refused') this.#ledger.refuseInsert(id)
    if (kind !== 'answered') return
    const now = this.#options.clock.now()
    this.#ledger.acknowledgeInsert(id)
    this.#acknowledgedBy.add(now)
    rows.add(id, now)
  }

  async #update(client: number, id: number, version: number): Promise<void> {
    const { kind } = await this.#change(client, id, updateRow(this.#options.table, id, version))
    // What one copy of the shard has refused may have been done on another.
    if (kind === 'unsent') this.#ledger.forgetUpdate(id)
    if (kind !== 'answered') return
    this.#ledger.acknowledgeUpdate(id)
    this.#updates += 1
  }

  /** A statement that changes one row. An UPDATE goes to every copy of a remote shard, and may count each of them. */
  async #change(client: number, id: number, sql: string): Promise<Outcome> {
    const outcome = await this.#request(
      this.#nodeOf(client),
      async (connection) => await connection.execute(sql, { timeoutMs: REQUEST_TIMEOUT_MS }),
      ({ total }) => (total > 0 ? '' : `${sql.slice(0, sql.indexOf(' '))} changed no row`),
      // Otherwise every row would be another kind of failure.
      (text) => text.replaceAll(`'${id}'`, "'…'"),
    )
    this.#lastWriteAt = this.#options.clock.now()
    return outcome
  }

  async #read(client: number): Promise<void> {
    const { clock, table } = this.#options
    while (!this.#stopping.signal.aborted) {
      const node = this.#nodeOf(client)
      const expectedMin = this.#acknowledgedBy.at(clock.now() - this.#settleMs)
      const outcome = await this.#request(
        node,
        async (connection) => await connection.read(countRows(table), { timeoutMs: REQUEST_TIMEOUT_MS }),
        (reply) => (Number.isSafeInteger(countIn(reply)) ? '' : 'the count came without a number'),
      )
      if (outcome.kind === 'answered') {
        this.#reads += 1
        this.#findings.counted({
          node,
          at: clock.now(),
          expectedMin,
          expectedMax: this.#ledger.possible,
          found: countIn(outcome.reply),
        })
      }
      await this.#pause()
    }
  }

  /** Sends one request to a node. `complaint` says what is wrong with an answer, or `''`. */
  async #request(
    node: NodeId,
    send: (connection: NodeConnection) => Promise<Reply>,
    complaint: (reply: Reply) => string,
    kindOfText: (text: string) => string = (text) => text,
  ): Promise<Outcome> {
    const { clock, connector } = this.#options
    const begunAt = clock.now()
    const fail = (text: string): void => {
      this.#findings.failed(node, kindOfText(text), begunAt, clock.now())
    }
    try {
      const reply = await send(connector.connection(node))
      const wrong = reply.warning || complaint(reply)
      if (wrong === '') {
        this.#findings.answered(node, clock.now())
        return { kind: 'answered', reply }
      }
      fail(wrong)
      return { kind: 'unknown' }
    } catch (error) {
      if (!(error instanceof ShardingError)) throw error
      fail(failureText(error))
      return { kind: outcomeOf(error) }
    }
  }

  #nodeOf(client: number): NodeId {
    return this.#nodes[client % this.#nodes.length] ?? ''
  }

  async #pause(): Promise<void> {
    const { clock, pauseMs = DEFAULT_PAUSE_MS } = this.#options
    const { signal } = this.#stopping
    try {
      await clock.sleep(pauseMs, signal)
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }
}

/** The rows that one writer has inserted, and the one to update next. */
class OwnRows {
  readonly #ids: number[] = []
  readonly #countBy: CountHistory
  #turns = 0

  constructor(settleMs: number) {
    this.#countBy = new CountHistory(settleMs)
  }

  add(id: number, now: number): void {
    this.#ids.push(id)
    this.#countBy.add(now)
  }

  /** One of the rows inserted by `time`: a node that is behind would find no later one to update. */
  next(time: number): number | undefined {
    const settled = this.#countBy.at(time)
    if (settled === 0) return undefined
    this.#turns += 1
    return this.#ids[(this.#turns * UPDATE_STRIDE) % settled]
  }
}

function outcomeOf({ code }: ShardingError): Failure {
  if (NEVER_LEFT.has(code)) return 'unsent'
  return MAY_HAVE_HAPPENED.has(code) ? 'unknown' : 'refused'
}

function countIn({ rows }: Reply): number {
  const [count] = Object.values(rows[0] ?? {})
  return Number(count ?? Number.NaN)
}

/** What went wrong, without the statement: that names the row, and every row would be a kind of its own. */
function failureText(error: ShardingError): string {
  const daemonText = error instanceof NodeError ? error.daemonText : ''
  return daemonText === '' ? (error.message.split(' (statement: ')[0] ?? '') : daemonText
}

function checkNodes(nodes: readonly NodeId[]): void {
  if (nodes.length === 0) throw new InputError('nodes', 'a load needs at least one node')
}

function checkInteger(field: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return
  throw new InputError(field, `${field} is ${value}; it must be an integer from ${least} to ${most}`)
}
