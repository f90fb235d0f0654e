import type { NodeConnector } from '../src/domain/ports.ts'
import type { Statement } from '../src/domain/statement.ts'
import { markerTableName, type NodeId } from '../src/domain/words.ts'
import type { Cluster } from '../src/library/cluster.ts'
import type { ObservedState } from '../src/planning/observed.ts'
import { alterReplicaSet, deletePlacements, dropTable } from '../src/planning/statements.ts'
import { renderStatement } from '../src/sql/index.ts'

/**
 * Removes the given tables and replica sets, whole or half-made, by hand: what an interrupted run left behind
 * too. Other tables and sets are not touched.
 *
 * @param isOurs whether a replica set may be deleted; asked only for sets that hold no foreign table
 */
export async function sweep(
  cluster: Cluster,
  connector: NodeConnector,
  tables: readonly string[],
  isOurs: (replicaSet: string) => boolean,
): Promise<void> {
  const send = async (node: NodeId, statement: Statement): Promise<void> => {
    await connector.connection(node).execute(renderStatement(statement))
  }
  const observed = await cluster.observe()
  await forEachTable(observed, async (node, name) => {
    if (tables.includes(name)) await send(node, dropTable(name, true))
  })
  await forgetPlacements(observed, tables, send)
  for (const { name, liveMembers, tables: inside } of observed.replicaSets) {
    const [node] = liveMembers
    if (node === undefined) continue
    const shards = inside.filter((table) => isShardOf(table, tables))
    if (shards.length > 0) await send(node, alterReplicaSet(name, 'drop', shards))
    if (shards.length < inside.length || !isOurs(name)) continue
    await send(node, { kind: 'delete_cluster', cluster: name })
    for (const member of liveMembers) await send(member, dropTable(markerTableName(name)))
  }
  await forEachTable(observed, async (node, name) => {
    if (isShardOf(name, tables)) await send(node, dropTable(name))
  })
}

async function forEachTable(
  observed: ObservedState,
  body: (node: NodeId, name: string) => Promise<void>,
): Promise<void> {
  await Promise.all(
    [...observed.tables].map(async ([node, names]) => {
      for (const name of names) await body(node, name)
    }),
  )
}

async function forgetPlacements(
  observed: ObservedState,
  tables: readonly string[],
  send: (node: NodeId, statement: Statement) => Promise<void>,
): Promise<void> {
  const ids = observed.placements.filter(({ table }) => tables.includes(table)).map(({ id }) => id)
  const [node] = observed.nodes
  if (ids.length > 0 && node !== undefined) await send(node, deletePlacements(observed.cluster, ids))
}

function isShardOf(name: string, tables: readonly string[]): boolean {
  return tables.some((table) => {
    const prefix = `system.${table}_s`
    return name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length))
  })
}
