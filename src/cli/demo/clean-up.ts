import { ShardingError } from '../../domain/errors.ts'
import type { Client } from '../../library/client.ts'
import type { Cluster } from '../../library/cluster.ts'
import { Queue } from '../../library/queue.ts'
import { type OperationOptions, Table } from '../../library/table.ts'

/**
 * Tables of the demo: `demo_` and a time-ordered id in base 36, which has ten digits and begins with a digit until
 * the middle of the century.
 */
const DEMO_TABLE = /^demo_[0-9][0-9a-z]{9}$/
const ID_BASE = 36
/** A table is dropped by its name alone; its columns do not matter. */
const ANY_STRUCTURE = 'title text'

/** A name that no other run of the demo uses. */
export function newDemoTable(client: Client): string {
  return `demo_${client.parts.ids.next().toString(ID_BASE)}`
}

/** Tables that an interrupted demo has left behind, complete and in use by nobody. */
export async function abandonedDemoTables(cluster: Cluster): Promise<string[]> {
  const { placements } = await cluster.observe()
  const tables = new Set(placements.map(({ table }) => table))
  return [...tables].filter((table) => DEMO_TABLE.test(table)).toSorted()
}

export async function dropTable(
  client: Client,
  cluster: Cluster,
  name: string,
  options: OperationOptions,
): Promise<void> {
  await new Table(client, cluster, name, ANY_STRUCTURE).drop(new Queue(cluster, client), options)
}

/**
 * Undoes what runs on these tables and drops those that are there.
 *
 * @returns the tables of which something was there
 */
export async function removeTables(
  client: Client,
  cluster: Cluster,
  tables: readonly string[],
  options: OperationOptions,
): Promise<string[]> {
  const queue = new Queue(cluster, client)
  const removed = new Set<string>()
  for (const { group, table } of await cluster.openOperations()) {
    if (!tables.includes(table)) continue
    removed.add(table)
    await undoOperation(queue, group)
  }
  const { placements } = await cluster.observe()
  for (const table of tables.filter((name) => placements.some((placement) => placement.table === name))) {
    removed.add(table)
    await dropTable(client, cluster, table, options)
  }
  return [...removed]
}

/** Undoes an operation, unless it has ended meanwhile. */
export async function undoOperation(queue: Queue, group: string): Promise<void> {
  try {
    await queue.rollbackOperationGroup(group)
  } catch (error) {
    // It has ended meanwhile, or is a drop past its pivot: either way it does not need us.
    if (!(error instanceof ShardingError && error.code === 'illegal_transition')) throw error
  }
}
