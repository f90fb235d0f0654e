import type { Expression, Select } from '../domain/statement.ts'
import type { NodeProcess } from './embedded-node-process.ts'
import { runSelectOverRows } from './local-statements.ts'
import { type EmbeddedNetwork, LinkDown } from './network.ts'
import { parseShardTargets, type ShardTarget } from './shard-definition.ts'
import { idsNamedBy } from './shard-ids.ts'
import { isMergeableAggregate, mergeAggregates, withRowCount } from './sharding-aggregates.ts'
import { nearestFirst, shardsOfIds } from './sharding.ts'
import {
  DaemonError,
  type StatementResult,
  type StoredRow,
  type StoredTable,
  type TableStore,
} from './store.ts'

/** Rows of a SELECT without LIMIT. */
const DEFAULT_LIMIT = 20

/** Up to so many rows a shard is asked for its best rows only; beyond it for all that match. */
const MAX_PUSHED_LIMIT = 1_000

/** Name under which the id of a shard's row is asked for besides what the statement asks for. */
const ROW_ID_ALIAS = 'shard_row_id'

interface Gathered<T> {
  readonly parts: readonly T[]
  readonly warning: string
}

/** SELECT over all shards of a table, from one live copy each. */
export async function selectSharded(
  network: EmbeddedNetwork,
  process: NodeProcess,
  table: StoredTable,
  select: Select,
): Promise<StatementResult> {
  const targets = shardsOfIds(parseShardTargets(table.name, table.options), idsNamedBy(select.where))
  if (isMergeableAggregate(select)) {
    const counted = withRowCount(select)
    const { parts, warning } = await gather(network, process, table, targets, (store, name) =>
      store.select({ ...counted, from: { cluster: null, name } }),
    )
    return { ...mergeAggregates(select, parts), warning }
  }
  const { parts, warning } = await gather(network, process, table, targets, (store, name) =>
    matchingRows(store, name, select),
  )
  // The shards have applied the condition; what MATCH finds they alone can tell.
  const result = runSelectOverRows(table, parts.flat(), {
    ...select,
    from: { cluster: null, name: table.name },
    where: null,
  })
  return { ...result, warning: result.warning || warning }
}

/** The rows of one shard that may be part of the result. */
function matchingRows(store: TableStore, name: string, select: Select): readonly StoredRow[] {
  const wanted = select.offset + (select.limit ?? DEFAULT_LIMIT)
  const isWholeRows =
    select.groupBy.length === 0 && !select.items.some((item) => hasAggregate(item.expression))
  if (!isWholeRows || wanted > MAX_PUSHED_LIMIT) return [...store.scan(name, select.where)]
  const best = store.select({
    ...select,
    from: { cluster: null, name },
    items: [...select.items, { expression: ID_COLUMN, alias: ROW_ID_ALIAS }],
    limit: wanted,
    offset: 0,
  })
  const ids = best.rows
    .map((row) => row[ROW_ID_ALIAS])
    .filter((id) => typeof id === 'number' || typeof id === 'bigint')
  if (ids.length === 0) return []
  const rank = new Map(ids.map((id, index) => [String(id), index]))
  const rows = [...store.scan(name, { kind: 'in', operand: ID_COLUMN, values: ids, negated: false })]
  const rankOf = (row: StoredRow): number => rank.get(String(row.get('id'))) ?? 0
  return rows.sort((a, b) => rankOf(a) - rankOf(b))
}

const ID_COLUMN: Expression = { kind: 'column', column: 'id', path: [] }

const AGGREGATES: ReadonlySet<string> = new Set(['count', 'sum', 'min', 'max', 'avg', 'group_concat'])

function hasAggregate(expression: Expression): boolean {
  if (expression.kind === 'call') {
    return AGGREGATES.has(expression.name) || expression.arguments.some(hasAggregate)
  }
  return expression.kind === 'binary' && (hasAggregate(expression.left) || hasAggregate(expression.right))
}

/** Runs `read` on one live copy of every shard. */
async function gather<T>(
  network: EmbeddedNetwork,
  process: NodeProcess,
  table: StoredTable,
  targets: readonly ShardTarget[],
  read: (store: TableStore, name: string) => T,
): Promise<Gathered<T>> {
  const answers = await Promise.allSettled(targets.map((target) => readShard(network, process, target, read)))
  process.ensureAlive()
  const parts: T[] = []
  const failures: Error[] = []
  for (const answer of answers) {
    if (answer.status === 'fulfilled') parts.push(answer.value)
    else if (answer.reason instanceof RemoteShardFailure) failures.push(answer.reason)
    else throw answer.reason
  }
  if (parts.length === 0 && failures[0] !== undefined) {
    throw new DaemonError(`table ${table.name}: ${failures[0].message}`)
  }
  const said = failures.filter((failure) => !(failure instanceof RemoteTableAbsent))
  return { parts, warning: said.map((failure) => `table ${table.name}: ${failure.message}`).join('; ') }
}

/** A shard that could not be read on any of its nodes: the result goes without its rows. */
class RemoteShardFailure extends Error {}

/** The node answered that it has no such table. The daemon leaves such a shard out without a word. */
class RemoteTableAbsent extends RemoteShardFailure {}

async function readShard<T>(
  network: EmbeddedNetwork,
  process: NodeProcess,
  target: ShardTarget,
  read: (store: TableStore, name: string) => T,
): Promise<T> {
  if (target.kind === 'local') return readTable(process, target.table, read)
  let failure = new RemoteShardFailure(`no mirror for '${target.table}'`)
  for (const mirror of nearestFirst(process, target.mirrors)) {
    try {
      return await network.call(process, mirror.node, (remote) => readTable(remote, mirror.table, read))
    } catch (error) {
      failure = asShardFailure(error, mirror.node)
    }
  }
  throw failure
}

function readTable<T>(process: NodeProcess, table: string, read: (store: TableStore, name: string) => T): T {
  if (process.store.table(table)?.kind !== 'rt') throw new UnknownTable(table)
  return read(process.store, table)
}

class UnknownTable extends DaemonError {
  constructor(table: string) {
    super(`unknown local table(s) '${table}' in search request`)
  }
}

function asShardFailure(error: unknown, node: string): RemoteShardFailure {
  if (error instanceof UnknownTable)
    return new RemoteTableAbsent(`agent ${node}: remote error: ${error.message}`)
  if (error instanceof DaemonError)
    return new RemoteShardFailure(`agent ${node}: remote error: ${error.message}`)
  if (error instanceof LinkDown) return new RemoteShardFailure(`agent ${node}: connect: ${error.message}`)
  throw error
}
