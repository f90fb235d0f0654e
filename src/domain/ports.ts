import type { ErrorCode } from './errors.ts'
import type { NodeId } from './words.ts'
import type { ColumnDefinition } from './statement.ts'
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

/** One statement that was sent to a node, as it went. */
export interface NodeRequest {
  readonly node: NodeId
  readonly kind: 'read' | 'execute'
  /** `aborted`: its caller did not want the answer any more. */
  readonly outcome: 'ok' | ErrorCode | 'aborted' | 'unexpected'
  readonly durationMs: number
}

export interface Clock {
  /** Milliseconds since 1970-01-01 UTC. */
  now(): number
  /** Resolves after `ms`; rejects with the signal's reason when it is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** Where a service tells what it does and why; one line a decision. */
export interface Log {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void
  info(message: string, fields?: Readonly<Record<string, unknown>>): void
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void
  error(message: string, fields?: Readonly<Record<string, unknown>>): void
}

export interface Random {
  /** Uniform in [0, 1). */
  next(): number
}

/** Row ids: time-ordered, unique across coordinators, positive and below 2^53. */
export interface IdSource {
  next(): number
}

/**
 * What allows a coordinator to act. Every change of the journal carries `epoch`; a change with an old one
 * changes nothing.
 */
export interface Fence {
  readonly epoch: number
  /** Aborted as soon as the lease is lost or may be: nothing may be started any more. */
  readonly lost: AbortSignal
  /**
   * To be called right before something leaves. A process that was stopped for a while may go on before its timers
   * have told {@link lost}.
   *
   * @throws ShardingError `leadership_lost`
   */
  assertHeld(): void
}

/** A replication cluster as one of its members reports it. */
export interface ClusterStatus {
  readonly name: string
  /** `primary`, `non-primary`, `closed`, … */
  readonly status: string
  /** `synced`, `donor`, `joining`, `joined`, `closed`, … */
  readonly nodeState: string
  readonly stateUuid: string
  /** This node's place in `nodesView`, or -1. */
  readonly localIndex: number
  /** Configured members. */
  readonly nodesSet: readonly NodeId[]
  /** Connected members. */
  readonly nodesView: readonly NodeId[]
  /** Sorted. */
  readonly tables: readonly string[]
  /** Of the tables that are being copied to or from this node, percent from 0 to 100; null: none are. */
  readonly transferPercent: number | null
}

/** How much a table holds. */
export interface TableSize {
  readonly rows: number
  /**
   * Bytes that a copy of it takes: its files, and an estimate for rows that the node still has in memory only,
   * made from a few of them.
   */
  readonly bytes: number
}

/** What a node holds, looked at now. Rejects with {@link NodeError} when the node does not answer. */
export interface NodeCatalog {
  /** Names and types (`rt`, `shard`, …) of all tables, `system.` ones included. */
  tables(node: NodeId, options?: CallOptions): Promise<ReadonlyMap<string, string>>
  hasTable(node: NodeId, table: string, options?: CallOptions): Promise<boolean>
  /** Without `id`, in the table's order. */
  columns(node: NodeId, table: string, options?: CallOptions): Promise<readonly ColumnDefinition[]>
  /** The statement that makes the table, with the layout of a sharded one. Not for `system.` tables. */
  createStatement(node: NodeId, table: string, options?: CallOptions): Promise<string>
  /** Only for tables with rows of their own: not for sharded ones. */
  tableSize(node: NodeId, table: string, options?: CallOptions): Promise<TableSize>
  clusters(node: NodeId, options?: CallOptions): Promise<readonly ClusterStatus[]>
  cluster(node: NodeId, name: string, options?: CallOptions): Promise<ClusterStatus | undefined>
}
