import { unreachable } from '../domain/errors.ts'
import type { AlterCluster, CreateTable, Statement } from '../domain/statement.ts'
import { idsWithin, insertedIds, type RowId } from './row-ids.ts'

/** What a statement changes when it succeeds. Names are as in the statement, `system.` included. */
export type Effect =
  /** Reads, settings of a session, transactions around nothing. */
  | { readonly kind: 'none' }
  | { readonly kind: 'table_made'; readonly table: string; readonly definition: CreateTable }
  | { readonly kind: 'table_dropped'; readonly table: string }
  | {
      readonly kind: 'table_altered'
      readonly table: string
      readonly action: 'add_column' | 'drop_column'
      readonly column: string
    }
  | { readonly kind: 'table_emptied'; readonly table: string }
  | { readonly kind: 'cluster_made'; readonly cluster: string }
  /** On all its members. */
  | { readonly kind: 'cluster_deleted'; readonly cluster: string }
  | { readonly kind: 'cluster_joined'; readonly cluster: string; readonly at: string | null }
  | { readonly kind: 'cluster_left'; readonly cluster: string }
  /** The executing node's copies went to all members, over whatever was there. */
  | { readonly kind: 'tables_added'; readonly cluster: string; readonly tables: readonly string[] }
  | { readonly kind: 'tables_removed'; readonly cluster: string; readonly tables: readonly string[] }
  | { readonly kind: 'members_updated'; readonly cluster: string }
  /** A cluster without quorum was made primary by this node alone. */
  | { readonly kind: 'bootstrapped'; readonly cluster: string }
  | { readonly kind: 'cluster_configured'; readonly cluster: string; readonly variable: string }
  /** `ids` is null when the daemon chooses them. */
  | { readonly kind: 'rows_inserted'; readonly table: string; readonly ids: readonly RowId[] | null }
  | { readonly kind: 'rows_replaced'; readonly table: string; readonly ids: readonly RowId[] | null }
  /** `ids` are those it cannot go beyond; null when it may touch any row. */
  | {
      readonly kind: 'rows_updated'
      readonly table: string
      readonly columns: readonly string[]
      readonly ids: readonly RowId[] | null
    }
  | { readonly kind: 'rows_deleted'; readonly table: string; readonly ids: readonly RowId[] | null }

/** What `statement` changes on the node (and, for clusters and their tables, on the other members). */
export function effectOf(statement: Statement): Effect {
  switch (statement.kind) {
    case 'create_table':
      return { kind: 'table_made', table: statement.table.name, definition: statement }
    case 'drop_table':
      return { kind: 'table_dropped', table: statement.table.name }
    case 'alter_table': {
      const { action, column } = statement
      return { kind: 'table_altered', table: statement.table.name, action, column }
    }
    case 'truncate_table':
      return { kind: 'table_emptied', table: statement.table.name }
    case 'create_cluster':
      return { kind: 'cluster_made', cluster: statement.cluster }
    case 'join_cluster':
      return { kind: 'cluster_joined', cluster: statement.cluster, at: statement.at }
    case 'delete_cluster':
      return { kind: 'cluster_deleted', cluster: statement.cluster }
    case 'exit_cluster':
      return { kind: 'cluster_left', cluster: statement.cluster }
    case 'alter_cluster':
      return alterClusterEffect(statement)
    case 'set_cluster':
      return statement.variable === 'pc.bootstrap'
        ? { kind: 'bootstrapped', cluster: statement.cluster }
        : { kind: 'cluster_configured', cluster: statement.cluster, variable: statement.variable }
    case 'insert':
      return { kind: 'rows_inserted', table: statement.table.name, ids: insertedIds(statement) }
    case 'replace':
      return { kind: 'rows_replaced', table: statement.table.name, ids: insertedIds(statement) }
    case 'update': {
      const columns = statement.assignments.map(({ column }) => column)
      const ids = idsWithin(statement.where)
      return { kind: 'rows_updated', table: statement.table.name, columns, ids }
    }
    case 'delete':
      return { kind: 'rows_deleted', table: statement.table.name, ids: idsWithin(statement.where) }
    case 'select':
    case 'show_tables':
    case 'show_status':
    case 'show_table_status':
    case 'show_create_table':
    case 'describe':
    case 'show_other':
    case 'begin':
    case 'commit':
    case 'rollback':
    case 'set_variable':
    case 'verify_tables':
      return { kind: 'none' }
    default:
      return unreachable(statement)
  }
}

function alterClusterEffect({ cluster, action, tables }: AlterCluster): Effect {
  switch (action) {
    case 'add':
      return { kind: 'tables_added', cluster, tables }
    case 'drop':
      return { kind: 'tables_removed', cluster, tables }
    case 'update_nodes':
      return { kind: 'members_updated', cluster }
    default:
      return unreachable(action)
  }
}

/** Whether it is a `type='shard'` table, which holds no rows of its own and needs `OPTION force=1` to drop. */
export function isShardedDefinition(definition: CreateTable): boolean {
  return definition.options.some(({ name, value }) => name === 'type' && value.toLowerCase() === 'shard')
}
