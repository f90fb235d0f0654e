import type { NodeId } from '../../domain/words.ts'
import { Queue } from '../../library/queue.ts'
import { Table } from '../../library/table.ts'
import { Load, type LoadReport } from '../../testing/load.ts'
import { LOAD_STRUCTURE } from '../../testing/load-rows.ts'
import type { ChangingNodes, DemoNodes } from './demo-nodes.ts'
import type { DemoEvent, FailedOver, Rebalanced, TableShape } from './events.ts'

/** How long clients work before and after each change, in milliseconds: enough for hundreds of rows. */
const BREATH_MS = 500
/** How often the cluster is asked whether it has noticed a change, in milliseconds. */
const LOOK_MS = 100
/** After this the cluster should have noticed, in milliseconds; real ones take five seconds. */
const NOTICE_PATIENCE_MS = 20_000

interface Stage extends DemoNodes {
  readonly changing: ChangingNodes
  readonly emit: (event: DemoEvent) => void
  readonly signal: AbortSignal
}

/** Adds a node and kills another, while clients write and read all the time, and proves what became of the rows. */
export async function growAndLose(
  stage: Stage,
  shapes: { readonly growing: TableShape; readonly losing: TableShape },
): Promise<{ rebalanced: Rebalanced; failover: FailedOver }> {
  const rebalanced = await onTable(
    stage,
    shapes.growing,
    async (table, queue) => await grow(stage, table, queue),
  )
  const { losing } = shapes
  const failover = await onTable(stage, losing, async (table) => await lose(stage, table, losing.rf))
  return { rebalanced, failover }
}

/** Makes a table, plays on it, and drops it again. */
async function onTable<T>(
  { client, cluster }: Stage,
  shape: TableShape,
  play: (table: Table, queue: Queue) => Promise<T>,
): Promise<T> {
  const queue = new Queue(cluster, client)
  const table = new Table(client, cluster, shape.table, LOAD_STRUCTURE)
  await table.shard(queue, shape.shards, shape.rf)
  const result = await play(table, queue)
  await table.drop(queue)
  return result
}

async function grow(stage: Stage, table: Table, queue: Queue): Promise<Rebalanced> {
  const { cluster, emit, nodes, changing } = stage
  emit({ kind: 'growing', table: table.name })
  const load = startLoad(stage, table.name, nodes)
  const { added, ms } = await underLoad(load, async () => {
    await breathe(stage)
    const node = await changing.add()
    const since = now(stage)
    await table.rebalance(queue)
    const took = now(stage) - since
    load.setNodes(await cluster.nodes())
    await breathe(stage)
    return { added: node, ms: took }
  })
  const { savepoint } = await table.getRebalancingProgress()
  const report = await load.stop()
  const rebalanced = {
    moves: savepoint.total,
    rowsLost: await rowsLost(load, nodes[0] ?? added, report),
    failedRequests: report.failedRequests,
    longestGapMs: report.longestGapMs,
  }
  const { placements } = await cluster.observe()
  emit({
    kind: 'grown',
    node: added,
    result: rebalanced,
    rows: report.acknowledged,
    reads: report.reads,
    placements: placements.filter((placement) => placement.table === table.name),
    ms,
  })
  return rebalanced
}

async function lose(stage: Stage, table: Table, rf: number): Promise<FailedOver> {
  const { cluster, emit, changing } = stage
  const nodes = await cluster.nodes()
  const { placements } = await cluster.observe()
  const dead = placements.findLast((placement) => placement.table === table.name)?.node ?? ''
  const others = nodes.filter((node) => node !== dead)
  emit({ kind: 'losing', node: dead })
  const load = startLoad(stage, table.name, nodes)
  const ms = await underLoad(load, async () => {
    await breathe(stage)
    await changing.kill(dead)
    load.setNodes(others)
    await until(stage, async () => (await cluster.observe()).missingNodes.includes(dead))
    const since = now(stage)
    await cluster.reroute()
    await cluster.replace([dead])
    const took = now(stage) - since
    await breathe(stage)
    return took
  })
  const report = await load.stop()
  const failover = {
    rowsLost: await rowsLost(load, others[0] ?? '', report),
    rfRestored: await hasCopies(stage, table.name, rf),
  }
  emit({ kind: 'lost', node: dead, result: failover, rows: report.acknowledged, ms })
  await changing.restart(dead)
  await until(stage, async () => !(await cluster.observe()).missingNodes.includes(dead))
  await cluster.clean(dead)
  await cluster.reroute()
  emit({ kind: 'returned', node: dead })
  return failover
}

function startLoad({ client }: Stage, table: string, nodes: readonly NodeId[]): Load {
  const { connector, clock } = client.parts
  return Load.start({ connector, clock, nodes, table })
}

/** The clients end with what they work under, also when that fails. */
async function underLoad<T>(load: Load, play: () => Promise<T>): Promise<T> {
  try {
    return await play()
  } finally {
    await load.stop()
  }
}

async function rowsLost(load: Load, node: NodeId, { wrongCounts }: LoadReport): Promise<number> {
  const { missing, doubled, changed } = await load.verify(node)
  return missing.length + doubled.length + changed.length + wrongCounts.length
}

/** Whether every shard has `rf` copies on nodes that answer. */
async function hasCopies({ cluster }: Stage, table: string, rf: number): Promise<boolean> {
  const { placements, nodes } = await cluster.observe()
  const copies = new Map<number, Set<NodeId>>()
  for (const { node, shards } of placements.filter((placement) => placement.table === table)) {
    if (!nodes.includes(node)) return false
    for (const shard of shards) copies.set(shard, (copies.get(shard) ?? new Set()).add(node))
  }
  return copies.size > 0 && [...copies.values()].every(({ size }) => size === rf)
}

async function until(stage: Stage, condition: () => Promise<boolean>): Promise<void> {
  const giveUpAt = now(stage) + NOTICE_PATIENCE_MS
  while (!(await condition())) {
    if (now(stage) > giveUpAt) throw new Error(`the cluster has noticed nothing for ${NOTICE_PATIENCE_MS} ms`)
    await stage.client.parts.clock.sleep(LOOK_MS, stage.signal)
  }
}

async function breathe({ client, signal }: Stage): Promise<void> {
  await client.parts.clock.sleep(BREATH_MS, signal)
}

function now({ client }: Stage): number {
  return client.parts.clock.now()
}
