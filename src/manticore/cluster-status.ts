import type { ClusterStatus } from '../domain/ports.ts'
import type { NodeId } from '../domain/words.ts'

/** A state transfer under way: tables being copied to or from this node. */
interface StateTransfer {
  /** Percent of the whole transfer, 0 to 100. */
  readonly total: number
  /** What is being done now, e.g. `send files`. */
  readonly stage: string
  /** Percent of the stage, 0 to 100. */
  readonly stageTotal: number
  /** The table being copied, in the daemon's words: `3 (products)`. */
  readonly table: string
  /** How many tables are copied in all. */
  readonly tables: number
}

/** All that a node tells about one of its replication clusters. */
export interface ClusterReport extends ClusterStatus {
  /** Connected members, as the replication library counts them. */
  readonly size: number
  /** The last error of the cluster on this node, or `''`. */
  readonly lastError: string
  readonly sst: StateTransfer | null
}

/** A line of SHOW STATUS. */
export interface Counter {
  readonly name: string
  readonly value: string
}

const PREFIX = 'cluster_'
/** Names the cluster whose counters follow. Shown only where the pattern of the statement lets it through. */
const NAME_COUNTER = 'cluster_name'
const FIRST_SUFFIX = '_state_uuid'
const SECOND_SUFFIX = '_state_seqno'
/** Counters without a value say so with a dash. */
const NOTHING = '-'

interface Block {
  readonly name: string
  readonly values: Map<string, string>
}

/**
 * Decodes the counters of all clusters of a node, in the order in which SHOW STATUS gave them.
 *
 * A cluster's name may contain underscores and even look like a part of a counter (`c` and `c_local`), so a
 * name is never cut out of the middle: the first counter of each block gives it.
 */
export function decodeClusters(counters: readonly Counter[]): ClusterReport[] {
  const blocks: Block[] = []
  counters.forEach((counter, index) => {
    if (!counter.name.startsWith(PREFIX) || counter.name === NAME_COUNTER) return
    const current = blocks.at(-1)
    const started = startedCluster(counter.name, counters[index + 1]?.name, current?.name)
    if (started !== null) blocks.push({ name: started, values: new Map() })
    const block = blocks.at(-1)
    const prefix = `${PREFIX}${block?.name ?? ''}_`
    if (block !== undefined && counter.name.startsWith(prefix)) {
      block.values.set(counter.name.slice(prefix.length), counter.value)
    }
  })
  return blocks.map(report)
}

/** The name of the cluster whose block this counter opens, or null when it stands inside of a block. */
function startedCluster(name: string, next: string | undefined, current: string | undefined): string | null {
  if (!name.endsWith(FIRST_SUFFIX)) return null
  const cluster = name.slice(PREFIX.length, -FIRST_SUFFIX.length)
  if (cluster === '') return null
  if (next === `${PREFIX}${cluster}${SECOND_SUFFIX}`) return cluster
  // `local_state_uuid` is a counter of its own, deeper in every block.
  return current !== undefined && cluster === `${current}_local` ? null : cluster
}

function report({ name, values }: Block): ClusterReport {
  const text = (counter: string) => values.get(counter) ?? ''
  const sst = stateTransfer(text)
  return {
    name,
    status: text('status'),
    nodeState: text('node_state'),
    size: integer(text('size'), 0),
    stateUuid: text('state_uuid'),
    localIndex: integer(text('local_index'), -1),
    nodesSet: nodes(text('nodes_set')),
    nodesView: nodes(text('nodes_view')),
    tables: list(text('indexes')).sort(),
    lastError: text('last_error') === NOTHING ? '' : text('last_error'),
    transferPercent: sst?.total ?? null,
    sst,
  }
}

function stateTransfer(text: (counter: string) => string): StateTransfer | null {
  const total = text('sst_total')
  if (total === '' || total === NOTHING) return null
  return {
    total: integer(total, 0),
    stage: text('sst_stage'),
    stageTotal: integer(text('sst_stage_total'), 0),
    table: text('sst_table'),
    tables: integer(text('sst_tables'), 0),
  }
}

/** Next to each member's own listener stand others, which have their protocol behind them. */
const OTHER_PROTOCOL = /:[a-z_]+$/i

function nodes(value: string): NodeId[] {
  return list(value).filter((entry) => !OTHER_PROTOCOL.test(entry))
}

function list(value: string): string[] {
  return value
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '' && entry !== NOTHING)
}

function integer(value: string, otherwise: number): number {
  const number = Number.parseInt(value, 10)
  return Number.isNaN(number) ? otherwise : number
}
