import type { OperationOptions } from '../coordination/operations.ts'
import { type PlannableGoal, planGoal } from '../coordination/plan-goal.ts'
import type { PreparedPlan } from '../coordination/prepared-plan.ts'
import { InputError, ShardingError } from '../domain/errors.ts'
import type { Operation } from '../domain/operation.ts'
import type { ColumnDefinition, TableOption } from '../domain/statement.ts'
import { checkShardsAndRf } from '../planning/plan-create.ts'
import { checkTableName, parseColumnList, parseTableOptions } from '../sql/index.ts'
import type { Client } from './client.ts'
import type { Cluster } from './cluster.ts'
import { type OperationSummary, succeededOrThrow, summarize } from './operation-error.ts'
import type { Queue } from './queue.ts'
import { Rebalancing, type RebalancingProgress } from './rebalancing.ts'

export type { OperationOptions }

/** Options that we write ourselves. */
const OUR_OPTIONS = new Set(['type', 'local', 'agent', 'shards', 'rf'])

/**
 * A sharded table of a cluster, existing or to be made.
 *
 * @example
 * const table = new Table(client, cluster, 'users', 'id bigint, name string', "morphology='stem_en'")
 * await table.shard(queue, 4, 2)
 */
export class Table {
  readonly name: string
  readonly columns: readonly ColumnDefinition[]
  readonly options: readonly TableOption[]
  readonly #structure: string
  readonly #extra: string
  readonly #client: Client
  readonly #cluster: Cluster
  readonly #rebalancing: Rebalancing

  /**
   * @param name lower case letters, digits and `_`, at most 64 characters
   * @param structure the column list of a CREATE TABLE, e.g. `id bigint, title text`
   * @param extra table options for the shards, e.g. `min_infix_len='2'`, or `''`
   * @throws InputError that says which of them cannot be used, where, and what would do
   */
  constructor(client: Client, cluster: Cluster, name: string, structure: string, extra = '') {
    checkTableName(name)
    this.name = name
    this.columns = parsed('columns', structure, parseColumnList).filter((column) => column.name !== 'id')
    this.options = parsed('options', extra, parseTableOptions)
    const ours = this.options.find((option) => OUR_OPTIONS.has(option.name))
    if (ours !== undefined) {
      throw new InputError(
        'options',
        `the option '${ours.name}' is written by sharding itself; leave it out of the table options`,
      )
    }
    this.#structure = structure
    this.#extra = extra
    this.#client = client
    this.#cluster = cluster
    this.#rebalancing = new Rebalancing(cluster, name)
  }

