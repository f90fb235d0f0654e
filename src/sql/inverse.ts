import { unreachable } from '../domain/errors.ts'
import type {
  AlterCluster,
  AlterTable,
  DropTable,
  InsertRows,
  JoinCluster,
  Statement,
} from '../domain/statement.ts'
import { effectOf, isShardedDefinition } from './effect.ts'
import {
  isMember,
  NOTHING_OBSERVED,
  observedAfter,
  otherMembers,
  type ObservedObjects,
} from './observed-objects.ts'
import { insertedIds } from './row-ids.ts'

/**
 * The statement that undoes `statement` on the same node and can be sent twice, or null when nothing does:
 * because there is nothing to undo, because what it destroys is not known, or because what it makes was there
 * `before`.
 */
export function inverseOf(
  statement: Statement,
  before: ObservedObjects = NOTHING_OBSERVED,
): Statement | null {
  switch (statement.kind) {
    case 'create_table':
      if (before.tables.has(statement.table.name)) return null
      return {
        kind: 'drop_table',
        table: statement.table,
        ifExists: true,
        force: isShardedDefinition(statement),
      }
    case 'drop_table':
      return inverseOfDrop(statement, before)
    case 'alter_table':
      return inverseOfAlterTable(statement)
    case 'create_cluster':
      if (before.clusters.has(statement.cluster)) return null
      return { kind: 'delete_cluster', cluster: statement.cluster }
    case 'join_cluster':
      if (isMember(before, statement.cluster)) return null
      return { kind: 'exit_cluster', cluster: statement.cluster }
    case 'delete_cluster':
      return inverseOfDeleteCluster(statement.cluster, before)
    case 'exit_cluster':
      return inverseOfExitCluster(statement.cluster, before)
    case 'alter_cluster':
      return inverseOfAlterCluster(statement)
    case 'insert':
      return inverseOfInsert(statement)
    case 'truncate_table':
    case 'set_cluster':
    case 'replace':
    case 'update':
    case 'delete':
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
      return null
    default:
      return unreachable(statement)
  }
}

/** The statements that undo all of `statements`, last one first, or null when one of them has no inverse. */
export function inverseOfScript(
  statements: readonly Statement[],
  before: ObservedObjects = NOTHING_OBSERVED,
): Statement[] | null {
  const inverses: Statement[] = []
  let observed = before
  for (const statement of statements) {
    if (effectOf(statement).kind === 'none') continue
    const inverse = inverseOf(statement, observed)
    if (inverse === null) return null
    inverses.unshift(inverse)
    observed = observedAfter(statement, observed)
  }
  return inverses
}

/** Only a sharded table comes back whole: it has no rows of its own. */
function inverseOfDrop({ table }: DropTable, before: ObservedObjects): Statement | null {
  const definition = before.definitions?.get(table.name)
  if (definition === undefined || !isShardedDefinition(definition)) return null
  return { ...definition, table, ifNotExists: true }
}

function inverseOfAlterTable(statement: AlterTable): AlterTable | null {
  return statement.action === 'add_column' ? { ...statement, action: 'drop_column', type: null } : null
}

/** A cluster of this node alone and without tables can be made again; any other cannot, from one node. */
function inverseOfDeleteCluster(cluster: string, before: ObservedObjects): Statement | null {
  const details = before.clusterDetails?.get(cluster)
  const others = otherMembers(before, cluster)
  const canBeMade = details !== undefined && details.tables.length === 0 && others?.length === 0
  return canBeMade ? { kind: 'create_cluster', cluster, path: details.path, options: null } : null
}

function inverseOfExitCluster(cluster: string, before: ObservedObjects): JoinCluster | null {
  const at = otherMembers(before, cluster)?.[0]
  const details = before.clusterDetails?.get(cluster)
  if (at === undefined || details === undefined) return null
  return { kind: 'join_cluster', cluster, at, path: details.path, options: null }
}

function inverseOfAlterCluster(statement: AlterCluster): AlterCluster | null {
  switch (statement.action) {
    case 'add':
      return { ...statement, action: 'drop' }
    case 'drop':
      return { ...statement, action: 'add' }
    case 'update_nodes':
      return null
    default:
      return unreachable(statement.action)
  }
}

function inverseOfInsert(statement: InsertRows): Statement | null {
  const ids = insertedIds(statement)
  if (ids === null) return null
  const operand = { kind: 'column', column: 'id', path: [] } as const
  const where = { kind: 'in', operand, values: ids, negated: false } as const
  return { kind: 'delete', table: statement.table, where }
}
