import type { IdSource } from '../domain/ports.ts'
import type { Statement } from '../domain/statement.ts'
import { type NodeId, shardTableName } from '../domain/words.ts'
import type { Move } from './layout.ts'
import type { ObservedPlacement } from './observed.ts'
import type { ShardUnit } from './topology.ts'

/** Shards that go from one node to another through one replication cluster. */
export interface Transfer {
  /** The replica set, or the temporary one of shards with a single copy. */
  readonly set: string
  readonly temporary: boolean
  readonly from: NodeId
  readonly to: NodeId
  /** Name of the marker table that is made for it. */
  readonly marker: string
  readonly shards: ShardUnit['shards']
  readonly bytes: number
  /** Holders when it is over. */
  readonly holders: readonly NodeId[]
  /** Whether the old holder answers, so that there is something to free on it. */
  readonly fromServes: boolean
}

export function ends({ from, to }: Move): { from: NodeId; to: NodeId } {
  return { from, to }
}

export function shardNames(shards: ShardUnit['shards']): string[] {
  return shards.map(({ table, shard }) => shardTableName(table, shard))
}

export function verifyTables(shards: ShardUnit['shards'], nodes: readonly NodeId[]): Statement {
  return { kind: 'verify_tables', tables: shardNames(shards), nodes }
}

export function idsOf(rows: readonly ObservedPlacement[]): number[] {
  return rows.map(({ id }) => id)
}

/** The placement when a transfer is over. */
export function placementsAfter(
  placements: readonly ObservedPlacement[],
  transfer: Transfer,
  ids: IdSource,
): ObservedPlacement[] {
  return transfer.temporary
    ? placementsAfterSingle(placements, transfer, ids)
    : placements.map((row) =>
        row.replicaSet === transfer.set && row.node === transfer.from ? { ...row, node: transfer.to } : row,
      )
}

/** Shards with a single copy leave the row of one node and enter that of another. */
function placementsAfterSingle(
  placements: readonly ObservedPlacement[],
  { from, to, shards }: Transfer,
  ids: IdSource,
): ObservedPlacement[] {
  const rows = [...placements]
  for (const [table, moved] of Map.groupBy(shards, (shard) => shard.table)) {
    const numbers = moved.map(({ shard }) => shard)
    const isOf = (row: ObservedPlacement, node: NodeId) =>
      row.table === table && row.replicaSet === '' && row.node === node
    const fromIndex = rows.findIndex((row) => isOf(row, from))
    const source = rows[fromIndex]
    if (source === undefined) continue
    const left = source.shards.filter((shard) => !numbers.includes(shard))
    if (left.length > 0) rows[fromIndex] = { ...source, shards: left }
    else rows.splice(fromIndex, 1)
    const toIndex = rows.findIndex((row) => isOf(row, to))
    const target = rows[toIndex]
    const shardsThere = [...(target?.shards ?? []), ...numbers].toSorted((a, b) => a - b)
    if (target === undefined) {
      rows.push({ id: ids.next(), table, node: to, replicaSet: '', shards: shardsThere })
    } else rows[toIndex] = { ...target, shards: shardsThere }
  }
  return rows
}
