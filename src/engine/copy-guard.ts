import { ShardingError } from '../domain/errors.ts'
import type { OperationType } from '../domain/operation.ts'
import type { CallOptions, Clock, NodeCatalog, NodeConnector } from '../domain/ports.ts'
import type { Statement, VerifyTables } from '../domain/statement.ts'
import { type NodeId, parseShardTableName, type Placement } from '../domain/words.ts'
import type { Guard, GuardedCommand } from './attempt.ts'
import { assertMayCopy, type Throttle } from './throttle.ts'
import { verifyCopies } from './verify.ts'

/** How long a node may take to say what it holds, in milliseconds. */
const CALL: CallOptions = { timeoutMs: 5_000 }
/** Tables compared at the same time: each needs a request a node at a time. */
const TABLES_AT_ONCE = 4

/** Operations whose copies can wait. */
const MOVING: ReadonlySet<OperationType> = new Set<OperationType>(['rebalance', 'replace', 'drain', 'revert'])

export interface CopyGuardParts {
  readonly connector: NodeConnector
  readonly catalog: NodeCatalog
  readonly clock: Clock
  /** The placement in force. */
  readonly placements: () => Promise<readonly Placement[]>
  readonly throttle: () => Promise<Throttle>
  /** Bytes that a node may hold, or null when it is not known. */
  readonly capacityBytes: (node: NodeId) => Promise<number | null>
}

/**
 * Keeps the last promise whatever a plan says: a copy of a shard is dropped behind a pivot only when the
 * placement in force no longer names it and every holder that it names has one, in sync and equal to the others.
 * Also runs `VERIFY TABLES`, and lets copies wait for a node that is slow or full.
 */
export class CopyGuard implements Guard {
  readonly #parts: CopyGuardParts

  constructor(parts: CopyGuardParts) {
    this.#parts = parts
  }

  async before(about: GuardedCommand, statement: Statement, signal: AbortSignal): Promise<boolean> {
    if (statement.kind === 'verify_tables') {
      await this.#verify(statement, signal)
      return true
    }
    if (statement.kind === 'join_cluster' && MOVING.has(about.operationType)) {
      const { maxLatencyMs } = await this.#parts.throttle()
      const capacityBytes = await this.#parts.capacityBytes(about.node)
      await assertMayCopy(this.#parts, about.node, { maxLatencyMs, capacityBytes })
    }
    // The end of a whole table takes all its copies, and its placement before them.
    if (statement.kind === 'drop_table' && about.phase === 'after_pivot' && about.operationType !== 'drop') {
      await this.#beforeDrop(about.node, statement.table.name, signal)
    }
    return false
  }

  async #verify({ tables, nodes }: VerifyTables, signal: AbortSignal): Promise<void> {
    for (let start = 0; start < tables.length; start += TABLES_AT_ONCE) {
      const some = tables.slice(start, start + TABLES_AT_ONCE)
      await Promise.all(some.map(async (table) => await this.#equal(table, nodes, signal)))
    }
  }

  async #equal(table: string, nodes: readonly NodeId[], signal: AbortSignal): Promise<void> {
    const result = await verifyCopies(this.#parts, { table, nodes, signal })
    if (result.kind === 'equal') return
    throw new ShardingError('copies_differ', `the copies of ${table} differ: ${result.difference}`)
  }

  async #beforeDrop(node: NodeId, name: string, signal: AbortSignal): Promise<void> {
    const shard = parseShardTableName(name)
    if (shard === undefined) return
    const rows = (await this.#parts.placements()).filter(
      (row) => row.table === shard.table && row.shards.includes(shard.shard),
    )
    // No row: the whole table was dropped, and that operation is past its point of no return.
    if (rows.length === 0) return
    const needed = rows.find((row) => row.node === node)
    if (needed !== undefined) {
      throw new ShardingError('copy_needed', `${name} on ${node} is a copy that the placement names`)
    }
    for (const row of rows) await this.#holds(row, name)
    const holders = rows.map((row) => row.node)
    if (holders.length > 1) await this.#equal(name, holders, signal)
  }

  async #holds({ node, replicaSet }: Placement, name: string): Promise<void> {
    const { catalog } = this.#parts
    const there = await catalog.hasTable(node, name, CALL)
    const status = replicaSet === '' ? undefined : await catalog.cluster(node, replicaSet, CALL)
    const inSync = status?.status === 'primary' && status.tables.includes(name)
    if (there && (replicaSet === '' || inSync)) return
    throw new ShardingError(
      'copy_needed',
      `${node} should hold ${name}${replicaSet === '' ? '' : ` in ${replicaSet}`} and does not, so no other copy is dropped`,
    )
  }
}
