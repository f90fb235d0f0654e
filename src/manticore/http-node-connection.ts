import { setImmediate } from 'node:timers/promises'
import type { ConnectionOptions } from 'node:tls'
import { Pool } from 'undici'
import { InputError, messageOf, type NodeErrorCode, unreachable } from '../domain/errors.ts'
import type { CallOptions, NodeConnection } from '../domain/ports.ts'
import type { Reply } from '../domain/values.ts'
import type { NodeId } from '../domain/words.ts'
import { interpretAnswer, type StatementKind } from './answer.ts'
import { exchange, type HttpAnswer, type HttpFailure } from './http-exchange.ts'
import { authorizationHeader, type NodeAuth, parseNodeUrl, type Scheme } from './node-url.ts'
import { statementError } from './statement-error.ts'

/** Connections to one node. More than a few statements in flight only slow a daemon down. */
const DEFAULT_CONNECTIONS = 8
/** A read of the journal or catalog takes about a millisecond; a node that needs this long is as good as gone. */
const DEFAULT_READ_TIMEOUT_MS = 10_000
/** Long enough for a JOIN with a small state transfer. Callers who expect a large one say so. */
const DEFAULT_EXECUTE_TIMEOUT_MS = 60_000
/** A connection that takes longer than this to open goes to a host that is down or filtered. */
const DEFAULT_CONNECT_TIMEOUT_MS = 5_000
/**
 * Idle connections are closed by us after this long. The daemon closes idle ones too, and a statement
 * sent at that very moment has an unknown outcome: we must be first.
 */
const KEEP_ALIVE_MS = 2_000
/** Larger answers are refused: they would not fit into a string together with their decoded rows. */
const MAX_REPLY_BYTES = 256 * 1024 * 1024
/** Calls to one node that run or wait for a connection. Beyond it something is wrong, and memory grows. */
const MAX_CALLS = 10_000
/** How long close() waits for statements under way before it breaks their connections. */
const CLOSE_GRACE_MS = 5_000
/** The longest delay of a timer; a larger one would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1

const SQL_PATH = '/sql?mode=raw'

/** As for `tls.connect`: PEM text or buffers. */
interface TlsSettings {
  readonly ca?: ConnectionOptions['ca']
  readonly cert?: ConnectionOptions['cert']
  readonly key?: ConnectionOptions['key']
  readonly rejectUnauthorized?: boolean
  readonly servername?: string
}

export interface HttpConnectionOptions {
  /** Default: `https` when `tls` is given, else `http`. */
  readonly scheme?: Scheme
  readonly auth?: NodeAuth | null
  readonly tls?: TlsSettings
  readonly connections?: number
  readonly readTimeoutMs?: number
  readonly executeTimeoutMs?: number
  readonly connectTimeoutMs?: number
  readonly maxReplyBytes?: number
  readonly closeGraceMs?: number
  /** Version of this product, told to the daemon. */
  readonly version?: string
}

/**
 * A pooled keep-alive connection to one node over HTTP or HTTPS.
 *
 * @throws InputError for a node, scheme or credential that cannot be used.
 */
export class HttpNodeConnection implements NodeConnection {
  readonly node: NodeId
  readonly #pool: Pool
  readonly #headers: Readonly<Record<string, string>>
  readonly #timeoutsMs: Readonly<Record<StatementKind, number>>
  readonly #maxReplyBytes: number
  readonly #closeGraceMs: number
  #calls = 0
  #closing: Promise<void> | null = null

  constructor(node: NodeId, options: HttpConnectionOptions = {}) {
    this.node = node
    this.#pool = openPool(node, options)
    this.#headers = requestHeaders(options)
    this.#timeoutsMs = {
      read: options.readTimeoutMs ?? DEFAULT_READ_TIMEOUT_MS,
      execute: options.executeTimeoutMs ?? DEFAULT_EXECUTE_TIMEOUT_MS,
    }
    this.#maxReplyBytes = options.maxReplyBytes ?? MAX_REPLY_BYTES
    this.#closeGraceMs = options.closeGraceMs ?? CLOSE_GRACE_MS
  }

  get closed(): boolean {
    return this.#closing !== null
  }

  read(sql: string, options: CallOptions = {}): Promise<Reply> {
    return this.#call('read', sql, options)
  }

  execute(sql: string, options: CallOptions = {}): Promise<Reply> {
    return this.#call('execute', sql, options)
  }

  /** Lets statements under way finish for a while, then breaks them. May be called again. */
  close(): Promise<void> {
    this.#closing ??= closePool(this.#pool, this.#closeGraceMs)
    return this.#closing
  }

  async #call(kind: StatementKind, sql: string, options: CallOptions): Promise<Reply> {
    options.signal?.throwIfAborted()
    this.#admit(sql)
    const timeoutMs = options.timeoutMs ?? this.#timeoutsMs[kind]
    const deadline = new Deadline(timeoutMs, options.signal)
    this.#calls += 1
    try {
      const outcome = await this.#send(kind, sql, deadline.signal)
      if (outcome.kind === 'answer') return interpretAnswer(this.node, kind, sql, outcome)
      throw this.#failure(kind, sql, outcome, timeoutMs)
    } finally {
      this.#calls -= 1
      deadline.end()
    }
  }

  /** Refuses what cannot or must not be sent. */
  #admit(sql: string): void {
    if (this.closed) throw statementError('closed', this.node, sql, 'the connection is closed')
    if (!sql.isWellFormed()) {
      throw statementError('refused', this.node, sql, 'the statement is not valid Unicode; nothing was sent')
    }
    if (this.#calls >= MAX_CALLS) {
      throw statementError('busy', this.node, sql, `${MAX_CALLS} calls to this node wait already`)
    }
  }

  async #send(kind: StatementKind, sql: string, signal: AbortSignal): Promise<HttpAnswer | HttpFailure> {
    const request = {
      path: SQL_PATH,
      headers: this.#headers,
      body: `query=${encodeURIComponent(sql)}`,
      maxReplyBytes: this.#maxReplyBytes,
    }
    // One turn of the event loop, so that we learn of idle connections that the daemon has closed meanwhile:
    // a statement with effect that is written to such a one has an unknown outcome for nothing.
    if (kind === 'execute') await setImmediate()
    const first = await exchange(this.#pool, request, signal)
    const lostUnderWay = first.kind === 'failure' && first.reason === 'lost' && first.sent
    // The daemon may close an idle connection just as we use it. A read may be sent again, on another one.
    if (kind === 'read' && lostUnderWay && !this.closed) return exchange(this.#pool, request, signal)
    return first
  }

  #failure(kind: StatementKind, sql: string, failure: HttpFailure, timeoutMs: number): unknown {
    const mayHaveHappened = kind === 'execute' && failure.sent
    const error = (code: NodeErrorCode, text: string) =>
      statementError(code, this.node, sql, text, '', { cause: failure.cause })
    switch (failure.reason) {
      case 'stopped': {
        const timedOut = failure.cause instanceof DeadlineReached
        if (!timedOut && !mayHaveHappened) return failure.cause
        const why = timedOut ? `no answer within ${timeoutMs} ms` : 'given up before the answer came'
        return error(mayHaveHappened ? 'outcome_unknown' : 'unreachable', why)
      }
      case 'too_large': {
        const text = `${messageOf(failure.cause)}; ask for fewer rows with LIMIT`
        return error(mayHaveHappened ? 'outcome_unknown' : 'refused', text)
      }
      case 'no_http':
        return error('not_manticore', `what answered does not speak HTTP: ${messageOf(failure.cause)}`)
      case 'lost':
        if (mayHaveHappened) return error('outcome_unknown', describeLoss(failure))
        return error(this.closed ? 'closed' : 'unreachable', describeLoss(failure))
      default:
        return unreachable(failure.reason)
    }
  }
}

