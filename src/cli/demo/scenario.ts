import type { Command } from '../../domain/command.ts'
import { messageOf } from '../../domain/errors.ts'
import { OperationError, type OperationSummary } from '../../library/operation-error.ts'
import { Queue } from '../../library/queue.ts'
import { type OperationOptions, Table } from '../../library/table.ts'
import { type CatalogSnapshot, diffCatalogs, takeCatalog } from '../../testing/catalog-snapshot.ts'
import { SAMPLE_STRUCTURE } from '../../testing/sample-rows.ts'
import { abandonedDemoTables, dropTable, newDemoTable, removeTables, undoOperation } from './clean-up.ts'
import type { DemoNodes } from './demo-nodes.ts'
import type {
  Compared,
  DemoEvent,
  DemoResult,
  FailedOver,
  FailedTable,
  Rebalanced,
  RowsRead,
  TableShape,
} from './events.ts'
import { growAndLose } from './growing.ts'
import { readRows, writeRows } from './rows.ts'

const SHARDS = 4
const ROWS = 10_000
const RF = 2
/** Enough for every replica set to hold some. */
const MOVED_SHARDS = 12
/** One copy on every one of three nodes: no replica set of the first table fits, so one must be made and undone. */
const FAILING_RF = 3
/** An operation that takes longer than this is no demo any more, in milliseconds; it goes on in the journal. */
const OPERATION_PATIENCE_MS = 60_000
/** How long putting things back after an error may take, in milliseconds. */
const TIDY_PATIENCE_MS = 20_000

interface Scene extends DemoNodes {
  readonly emit: (event: DemoEvent) => void
  readonly signal: AbortSignal
}

/**
 * Plays the whole demo and tells every step. Prints nothing.
 *
 * @param signal breaks it off; what it has made is removed before it rejects
 * @throws what went wrong when it could not be played to its end
 */
export async function runDemo(
  nodes: DemoNodes,
  emit: (event: DemoEvent) => void,
  signal: AbortSignal,
): Promise<DemoResult> {
  const scene: Scene = { ...nodes, emit, signal }
  const first = { table: newDemoTable(nodes.client), shards: SHARDS, rf: RF }
  const second = { table: newDemoTable(nodes.client), shards: SHARDS, rf: FAILING_RF }
  const growing = { table: newDemoTable(nodes.client), shards: MOVED_SHARDS, rf: RF }
  const losing = { table: newDemoTable(nodes.client), shards: MOVED_SHARDS, rf: RF }
  const shapes = { first, second, growing, losing }
  try {
    return await play(scene, shapes)
  } catch (error) {
    await tidy(
      scene,
      Object.values(shapes).map(({ table }) => table),
    )
    throw error
  }
}

async function play(
  scene: Scene,
  { first, second, growing, losing }: Record<'first' | 'second' | 'growing' | 'losing', TableShape>,
): Promise<DemoResult> {
  await takeUp(scene)
  const atFirst = await look(scene)
  const created = await create(scene, first)
  const rows = await writeAndRead(scene, first.table)
  const failed = await fail(scene, second)
  const dropped = await drop(scene, first.table, atFirst)
  const { rebalanced, failover } = await moveCopies(scene, { growing, losing })
  const allRead = rows.read === rows.written && rows.written === ROWS
  const putBack = failed.state === 'rolled_back' && failed.leftovers.length === 0
  return {
    ok: allRead && putBack && dropped.leftovers.length === 0 && nothingLost(rebalanced, failover),
    nodes: scene.nodes.length,
    created,
    rows,
    failed,
    dropped,
    rebalanced,
    failover,
  }
}

/** A node comes and another one dies, where the demo may do that. */
async function moveCopies(
  scene: Scene,
  shapes: { readonly growing: TableShape; readonly losing: TableShape },
): Promise<Pick<DemoResult, 'rebalanced' | 'failover'>> {
  const { changing } = scene
  if (changing === null) return { rebalanced: null, failover: null }
  return await growAndLose({ ...scene, changing }, shapes)
}

function nothingLost(rebalanced: Rebalanced | null, failover: FailedOver | null): boolean {
  const grown = rebalanced === null || (rebalanced.rowsLost === 0 && rebalanced.moves > 0)
  return grown && (failover === null || (failover.rowsLost === 0 && failover.rfRestored))
}

