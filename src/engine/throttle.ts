import type { Clock, NodeCatalog, NodeConnector } from '../domain/ports.ts'
import { ShardingError } from '../domain/errors.ts'
import type { NodeId } from '../domain/words.ts'

/** How much of the cluster moving copies may take; adjustable while an operation runs. */
export interface Throttle {
  /** Copies that one node takes in at a time. Nodes work off JOINs one by one, so more does not make it faster. */
  readonly movesPerNode: number
  /** Copies under way in the whole cluster. */
  readonly movesInAll: number
  /** No further copy is begun while the node that takes it answers slower than this, in milliseconds. */
  readonly maxLatencyMs: number | null
}

/** One copy a node, and not more at a time than leave most nodes of a small cluster alone. */
export const DEFAULT_THROTTLE: Throttle = { movesPerNode: 1, movesInAll: 4, maxLatencyMs: null }

/** Questions asked to find out how fast a node answers; the quickest counts, so that one hiccup stops nothing. */
const LATENCY_SAMPLES = 3
/** How long one of them may take, in milliseconds. */
const SAMPLE_TIMEOUT_MS = 5_000

/**
 * Whether a node can take a copy now.
 *
 * @throws ShardingError `busy` when it answers too slowly or is full: the copy is begun later
 */
export async function assertMayCopy(
  parts: { readonly connector: NodeConnector; readonly catalog: NodeCatalog; readonly clock: Clock },
  node: NodeId,
  limits: { readonly maxLatencyMs: number | null; readonly capacityBytes: number | null },
): Promise<void> {
  const { maxLatencyMs, capacityBytes } = limits
  if (maxLatencyMs !== null) {
    const latencyMs = await latencyOf(parts, node)
    if (latencyMs > maxLatencyMs) {
      const text = `${node} answers in ${Math.round(latencyMs)} ms, the limit for taking copies is ${maxLatencyMs} ms`
      throw new ShardingError('busy', text)
    }
  }
  if (capacityBytes !== null) {
    const bytes = await bytesOn(parts.catalog, node)
    if (bytes < capacityBytes) return
    throw new ShardingError('busy', `${node} holds ${bytes} bytes, its capacity is ${capacityBytes}`)
  }
}

async function latencyOf(
  { connector, clock }: { readonly connector: NodeConnector; readonly clock: Clock },
  node: NodeId,
): Promise<number> {
  let best = Number.POSITIVE_INFINITY
  for (let sample = 0; sample < LATENCY_SAMPLES; sample++) {
    const startedAt = clock.now()
    await connector.connection(node).read("SHOW STATUS LIKE 'uptime'", { timeoutMs: SAMPLE_TIMEOUT_MS })
    best = Math.min(best, clock.now() - startedAt)
  }
  return best
}

async function bytesOn(catalog: NodeCatalog, node: NodeId): Promise<number> {
  let bytes = 0
  for (const [name, type] of await catalog.tables(node)) {
    if (type === 'rt' && name.startsWith('system.')) bytes += (await catalog.tableSize(node, name)).bytes
  }
  return bytes
}
