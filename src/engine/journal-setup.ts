import { NodeError } from '../domain/errors.ts'
import type { CallOptions, NodeCatalog, NodeConnector } from '../domain/ports.ts'
import type { ColumnDefinition, CreateTable, Statement } from '../domain/statement.ts'
import type { NodeId } from '../domain/words.ts'
import { renderStatement } from '../sql/index.ts'
import { JOURNAL_TABLES } from './journal-schema.ts'

/** How long one statement of the setup may take, in milliseconds. */
const CALL: CallOptions = { timeoutMs: 30_000 }

export interface JournalSetupParts {
  readonly connector: NodeConnector
  readonly catalog: NodeCatalog
  /** The cluster of all nodes, or null when standalone. */
  readonly cluster: string | null
  /** The node that makes the tables; its copies reach the others. */
  readonly node: NodeId
}

/**
 * Makes the system tables if they are missing, puts them into the cluster, and adds columns that an older
 * version did not have. May run in several processes at once, and again after a crash at any point.
 */
export async function setUpJournal(parts: JournalSetupParts): Promise<void> {
  const { catalog, node } = parts
  const present = await catalog.tables(node, CALL)
  for (const table of JOURNAL_TABLES) {
    if (!present.has(table.table.name)) await send(parts, node, table)
    else await upgrade(parts, table)
  }
  await joinCluster(parts)
}

async function joinCluster(parts: JournalSetupParts): Promise<void> {
  const { cluster, node } = parts
  if (cluster === null) return
  const inside = new Set((await clusterOf(parts))?.tables)
  const outside = JOURNAL_TABLES.map(({ table }) => table.name).filter((name) => !inside.has(name))
  for (const name of outside) {
    await send(parts, node, { kind: 'alter_cluster', cluster, action: 'add', tables: [name] })
  }
}

async function upgrade(parts: JournalSetupParts, table: CreateTable): Promise<void> {
  const { catalog, cluster, node } = parts
  const name = table.table.name
  const present = new Set((await catalog.columns(node, name, CALL)).map((column) => column.name))
  const missing = (table.columns ?? []).filter((column) => !present.has(column.name))
  if (missing.length === 0) return
  const status = await clusterOf(parts)
  if (cluster !== null && status?.tables.includes(name) === true) {
    // A table in a cluster cannot be altered; outside it keeps its rows on every member.
    await send(parts, node, { kind: 'alter_cluster', cluster, action: 'drop', tables: [name] })
  }
  for (const member of status?.nodesView ?? [node]) await addColumns(parts, member, name, missing)
}

async function addColumns(
  parts: JournalSetupParts,
  node: NodeId,
  name: string,
  missing: readonly ColumnDefinition[],
): Promise<void> {
  const present = new Set((await parts.catalog.columns(node, name, CALL)).map((column) => column.name))
  for (const { name: column, type } of missing.filter((column) => !present.has(column.name))) {
    await send(parts, node, {
      kind: 'alter_table',
      table: { cluster: null, name },
      action: 'add_column',
      column,
      type,
    })
  }
}

async function clusterOf({ catalog, cluster, node }: JournalSetupParts) {
  return cluster === null ? undefined : await catalog.cluster(node, cluster, CALL)
}

/** Another process may be doing the same: what exists already is fine. */
async function send({ connector }: JournalSetupParts, node: NodeId, statement: Statement): Promise<void> {
  try {
    await connector.connection(node).execute(renderStatement(statement), CALL)
  } catch (error) {
    if (!(error instanceof NodeError && error.code === 'duplicate')) throw error
  }
}