/** Goes on with what a dead process has left, and drops tables of demos that never came to their end. */
async function takeUp(scene: Scene): Promise<void> {
  const { client, cluster, emit } = scene
  emit({ kind: 'taking_up' })
  const since = now(scene)
  const operations = await cluster.recover()
  scene.signal.throwIfAborted()
  const dropped: string[] = []
  // A folder of embedded nodes is ours alone; on given nodes another demo may be running.
  if (scene.folder !== null) dropped.push(...(await abandonedDemoTables(cluster)))
  for (const table of dropped) await dropTable(client, cluster, table, patience())
  emit({ kind: 'taken_up', operations, dropped, ms: now(scene) - since })
}

async function create(scene: Scene, shape: TableShape): Promise<DemoResult['created']> {
  const { cluster, emit } = scene
  emit({ kind: 'creating', shape })
  const { commands, durationMs } = await shardTable(scene, shape)
  const observed = await cluster.observe()
  const placements = observed.placements.filter(({ table }) => table === shape.table)
  emit({ kind: 'created', shape, commands, placements, ms: durationMs })
  return { ...shape, commands, ms: durationMs }
}

async function writeAndRead(scene: Scene, table: string): Promise<DemoResult['rows']> {
  const { client, emit, signal } = scene
  const [writers, reader] = [scene.nodes.slice(0, 2), scene.nodes[2] ?? '']
  const context = {
    clock: client.parts.clock,
    signal,
    onProgress: (done: number) => emit({ kind: 'progress', done, total: ROWS, unit: 'rows' }),
  }
  emit({ kind: 'writing', nodes: writers, rows: ROWS })
  let since = now(scene)
  const connections = writers.map((node) => client.connection(node))
  const written = await writeRows(table, ROWS, connections, context)
  emit({ kind: 'written', nodes: writers, rows: written, ms: now(scene) - since })
  emit({ kind: 'reading', node: reader, rows: written })
  since = now(scene)
  const read = await readRows(table, ROWS, client.connection(reader), context)
  emit({ kind: 'read', node: reader, rows: read, ms: now(scene) - since })
  return { written, read: rowsProven(read) }
}

/** Rows that are there as they were written. One row too many spoils the proof for all. */
function rowsProven({ expected, counted, equal, digests }: RowsRead): number {
  return counted === expected && digests.read === digests.written ? equal : Math.min(equal, expected - 1)
}

/** Makes a table that cannot be made, and compares the catalogs before and after. */
async function fail(scene: Scene, shape: TableShape): Promise<FailedTable> {
  const { emit, sabotage } = scene
  const before = await look(scene)
  const node = scene.nodes.at(-1) ?? ''
  emit({ kind: 'failing', shape, story: sabotage.story(node) })
  const armed = sabotage.arm(shape.table, node)
  let summary: OperationSummary
  let complaints: string[] = []
  try {
    const tell = (command: Command) => emit({ kind: 'failing_command', command })
    summary = await endOf(async () => await shardTable(scene, shape, tell))
  } finally {
    complaints = await armed.disarm()
  }
  const after = await look(scene)
  const leftovers = [...complaints, ...diffCatalogs(before, after)]
  const { state, commands, rolledBack, skipped, durationMs } = summary
  const outcome: FailedTable = { state, commands, rolledBack, leftovers }
  emit({ kind: 'undone', outcome, skipped, compared: sizeOf(after), ms: durationMs })
  if (state === 'succeeded') await dropTable(scene.client, scene.cluster, shape.table, patience())
  return outcome
}

/** How an operation ended, also when that is a failure that was undone. */
async function endOf(run: () => Promise<OperationSummary>): Promise<OperationSummary> {
  try {
    return await run()
  } catch (error) {
    if (error instanceof OperationError) return error.summary
    throw error
  }
}

