import type { DeleteRows, InsertRows, UpdateRows } from '../domain/statement.ts'
import { messageOf } from '../domain/errors.ts'
import { isInsert, withRowIds, writeToTable, type WriteStatement } from './cluster-writes.ts'
import type { NodeProcess } from './embedded-node-process.ts'
import { createNodeSession, type NodeSession } from './local-statements.ts'
import { LinkDown } from './network.ts'
import type { Replication } from './replication.ts'
import { parseShardTargets, type ShardTarget } from './shard-definition.ts'
import { idsNamedBy, idsOfRows } from './shard-ids.ts'
import { shardOfId } from '../sql/index.ts'
import { DaemonError, type StatementResult, type StoredTable } from './store.ts'

type RowWrite = InsertRows | UpdateRows | DeleteRows

interface ShardWrite {
  readonly target: ShardTarget
  readonly statement: WriteStatement
}

/**
 * Writes through a sharded table: every row goes to the shard its id belongs to, and from there to all members of
 * the shard's cluster. Shards are written independently; a failure in one does not undo the others.
 */
export async function writeSharded(
  replication: Replication,
  process: NodeProcess,
  table: StoredTable,
  statement: RowWrite,
  session: NodeSession,
): Promise<StatementResult> {
  const targets = parseShardTargets(table.name, table.options)
  const writes = isInsert(statement)
    ? splitRows(
        targets,
        withRowIds(statement, () => replication.network.nextAutoId()),
      )
    : splitCondition(targets, statement)
  const outcomes = await Promise.allSettled(
    writes.map((write) => writeShard(replication, process, write, session)),
  )
  process.ensureAlive()
  let total = 0
  let warning = ''
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') throw outcome.reason
    total += outcome.value.total
    warning ||= outcome.value.warning
  }
  return { columns: [], rows: [], total, warning }
}

function splitRows(targets: readonly ShardTarget[], statement: InsertRows): readonly ShardWrite[] {
  const rowsByShard = new Map<number, InsertRows['rows'][number][]>()
  const ids = idsOfRows(statement)
  for (const [index, row] of statement.rows.entries()) {
    const shard = shardOfId(ids[index] ?? '0', targets.length)
    const rows = rowsByShard.get(shard)
    if (rows === undefined) rowsByShard.set(shard, [row])
    else rows.push(row)
  }
  return targets.flatMap((target, shard) => {
    const rows = rowsByShard.get(shard)
    if (rows === undefined) return []
    return [{ target, statement: { ...statement, table: shardName(target), rows } }]
  })
}

function splitCondition(
  targets: readonly ShardTarget[],
  statement: UpdateRows | DeleteRows,
): readonly ShardWrite[] {
  return shardsOfIds(targets, idsNamedBy(statement.where)).map((target) => ({
    target,
    statement: { ...statement, table: shardName(target) },
  }))
}

/** The shards that hold any of these ids; all of them for null. */
export function shardsOfIds(
  targets: readonly ShardTarget[],
  ids: ReadonlySet<string> | null,
): readonly ShardTarget[] {
  if (ids === null) return targets
  const shards = new Set([...ids].map((id) => shardOfId(id, targets.length)))
  return targets.filter((_target, shard) => shards.has(shard))
}

function shardName(target: ShardTarget): { cluster: null; name: string } {
  return { cluster: null, name: target.table }
}

async function writeShard(
  replication: Replication,
  process: NodeProcess,
  write: ShardWrite,
  session: NodeSession,
): Promise<StatementResult> {
  const { target, statement } = write
  if (target.kind === 'local') return await writeToTable(replication, process, statement, session)
  let lastFailure = 'no mirror'
  for (const mirror of nearestFirst(process, target.mirrors)) {
    try {
      return await replication.network.call(process, mirror.node, (remote) =>
        writeToTable(replication, remote, statement, createNodeSession()),
      )
    } catch (error) {
      const prefix = `remote table '${target.table}' at ${mirror.node} failed:`
      if (error instanceof DaemonError) throw new DaemonError(`${prefix} remote error: ${error.message}`)
      if (!(error instanceof LinkDown)) throw error
      // The write may have taken effect when only its answer was lost: another mirror must not repeat it.
      if (error.delivered) throw new DaemonError(`${prefix} ${error.message}`)
      lastFailure = `${prefix} ${messageOf(error)}`
    }
  }
  throw new DaemonError(lastFailure)
}

/** Mirrors in the order they are tried: this node's own copy costs no way. */
export function nearestFirst<T extends { readonly node: string }>(
  process: NodeProcess,
  mirrors: readonly T[],
): readonly T[] {
  return mirrors.toSorted((a, b) => Number(b.node === process.node) - Number(a.node === process.node))
}
