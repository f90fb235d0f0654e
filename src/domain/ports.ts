import type { NodeId } from './words.ts'
import type { Reply } from './values.ts'

/** What comes in from outside: nodes, time, chance. Implementations are handed in by `src/app`. */

export interface CallOptions {
  /** How long to wait for the whole answer, in milliseconds. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/**
 * A connection to one node. Every method rejects with a {@link NodeError} that names the class of the failure.
 *
 * One statement a call; the daemon refuses more.
 */
export interface NodeConnection {
  readonly node: NodeId
  /** A statement without effect. May be sent again when the connection was lost before an answer came. */
  read(sql: string, options?: CallOptions): Promise<Reply>
  /** A statement with effect. Sent at most once; a lost answer rejects with code `outcome_unknown`. */
  execute(sql: string, options?: CallOptions): Promise<Reply>
  close(): Promise<void>
}

/** Opens connections; the same node always gives the same connection until it is closed. */
export interface NodeConnector {
  connection(node: NodeId): NodeConnection
  close(): Promise<void>
}

export interface Clock {
  /** Milliseconds since 1970-01-01 UTC. */
  now(): number
  /** Resolves after `ms`; rejects with the signal's reason when it is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export interface Random {
  /** Uniform in [0, 1). */
  next(): number
}

/** Row ids: time-ordered, unique across coordinators, positive and below 2^53. */
export interface IdSource {
  next(): number
}