/** Drops the table; of everything since `atFirst` only replica sets may stay, for the next table. */
async function drop(scene: Scene, table: string, atFirst: CatalogSnapshot): Promise<DemoResult['dropped']> {
  const { client, cluster, emit } = scene
  emit({ kind: 'dropping', table })
  const since = now(scene)
  const { replicaSets } = await cluster.observe()
  const known = new Set(Object.values(atFirst).flatMap(({ clusters }) => Object.keys(clusters)))
  const made = replicaSets.map(({ name }) => name).filter((name) => !known.has(name))
  const unwatch = watch(scene, table)
  await dropTable(client, cluster, table, patience()).finally(unwatch)
  const ms = now(scene) - since
  const mayStay = new Set(made.flatMap((name) => [name, `system.${name}`]))
  const after = await look(scene)
  const leftovers = diffCatalogs(atFirst, after, ({ name }) => mayStay.has(name))
  emit({ kind: 'dropped', table, leftovers, replicaSets: made, compared: sizeOf(after), ms })
  return { leftovers }
}

/** After an error: nothing of the demo stays, if the nodes let us. */
async function tidy({ client, cluster, emit }: Scene, tables: readonly string[]): Promise<void> {
  emit({ kind: 'tidying' })
  const done = new AbortController()
  const expiry = client.parts.clock.sleep(TIDY_PATIENCE_MS, done.signal)
  try {
    const removed = await Promise.race([
      removeTables(client, cluster, tables, patience()),
      expiry.then(() => {
        throw new Error(`it took longer than ${TIDY_PATIENCE_MS} ms`)
      }),
    ])
    emit({ kind: 'tidied', tables: removed, failure: '' })
  } catch (error) {
    emit({ kind: 'tidied', tables, failure: messageOf(error) })
  } finally {
    done.abort()
  }
}

/** Makes a sharded table. When the demo is broken off meanwhile, the operation is undone first. */
async function shardTable(
  scene: Scene,
  { table, shards, rf }: TableShape,
  onCommand?: (command: Command) => void,
): Promise<OperationSummary> {
  const { client, cluster, signal } = scene
  signal.throwIfAborted()
  const queue = new Queue(cluster, client)
  let group: string | undefined
  let undoing: Promise<unknown> = Promise.resolve()
  const undoIfStopped = () => {
    if (!signal.aborted || group === undefined) return
    undoing = undoOperation(queue, group)
    // Awaited below; until then it must not count as forgotten.
    undoing.catch(() => undefined)
  }
  const unwatch = watch(scene, table, {
    onGroup: (name) => {
      group = name
      undoIfStopped()
    },
    onCommand,
  })
  signal.addEventListener('abort', undoIfStopped, { once: true })
  try {
    return await new Table(client, cluster, table, SAMPLE_STRUCTURE).shard(queue, shards, rf, patience())
  } finally {
    signal.removeEventListener('abort', undoIfStopped)
    unwatch()
    await undoing
    signal.throwIfAborted()
  }
}

interface Watcher {
  /** The operation's name, as soon as it is in the journal. */
  readonly onGroup?: (group: string) => void
  readonly onCommand?: ((command: Command) => void) | undefined
}

/** Tells of every command of the operations on one table, until the returned function is called. */
function watch(scene: Scene, table: string, { onGroup, onCommand }: Watcher = {}): () => void {
  const groups = new Set<string>()
  return scene.cluster.progress.subscribe((event) => {
    if (event.kind === 'operation') {
      if (event.table !== table || groups.has(event.group)) return
      groups.add(event.group)
      onGroup?.(event.group)
      return
    }
    if (!groups.has(event.group)) return
    const { command, counts, commands } = event
    onCommand?.(command)
    if (command.status !== 'processed') return
    scene.emit({ kind: 'progress', done: counts.processed, total: commands, unit: 'commands' })
  })
}

async function look({ client, nodes, signal }: Scene): Promise<CatalogSnapshot> {
  return await takeCatalog(client.parts.catalog, nodes, { signal })
}

function sizeOf(snapshot: CatalogSnapshot): Compared {
  const nodes = Object.values(snapshot)
  return {
    tables: nodes.reduce((sum, { tables }) => sum + Object.keys(tables).length, 0),
    memberships: nodes.reduce((sum, { clusters }) => sum + Object.keys(clusters).length, 0),
  }
}

function patience(): OperationOptions {
  return { signal: AbortSignal.timeout(OPERATION_PATIENCE_MS) }
}

function now({ client }: Scene): number {
  return client.parts.clock.now()
}