  /**
   * Makes the table: `shards` shards with `rf` copies each. Resolves when it can be written to on every node.
   *
   * @param shards 1 to 3,000
   * @param rf copies of every shard, 1 to the number of nodes; 1 on a standalone node
   * @throws InputError when the input does not fit; nothing was changed then
   * @throws OperationError when a command failed; everything was put back then
   */
  async shard(
    queue: Queue,
    shards: number,
    rf: number,
    options: OperationOptions = {},
  ): Promise<OperationSummary> {
    checkShardsAndRf(shards, rf)
    queue.assertOf(this.#cluster)
    await this.#assertNotHeld()
    const ended = await this.#cluster.operations.run(this.#creation(shards, rf), options)
    return succeededOrThrow(ended)
  }

  /**
   * Drops the table with all its shards. With `holdMs` its shards are kept that long, and {@link undrop} brings it
   * back; the summary's state is `held` then.
   *
   * @throws InputError when there is no such table or a node does not answer
   * @throws OperationError when it failed before the point of no return; the table is there as before then
   */
  async drop(queue: Queue, options: OperationOptions = {}): Promise<OperationSummary> {
    queue.assertOf(this.#cluster)
    const ended = await this.#cluster.operations.run({ kind: 'drop', table: this.name }, options)
    return succeededOrThrow(ended)
  }

  async #assertNotHeld(): Promise<void> {
    const held = await this.#cluster.heldDrop(this.name)
    if (held === undefined) return
    throw new InputError(
      'table',
      `table '${this.name}' was dropped with a hold until ${new Date(held.holdUntil).toISOString()}; bring it back with undrop(), or choose another name`,
      'table_exists',
    )
  }

  /** The plan that {@link shard} would make now. Nothing is changed. */
  async planShard(shards: number, rf: number): Promise<PreparedPlan> {
    checkShardsAndRf(shards, rf)
    const goal = this.#creation(shards, rf)
    return await this.#cluster.plan(async (planning) => await planGoal(goal, planning))
  }

  /** The plan that {@link drop} would make now. Nothing is changed. */
  async planDrop(): Promise<PreparedPlan> {
    const goal = { kind: 'drop', table: this.name } as const
    return await this.#cluster.plan(async (planning) => await planGoal(goal, planning))
  }

  /** The plan that {@link rebalance} would make now; its reasons say why it moves what, and no more. */
  async planRebalance(): Promise<PreparedPlan> {
    const goal = this.#balance()
    return await this.#cluster.plan(async (planning) => await planGoal(goal, planning))
  }

  /**
   * Spreads the copies of this table, and what shares their replica sets, over the nodes with the fewest moves.
   * Clients go on reading and writing meanwhile. Resolves when the old copies are gone.
   *
   * @throws OperationError when it failed; everything was put back then, or what was finished was kept
   */
  async rebalance(queue: Queue, options: OperationOptions = {}): Promise<OperationSummary> {
    queue.assertOf(this.#cluster)
    const ended = await this.#cluster.operations.run(this.#balance(), options)
    return succeededOrThrow(ended)
  }

  /** How far the operation that moves, or last moved, copies of this table has come. */
  async getRebalancingProgress(): Promise<RebalancingProgress> {
    return await this.#rebalancing.progress(this.#client.parts.clock.now())
  }

  /**
   * Ends the move of copies and puts everything back. Resolves when it is.
   *
   * @param graceful true: what is in flight finishes first; false: it is broken off
   * @throws ShardingError `illegal_transition` past the point of no return, `operation_missing` when nothing moves
   */
  async stopRebalancing(graceful = true): Promise<Operation> {
    return await this.#rebalancing.stop(graceful)
  }

  /** Resolves when nothing is in flight any more. No new command starts until {@link resumeRebalancing}. */
  async pauseRebalancing(): Promise<Operation> {
    return await this.#rebalancing.pause()
  }

  async resumeRebalancing(): Promise<Operation> {
    return await this.#rebalancing.resume()
  }

  /** Undoes the moves behind a savepoint, and finishes those before it. */
  async rollbackRebalancingTo(savepoint: number): Promise<Operation> {
    return await this.#rebalancing.rollbackTo(savepoint)
  }

  /**
   * Forgets the last operation, so that the progress says `idle`.
   *
   * @throws ShardingError `operation_busy` while one has not ended
   */
  async resetRebalancingState(): Promise<void> {
    await this.#rebalancing.reset()
  }

  /**
   * Brings back a table that was dropped with a hold, with all rows.
   *
   * @throws ShardingError `operation_missing` when no drop of this table is on hold
   */
  async undrop(queue: Queue): Promise<OperationSummary> {
    queue.assertOf(this.#cluster)
    const held = await this.#cluster.heldDrop(this.name)
    if (held === undefined) {
      throw new ShardingError(
        'operation_missing',
        `no drop of table '${this.name}' is on hold; it cannot be brought back`,
      )
    }
    const ended = await this.#cluster.operations.steering.rollBack(held, { error: 'brought back on request' })
    return summarize({ operation: ended, commands: await this.#cluster.journal.commands(ended.group) })
  }

  #creation(shards: number, rf: number): Extract<PlannableGoal, { kind: 'create' }> {
    return { kind: 'create', table: this.name, columns: this.#structure, options: this.#extra, shards, rf }
  }

  #balance(): Extract<PlannableGoal, { kind: 'rebalance' }> {
    return { kind: 'rebalance', tables: [this.name] }
  }
}

function parsed<T>(field: string, text: string, parse: (text: string) => T): T {
  try {
    return parse(text)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new InputError(field, `the ${field} cannot be read: ${reason}`, 'invalid_input', { cause: error })
  }
}
