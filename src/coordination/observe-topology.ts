import type { CallOptions, NodeCatalog } from '../domain/ports.ts'
import type { CreateTable } from '../domain/statement.ts'
import { type NodeId, shardTableName } from '../domain/words.ts'
import type { ObservedState, TableDefinitions } from '../planning/observed.ts'
import type { ObservedTopology } from '../planning/topology.ts'
import { parseStatement } from '../sql/index.ts'
import type { NodeRecord } from './node-records.ts'

/** How long a node may take to show one definition, in milliseconds. */
const CALL: CallOptions = { timeoutMs: 10_000 }

/** Looks at what moving copies needs to know beyond the observed state: definitions, sizes, what operators say. */
export async function observeTopology(parts: {
  readonly catalog: NodeCatalog
  readonly observed: ObservedState
  readonly records: ReadonlyMap<NodeId, NodeRecord>
  readonly busySets: ReadonlyMap<string, string>
}): Promise<ObservedTopology> {
  const { catalog, observed, records, busySets } = parts
  const tables = [...new Set(observed.placements.map(({ table }) => table))].toSorted()
  const definitions = new Map<string, TableDefinitions>()
  for (const table of tables) definitions.set(table, await tableDefinitions(catalog, observed, table))
  return {
    ...observed,
    definitions,
    traits: records,
    drained: new Set([...records].filter(([, { drained }]) => drained).map(([node]) => node)),
    sizes: await sizesOf(catalog, observed),
    busySets,
  }
}

/** A sharded table as every node that has it defines it now. */
export async function tableDefinitions(
  catalog: NodeCatalog,
  observed: ObservedState,
  table: string,
): Promise<TableDefinitions> {
  const definitions = new Map<NodeId, CreateTable>()
  await Promise.all(
    observed.nodes.map(async (node) => {
      if (observed.tables.get(node)?.has(table) !== true) return
      const statement = parseStatement(await catalog.createStatement(node, table, CALL))
      const sharded =
        statement.kind === 'create_table' &&
        statement.options.some(({ name, value }) => name === 'type' && value === 'shard')
      if (sharded) definitions.set(node, statement)
    }),
  )
  return definitions
}

/** One holder of each shard is asked: the copies are alike. */
async function sizesOf(catalog: NodeCatalog, observed: ObservedState): Promise<Map<string, number>> {
  const holders = new Map<string, NodeId>()
  for (const { table, node, shards } of observed.placements) {
    if (!observed.nodes.includes(node)) continue
    for (const shard of shards) holders.set(shardTableName(table, shard), node)
  }
  const sizes = new Map<string, number>()
  await Promise.all(
    [...Map.groupBy(holders, ([, node]) => node)].map(async ([node, names]) => {
      for (const [name] of names) {
        if (observed.tables.get(node)?.has(name) !== true) continue
        sizes.set(name, (await catalog.tableSize(node, name, CALL)).bytes)
      }
    }),
  )
  return sizes
}