/** The reason of a signal whose time is up; tells it from the caller's own abort. */
class DeadlineReached extends Error {
  override readonly name = 'DeadlineReached'
}

/** One signal for the end of a call's time and for the caller's abort. `end()` frees timer and listener. */
class Deadline {
  readonly #controller = new AbortController()
  readonly #timer: NodeJS.Timeout
  readonly #callersSignal: AbortSignal | undefined
  readonly #onAbort = () => this.#controller.abort(this.#callersSignal?.reason)

  constructor(timeoutMs: number, callersSignal: AbortSignal | undefined) {
    this.#callersSignal = callersSignal
    callersSignal?.addEventListener('abort', this.#onAbort, { once: true })
    const expire = () => this.#controller.abort(new DeadlineReached(`${timeoutMs} ms are over`))
    const delayMs = timeoutMs > 0 ? Math.min(timeoutMs, MAX_TIMER_MS) : 0
    this.#timer = setTimeout(expire, delayMs)
    // A call without any time left must not even begin.
    if (delayMs === 0) expire()
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#callersSignal?.removeEventListener('abort', this.#onAbort)
  }
}

function openPool(node: NodeId, options: HttpConnectionOptions): Pool {
  const scheme = options.scheme ?? (options.tls === undefined ? 'http' : 'https')
  if (scheme === 'http' && options.tls !== undefined) {
    throw new InputError('tls', 'TLS settings need the scheme https')
  }
  const url = parseNodeUrl(`${scheme}://${node}`)
  if (url.auth !== null) throw new InputError('node', 'a node is named host:port, without credentials')
  return new Pool(`${scheme}://${url.node}`, {
    connections: options.connections ?? DEFAULT_CONNECTIONS,
    pipelining: 1,
    keepAliveTimeout: KEEP_ALIVE_MS,
    // A longer time offered by the server is not taken.
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
    allowH2: false,
    connect: { ...options.tls, timeout: options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS },
  })
}

/** Visible ASCII and spaces: everything else could smuggle in a header of its own. */
const HEADER_VALUE = /^[\x20-\x7e]+$/

function requestHeaders(options: HttpConnectionOptions): Record<string, string> {
  // The daemon hands what it cannot do to its helper, except for a client that says it is the helper.
  const userAgent =
    options.version === undefined ? 'manticore-sharding' : `manticore-sharding/${options.version}`
  const headers: Record<string, string> = {
    'content-type': 'application/x-www-form-urlencoded',
    accept: 'application/json',
    'user-agent': userAgent,
  }
  if (!HEADER_VALUE.test(userAgent)) throw new InputError('version', 'the version cannot stand in a header')
  const auth = options.auth ?? null
  if (auth === null) return headers
  const authorization = authorizationHeader(auth)
  if (!HEADER_VALUE.test(authorization)) throw new InputError('auth', 'the token cannot stand in a header')
  return { ...headers, authorization }
}

async function closePool(pool: Pool, graceMs: number): Promise<void> {
  // Statements that were let in before may still be in their turn of the event loop.
  await setImmediate()
  const graceful = pool.close()
  const timer = setTimeout(() => {
    pool.destroy(new Error('the connection was closed')).catch(() => undefined)
  }, graceMs)
  try {
    await graceful
  } finally {
    clearTimeout(timer)
  }
}

function describeLoss(failure: HttpFailure): string {
  const { cause } = failure
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  // An error over several addresses of one host has a code, and no message.
  const detail = messageOf(cause) || code || 'no reason given'
  return failure.sent
    ? `the connection was lost before the answer came: ${detail}`
    : `no connection: ${detail}`
}
