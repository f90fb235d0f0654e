import type { NodeConnector } from '../src/domain/ports.ts'
import type { CreateTable } from '../src/domain/statement.ts'
import type { NodeId } from '../src/domain/words.ts'
import type { Client } from '../src/library/client.ts'
import type { Cluster } from '../src/library/cluster.ts'
import { Queue } from '../src/library/queue.ts'
import { Table } from '../src/library/table.ts'
import { planCreate } from '../src/planning/plan-create.ts'
import { planDrop } from '../src/planning/plan-drop.ts'
import { parseStatement } from '../src/sql/index.ts'
import { runByHand } from './floor.ts'
import { sweep } from './sweep.ts'

/** Copies of every shard. */
export const REPLICATION_FACTOR = 2

/** The first table makes its replica sets; the second one finds them there. */
export const TABLES = ['first', 'second'] as const
type TableOrder = (typeof TABLES)[number]

export const ACTIONS = ['create', 'drop'] as const
type Action = (typeof ACTIONS)[number]

/** Milliseconds of the four things that one run measures, by `<action> <table>`. */
export type RunTimes = Readonly<Record<`${Action} ${TableOrder}`, number>>

const COLUMNS = 'id bigint, title text, name string'
const TABLE_NAMES: Readonly<Record<TableOrder, string>> = {
  first: 'mshard_bench_first',
  second: 'mshard_bench_second',
}

/** Creates and drops two tables, with the library or by hand, and leaves nothing behind. */
export class Workload {
  readonly #client: Client
  readonly #cluster: Cluster
  readonly #byHand: NodeConnector
  readonly #queue: Queue
  readonly #tables: Readonly<Record<TableOrder, Table>>

  /** @param byHand connections of their own, with as many statements in flight as the caller ever asks for */
  constructor(client: Client, cluster: Cluster, byHand: NodeConnector) {
    this.#client = client
    this.#cluster = cluster
    this.#byHand = byHand
    this.#queue = new Queue(cluster, client)
    this.#tables = {
      first: new Table(client, cluster, TABLE_NAMES.first, COLUMNS),
      second: new Table(client, cluster, TABLE_NAMES.second, COLUMNS),
    }
  }

  async withLibrary(shards: number): Promise<RunTimes> {
    const create = (table: Table) => timed(() => table.shard(this.#queue, shards, REPLICATION_FACTOR))
    const drop = (table: Table) => timed(() => table.drop(this.#queue))
    return await this.#run(create, drop)
  }

  /** The very same plans, sent as fast as the nodes take them. */
  async byHand(shards: number, maxInFlight: number): Promise<RunTimes> {
    const create = async (table: Table) => {
      const { name, columns, options } = table
      const request = { table: name, columns, options, shards, rf: REPLICATION_FACTOR }
      const plan = planCreate(await this.#cluster.observe(), request, this.#client.parts.ids)
      return await runByHand(plan, this.#byHand, maxInFlight)
    }
    const drop = async ({ name }: Table) => {
      const observed = await this.#cluster.observe()
      const plan = planDrop(observed, name, await this.#definitions(observed.nodes, name))
      return await runByHand(plan, this.#byHand, maxInFlight)
    }
    return await this.#run(create, drop)
  }

  /**
   * Removes what an earlier, interrupted run left.
   *
   * @param deleteEmptySets whether replica sets without tables go too, whoever made them
   * @throws Error when replica sets are left: a first table would use them instead of making its own
   */
  async prepare(deleteEmptySets: boolean): Promise<void> {
    await this.#sweep(() => deleteEmptySets)
    const { replicaSets } = await this.#cluster.observe()
    if (replicaSets.length === 0) return
    const names = replicaSets.map(({ name, tables }) => `${name} (${tables.length} tables)`).join(', ')
    throw new Error(
      `these nodes have replica sets already: ${names}. The first table must make its own: take other nodes, or delete sets without tables with --delete-empty-sets`,
    )
  }

  async #run(
    create: (table: Table) => Promise<number>,
    drop: (table: Table) => Promise<number>,
  ): Promise<RunTimes> {
    const { first, second } = this.#tables
    try {
      return {
        'create first': await create(first),
        'create second': await create(second),
        'drop first': await drop(first),
        'drop second': await drop(second),
      }
    } finally {
      // prepare() has seen to it that all replica sets there are now are ours.
      await this.#sweep(() => true)
    }
  }

  async #sweep(isOurs: (replicaSet: string) => boolean): Promise<void> {
    await sweep(this.#cluster, this.#byHand, Object.values(TABLE_NAMES), isOurs)
  }

  async #definitions(nodes: readonly NodeId[], table: string): Promise<Map<NodeId, CreateTable>> {
    const definitions = new Map<NodeId, CreateTable>()
    for (const node of nodes) {
      const statement = parseStatement(await this.#client.parts.catalog.createStatement(node, table))
      if (statement.kind === 'create_table') definitions.set(node, statement)
    }
    return definitions
  }
}

async function timed(body: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await body()
  return performance.now() - startedAt
}
