import { ShardingError } from '../domain/errors.ts'
import type { Clock, NodeConnection, NodeConnector, Random } from '../domain/ports.ts'
import type { Statement } from '../domain/statement.ts'
import type { Reply } from '../domain/values.ts'
import type { NodeId } from '../domain/words.ts'
import { renderStatement } from '../sql/index.ts'
import { backoffMs, isOutcomeUnknown, isTransient } from './retry.ts'

/** How long one journal statement may take before the next node is asked, in milliseconds. */
const STATEMENT_TIMEOUT_MS = 5_000
/** How long a journal statement is retried when the caller gives no signal of its own, in milliseconds. */
const DEFAULT_PATIENCE_MS = 30_000

export interface WriteResult {
  /** Rows affected by the try that was answered. */
  readonly total: number
  /** False when an earlier try got no answer: it may have been the one that had the effect. */
  readonly certain: boolean
}

/**
 * Sends journal statements to any node of the cluster, the same one as long as it answers: its reads then see
 * its own writes at once.
 *
 * Every statement sent through here must be safe to send twice: conditional updates, inserts of fixed ids,
 * deletes by id.
 */
export class JournalConnection {
  readonly #connector: NodeConnector
  readonly #nodes: () => readonly NodeId[]
  readonly #clock: Clock
  readonly #random: Random
  #preferred = 0

  constructor(connector: NodeConnector, nodes: () => readonly NodeId[], clock: Clock, random: Random) {
    this.#connector = connector
    this.#nodes = nodes
    this.#clock = clock
    this.#random = random
  }

  async read(statement: Statement, signal?: AbortSignal): Promise<Reply> {
    const sql = renderStatement(statement)
    const { reply } = await this.#send((connection, options) => connection.read(sql, options), signal)
    return reply
  }

  async write(statement: Statement, signal?: AbortSignal): Promise<WriteResult> {
    const sql = renderStatement(statement)
    const { reply, certain } = await this.#send(
      (connection, options) => connection.execute(sql, options),
      signal,
    )
    return { total: reply.total, certain }
  }

  async #send(
    call: (
      connection: NodeConnection,
      options: { timeoutMs: number; signal?: AbortSignal },
    ) => Promise<Reply>,
    signal: AbortSignal | undefined,
  ): Promise<{ reply: Reply; certain: boolean }> {
    const giveUpAt = this.#clock.now() + DEFAULT_PATIENCE_MS
    let lostAnswer: { readonly error: unknown } | undefined
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted()
      const asked = this.#preferred
      try {
        const options = { timeoutMs: STATEMENT_TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) }
        const reply = await call(this.#connection(), options)
        return { reply, certain: lostAnswer === undefined }
      } catch (error) {
        if (isOutcomeUnknown(error)) lostAnswer ??= { error }
        else if (!isTransient(error)) throw lostAnswer === undefined ? error : new UncertainFailure(error)
        // That the last node did not answer says nothing about a try before, whose answer was lost.
        if (signal === undefined && this.#clock.now() >= giveUpAt) throw lostAnswer?.error ?? error
        // Of several statements that fail together only one goes on to the next node.
        if (!isConflict(error) && this.#preferred === asked) this.#preferred++
        await this.#clock.sleep(backoffMs(attempt, this.#random, 1_000), signal)
      }
    }
  }

  #connection(): NodeConnection {
    const nodes = this.#nodes()
    const node = nodes[this.#preferred % nodes.length]
    if (node === undefined) throw new ShardingError('closed', 'there is no node to keep the journal on')
    return this.#connector.connection(node)
  }
}

/** The last try failed for good, but an earlier one without an answer may have had the effect. */
export class UncertainFailure extends Error {
  constructor(cause: unknown) {
    super('the statement failed after an earlier try of it had no answer', { cause })
    this.name = 'UncertainFailure'
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof ShardingError && error.code === 'conflict'
}
