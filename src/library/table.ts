import { InputError } from '../domain/errors.ts'
import type { ColumnDefinition, CreateTable, TableOption } from '../domain/statement.ts'
import type { NodeId } from '../domain/words.ts'
import type { TableDefinitions } from '../planning/observed.ts'
import { checkShardsAndRf, planCreate } from '../planning/plan-create.ts'
import { planDrop } from '../planning/plan-drop.ts'
import { checkTableName, parseColumnList, parseStatement, parseTableOptions } from '../sql/index.ts'
import type { Client } from './client.ts'
import type { Cluster, OperationOptions } from './cluster.ts'
import { type OperationSummary, succeededOrThrow } from './operation-error.ts'
import type { Queue } from './queue.ts'

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
    const ended = await this.#cluster.run(
      this.name,
      async (observed) => await Promise.resolve(planCreate(observed, request, ids)),
      options,
    )
    return succeededOrThrow(ended)
  }

  /**
   * Drops the table with all its shards.
   *
   * @throws InputError when there is no such table or a node does not answer
   * @throws OperationError when it failed before the point of no return; the table is there as before then
   */
  async drop(queue: Queue, options: OperationOptions = {}): Promise<OperationSummary> {
    queue.assertOf(this.#cluster)
    const ended = await this.#cluster.run(
      this.name,
      async (observed) => {
        const holders = observed.nodes.filter((node) => observed.tables.get(node)?.has(this.name) === true)
        return planDrop(observed, this.name, await this.#definitions(holders))
      },
      options,
    )
    return succeededOrThrow(ended)
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
