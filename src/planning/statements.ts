import type {
  AlterCluster,
  ColumnDefinition,
  CreateCluster,
  CreateTable,
  DeleteRows,
  DropTable,
  InsertRows,
  JoinCluster,
  Statement,
  TableName,
  TableOption,
} from '../domain/statement.ts'
import { PLACEMENT_TABLE } from '../domain/system-tables.ts'
import { markerTableName, type NodeId, type Placement, shardTableName } from '../domain/words.ts'

/**
 * Options of every replica set. The cache file holds what a returning member missed: 8 MB instead of the
 * default 128 MB per set and node. The short periods make the third member join as fast as the second.
 */
export const REPLICA_SET_OPTIONS = [
  'gcache.size=8M',
  'evs.inactive_check_period=PT0.1S',
  'evs.join_retrans_period=PT0.1S',
  'evs.keepalive_period=PT0.1S',
].join(';')

/** How a node reads and writes a shard that has several copies elsewhere. */
const MIRROR_OPTIONS = '[retry_count=2,ha_strategy=noerrors]'

export function tableName(name: string, cluster: string | null = null): TableName {
  return { cluster, name }
}

export function createMarkerTable(marker: string): CreateTable {
  return {
    kind: 'create_table',
    table: tableName(marker),
    ifNotExists: false,
    columns: [{ name: 'x', type: 'int', properties: [] }],
    options: [],
  }
}

export function createReplicaSet(replicaSet: string, marker = markerTableName(replicaSet)): CreateCluster {
  return {
    kind: 'create_cluster',
    cluster: replicaSet,
    path: marker,
    options: REPLICA_SET_OPTIONS,
  }
}

export function joinReplicaSet(
  replicaSet: string,
  at: NodeId,
  marker = markerTableName(replicaSet),
): JoinCluster {
  return {
    kind: 'join_cluster',
    cluster: replicaSet,
    at,
    path: marker,
    options: REPLICA_SET_OPTIONS,
  }
}

export function alterReplicaSet(
  replicaSet: string,
  action: 'add' | 'drop',
  tables: readonly string[],
): AlterCluster {
  return { kind: 'alter_cluster', cluster: replicaSet, action, tables }
}

export function createTable(
  name: string,
  columns: readonly ColumnDefinition[],
  options: readonly TableOption[],
): CreateTable {
  return { kind: 'create_table', table: tableName(name), ifNotExists: false, columns, options }
}

export function dropTable(name: string, force = false): DropTable {
  return { kind: 'drop_table', table: tableName(name), ifExists: true, force }
}

/** One shard and the nodes that hold it. */
export interface ShardLocation {
  readonly shard: number
  readonly nodes: readonly NodeId[]
}

/**
 * The sharded table as `node` defines it: its own copies as `local`, all others as mirrored agents. Every node
 * lists all shards, so that every node routes alike.
 */
export function createShardedTable(
  table: string,
  columns: readonly ColumnDefinition[],
  locations: readonly ShardLocation[],
  node: NodeId,
): CreateTable {
  const targets = locations.map(({ shard, nodes }): TableOption => {
    const name = shardTableName(table, shard)
    if (nodes.includes(node)) return { name: 'local', value: name }
    const mirrors = nodes.map((holder) => `${holder}:${name}`).join('|')
    return { name: 'agent', value: nodes.length > 1 ? mirrors + MIRROR_OPTIONS : mirrors }
  })
  return createTable(table, columns, [{ name: 'type', value: 'shard' }, ...targets])
}

const PLACEMENT_COLUMNS = ['id', 'cluster', 'node', 'table', 'shards'] as const

export function insertPlacements(
  kind: 'insert' | 'replace',
  cluster: string | null,
  rows: readonly (Placement & { readonly id: number | bigint })[],
): InsertRows {
  return {
    kind,
    table: tableName(PLACEMENT_TABLE, cluster),
    columns: PLACEMENT_COLUMNS,
    rows: rows.map((row) => [row.id, row.replicaSet, row.node, row.table, row.shards]),
  }
}

export function deletePlacements(cluster: string | null, ids: readonly (number | bigint)[]): DeleteRows {
  return {
    kind: 'delete',
    table: tableName(PLACEMENT_TABLE, cluster),
    where: {
      kind: 'in',
      operand: { kind: 'column', column: 'id', path: [] },
      values: ids,
      negated: false,
    },
  }
}

/** Back to back, so that the node is without the table for milliseconds only. */
export function replaceShardedTable(definition: CreateTable): readonly Statement[] {
  return [dropTable(definition.table.name, true), { ...definition, ifNotExists: false }]
}
