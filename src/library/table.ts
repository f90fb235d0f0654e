import { InputError, ShardingError } from '../domain/errors.ts'
import type { Operation } from '../domain/operation.ts'
import type { Plan } from '../domain/plan.ts'
import type { ColumnDefinition, CreateTable, TableOption } from '../domain/statement.ts'
import type { NodeId } from '../domain/words.ts'
import type { ObservedState, TableDefinitions } from '../planning/observed.ts'
import { checkShardsAndRf, planCreate } from '../planning/plan-create.ts'
import { planDrop } from '../planning/plan-drop.ts'
import { planRebalance } from '../planning/plan-rebalance.ts'
import { checkTableName, parseColumnList, parseStatement, parseTableOptions } from '../sql/index.ts'
import type { Client } from './client.ts'
import type { Cluster } from './cluster.ts'
import type { OperationOptions, Planning } from './operations.ts'
import { type OperationSummary, succeededOrThrow, summarize } from './operation-error.ts'
import type { PreparedPlan } from './prepared-plan.ts'
import type { Queue } from './queue.ts'
import { Rebalancing, type RebalancingProgress } from './rebalancing.ts'

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
    const { ids } = this.#client.parts
    const request = { table: this.name, columns: this.columns, options: this.options, shards, rf }
    await this.#assertNotHeld()
    const ended = await this.#cluster.operations.run(
      async ({ observed }) => await Promise.resolve(planCreate(observed, request, ids)),
      options,
    )
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
    const ended = await this.#cluster.operations.run(
      async ({ observed }) => await this.#planDrop(observed),
      options,
    )
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
    const { ids } = this.#client.parts
    const request = { table: this.name, columns: this.columns, options: this.options, shards, rf }
    return await this.#cluster.operations.plan(
      async ({ observed }) => await Promise.resolve(planCreate(observed, request, ids)),
    )
  }

  /** The plan that {@link drop} would make now. Nothing is changed. */
  async planDrop(): Promise<PreparedPlan> {
    return await this.#cluster.operations.plan(async ({ observed }) => await this.#planDrop(observed))
  }

  /** The plan that {@link rebalance} would make now; its reasons say why it moves what, and no more. */
  async planRebalance(): Promise<PreparedPlan> {
    return await this.#cluster.operations.plan(async (planning) => await this.#planRebalance(planning))
  }

  /**
   * Spreads the copies of this table, and what shares their replica sets, over the nodes with the fewest moves.
   * Clients go on reading and writing meanwhile. Resolves when the old copies are gone.
   *
   * @throws OperationError when it failed; everything was put back then, or what was finished was kept
   */
  async rebalance(queue: Queue, options: OperationOptions = {}): Promise<OperationSummary> {
    queue.assertOf(this.#cluster)
    const ended = await this.#cluster.operations.run(
      async (planning) => await this.#planRebalance(planning),
      options,
    )
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
    const ended = await this.#cluster.operations.rollBack(held, { error: 'brought back on request' })
    return summarize({ operation: ended, commands: await this.#cluster.journal.commands(ended.group) })
  }

  async #planRebalance({ topology }: Planning): Promise<Plan> {
    const goal = { type: 'rebalance', tables: [this.name], leaving: [] } as const
    return planRebalance(await topology(), goal, this.#client.parts.ids)
  }

  async #planDrop(observed: ObservedState): Promise<Plan> {
    const holders = observed.nodes.filter((node) => observed.tables.get(node)?.has(this.name) === true)
    return planDrop(observed, this.name, await this.#definitions(holders))
  }

  async #definitions(nodes: readonly NodeId[]): Promise<TableDefinitions> {
    const { catalog } = this.#client.parts
    const definitions = new Map<NodeId, CreateTable>()
    await Promise.all(
      nodes.map(async (node) => {
        const statement = parseStatement(await catalog.createStatement(node, this.name))
        if (statement.kind === 'create_table') definitions.set(node, statement)
      }),
    )
    return definitions
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
