import { unreachable } from '../domain/errors.ts'
import type { AlterTable, Select, SelectItem, Statement } from '../domain/statement.ts'
import { createTable, dropTable } from './local-definitions.ts'
import { done } from './local-results.ts'
import type { NodeSession } from './local-session.ts'
import {
  describeTable,
  showCreateTable,
  showOther,
  showStatus,
  showTables,
  withVariables,
} from './local-show.ts'
import { selectChunks, showTableStatus } from './table-status.ts'
import { unsupported } from './sqlite/column-kinds.ts'
import { DEFAULT_LIMIT } from './sqlite/select.ts'
import type { StatementResult, TableStore } from './store.ts'

export { createNodeSession, NodeSession } from './local-session.ts'
export { likeMatcher } from './local-results.ts'
export { runSelectOverRows } from './store-rows-select.ts'

/** Groups that SHOW META counts at most; a query with more tells this number. */
const MAX_FOUND_GROUPS = 1_000_000

const ROW_COUNT: SelectItem = {
  expression: { kind: 'call', name: 'count', distinct: false, arguments: [{ kind: 'star' }] },
  alias: 'found_rows',
}

/**
 * Executes a statement that concerns nothing but this node's own tables. Cluster prefixes are not looked at.
 *
 * @throws DaemonError in the daemon's words.
 */
export function executeLocal(store: TableStore, statement: Statement, session: NodeSession): StatementResult {
  if (statement.kind === 'select') return select(store, statement, session)
  const result = executeOther(store, statement, session)
  if (statement.kind !== 'show_other') session.lastStatement(result)
  return result
}

function executeOther(
  store: TableStore,
  statement: Exclude<Statement, { kind: 'select' }>,
  session: NodeSession,
): StatementResult {
  switch (statement.kind) {
    case 'create_table':
      return createTable(store, statement)
    case 'drop_table':
      return dropTable(store, statement)
    case 'alter_table':
      return alterTable(store, statement)
    case 'truncate_table':
      store.truncate(statement.table.name)
      return done()
    case 'insert':
    case 'replace': {
      const { ids, warning } = store.insert(statement)
      return done(ids.length, warning)
    }
    case 'update':
      return done(store.update(statement))
    case 'delete':
      return done(store.delete(statement))
    case 'show_tables':
      return showTables(store, statement)
    case 'show_table_status':
      return showTableStatus(store, statement)
    case 'show_create_table':
      return showCreateTable(store, statement)
    case 'describe':
      return describeTable(store, statement)
    case 'show_status':
      return showStatus(statement)
    case 'show_other':
      return showOther(statement, session)
    case 'begin':
    case 'commit':
    case 'rollback':
      // Every statement commits by itself, as over the daemon's HTTP listener.
      return done()
    case 'set_variable':
      return done()
    case 'create_cluster':
    case 'join_cluster':
    case 'delete_cluster':
    case 'exit_cluster':
    case 'alter_cluster':
    case 'set_cluster':
    case 'verify_tables':
      throw unsupported(`the statement ${statement.kind} on a node by itself`)
    default:
      return unreachable(statement)
  }
}

function alterTable(store: TableStore, statement: AlterTable): StatementResult {
  const { name } = statement.table
  if (statement.type === null) store.dropColumn(name, statement.column)
  else store.addColumn(name, { name: statement.column, type: statement.type, properties: [] })
  return done()
}

function select(store: TableStore, statement: Select, session: NodeSession): StatementResult {
  const begun = session.now()
  const chunks = selectChunks(store, statement, session.node?.dataDir ?? '')
  const result = chunks ?? store.select(statement.from === null ? withVariables(statement) : statement)
  session.lastResult(result, () => foundRows(store, statement, result), session.now() - begun)
  return result
}

/** All rows that match; counted only when LIMIT may have cut some off. */
function foundRows(store: TableStore, statement: Select, result: StatementResult): number {
  const known = statement.offset + result.rows.length
  const cut = result.rows.length === (statement.limit ?? DEFAULT_LIMIT)
  if (!cut || statement.from === null || store.table(statement.from.name) === undefined) return known
  if (statement.groupBy.length > 0) {
    return store.select({ ...statement, offset: 0, limit: MAX_FOUND_GROUPS }).rows.length
  }
  const items = [...statement.items, ROW_COUNT]
  const counted = store.select({ ...statement, items, orderBy: [], offset: 0, limit: 1 })
  return Number(counted.rows[0]?.['found_rows'] ?? known)
}
