import type {
  DeleteRows,
  InsertRows,
  Literal,
  Statement,
  TruncateTable,
  UpdateRows,
} from '../domain/statement.ts'
import type { NodeProcess } from './embedded-node-process.ts'
import { executeLocal, type NodeSession } from './local-statements.ts'
import type { Membership } from './replication-membership.ts'
import type { Replication } from './replication.ts'
import { idsNamedBy, idsOfRows } from './shard-ids.ts'
import { DaemonError, type StatementResult, type TableStore } from './store.ts'

/** Statements that change rows, and that all members of a cluster repeat. */
export type WriteStatement = InsertRows | UpdateRows | DeleteRows | TruncateTable

/** How a write that lost against another one on the same row is answered: nothing of it was applied. */
const CONFLICT_TEXT = 'error at PostRollback, code 3 (transaction aborted, server can continue)'

/**
 * Runs a write on the table it names, on this node or on all members of the table's cluster. Enforces the
 * `cluster:table` prefix.
 */
export async function executeWrite(
  replication: Replication,
  process: NodeProcess,
  statement: WriteStatement,
  session: NodeSession,
): Promise<StatementResult> {
  checkClusterPrefix(process, statement)
  return await writeToTable(replication, process, statement, session)
}

/** As {@link executeWrite}, but finds the cluster by itself, as writes that come through a sharded table do. */
export async function writeToTable(
  replication: Replication,
  process: NodeProcess,
  statement: WriteStatement,
  session: NodeSession,
): Promise<StatementResult> {
  const { name } = statement.table
  const plain = withoutCluster(statement)
  const begun = process.clusterOfTable(name)
  const begunSeqno = begun?.seqno ?? 0
  await process.pause(replication.network.latency.writeMs)
  for (;;) {
    const membership = process.clusterOfTable(name)
    if (membership === undefined) return writeLocally(replication, process, plain, session)
    if (replication.writableNow(membership)) {
      const sinceSeqno = membership === begun ? begunSeqno : membership.seqno
      return replicate(replication, membership, plain, session, sinceSeqno)
    }
    await replication.awaitDetection(process, membership.view)
  }
}

/** The refusals of a write whose cluster prefix does not fit its table. */
function checkClusterPrefix(process: NodeProcess, statement: WriteStatement): void {
  const { name, cluster } = statement.table
  // A table that is not there is refused by the store in its own words.
  if (process.store.table(name) === undefined) return
  const membership = process.clusterOfTable(name)
  if ((membership?.cluster ?? null) === cluster) return
  const refusal =
    membership === undefined
      ? `table '${name}' is not in any cluster, use just '${name}'`
      : `table '${name}' is a part of cluster '${membership.cluster}', use '${membership.cluster}:${name}'`
  const isChange = statement.kind === 'update' || statement.kind === 'delete'
  throw new DaemonError(isChange ? `table ${name}: ${refusal}` : refusal)
}

function writeLocally(
  replication: Replication,
  process: NodeProcess,
  statement: WriteStatement,
  session: NodeSession,
): StatementResult {
  const result = executeLocal(process.store, withIds(replication, statement), session)
  process.tableChanged(statement.table.name)
  return result
}

function replicate(
  replication: Replication,
  membership: Membership,
  statement: WriteStatement,
  session: NodeSession,
  sinceSeqno: number,
): StatementResult {
  const resolved = withIds(replication, statement)
  const ids = idsOf(resolved)
  const write = { table: statement.table.name, ids }
  // Of two inserts of one id the later finds the row of the earlier: `duplicate id`, not a conflict.
  if (statement.kind !== 'insert' && replication.conflicts(membership, sinceSeqno, write)) {
    throw new DaemonError(CONFLICT_TEXT)
  }
  return replication.commit<StatementResult>(membership, {
    ...write,
    first: (process) => executeLocal(process.store, resolved, session),
    changed: (result) => statement.kind === 'truncate_table' || result.total > 0,
    repeat: (process) => repeatWrite(process.store, resolved),
  })
}

function repeatWrite(store: TableStore, statement: WriteStatement): void {
  switch (statement.kind) {
    case 'insert':
    case 'replace':
      store.insert(statement)
      break
    case 'update':
      store.update(statement)
      break
    case 'delete':
      store.delete(statement)
      break
    case 'truncate_table':
      store.truncate(statement.table.name)
      break
  }
}

function idsOf(statement: WriteStatement): ReadonlySet<string> | null {
  switch (statement.kind) {
    case 'insert':
    case 'replace':
      return new Set(idsOfRows(statement))
    case 'update':
    case 'delete':
      return idsNamedBy(statement.where)
    case 'truncate_table':
      return null
  }
}

function withoutCluster(statement: WriteStatement): WriteStatement {
  if (statement.table.cluster === null) return statement
  return { ...statement, table: { cluster: null, name: statement.table.name } }
}

/** Gives every inserted row its id, so that all members store the same one. */
function withIds(replication: Replication, statement: WriteStatement): WriteStatement {
  if (!isInsert(statement)) return statement
  return withRowIds(statement, () => replication.network.nextAutoId())
}

/** The same rows with ids where they had none or 0. */
export function withRowIds(statement: InsertRows, nextId: () => number): InsertRows {
  const position = statement.columns === null ? 0 : statement.columns.indexOf('id')
  if (position < 0) {
    return {
      ...statement,
      columns: ['id', ...(statement.columns ?? [])],
      rows: statement.rows.map((row) => [nextId(), ...row]),
    }
  }
  const lacksId = (row: readonly Literal[]): boolean => row[position] === 0 || row[position] === 0n
  if (!statement.rows.some(lacksId)) return statement
  return {
    ...statement,
    rows: statement.rows.map((row) => (lacksId(row) ? row.with(position, nextId()) : row)),
  }
}

export function isInsert(statement: Statement): statement is InsertRows {
  return statement.kind === 'insert' || statement.kind === 'replace'
}

export function isWrite(statement: Statement): statement is WriteStatement {
  return (
    isInsert(statement) ||
    statement.kind === 'update' ||
    statement.kind === 'delete' ||
    statement.kind === 'truncate_table'
  )
}
