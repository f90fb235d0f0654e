import { EmbeddedCluster, MEASURED_LATENCY, NO_LATENCY } from '../src/embedded/index.ts'

/** Where a benchmark runs. */
export interface BenchNodes {
  /** For the report: what kind of nodes these are. */
  readonly description: string
  readonly urls: readonly string[]
  readonly cluster: string
  close(): Promise<void>
}

export const LATENCIES = ['measured', 'none'] as const
export type Latency = (typeof LATENCIES)[number]

const EMBEDDED_CLUSTER = 'c'

/**
 * Nodes of this very process. With `measured`, every statement takes as long as it took on real daemons; with
 * `none`, what is left is the work of this process, which nodes and library share.
 */
export async function startEmbeddedNodes(count: number, latency: Latency): Promise<BenchNodes> {
  const embedded = await EmbeddedCluster.start({
    nodes: count,
    cluster: EMBEDDED_CLUSTER,
    latency: latency === 'measured' ? MEASURED_LATENCY : NO_LATENCY,
  })
  return {
    description: `${count} embedded nodes, latency: ${latency}`,
    urls: embedded.nodes.map(({ id }) => `http://${id}`),
    cluster: EMBEDDED_CLUSTER,
    close: async () => await embedded.close(),
  }
}

/** Nodes that run already and go on running. */
export function givenNodes(urls: readonly string[], cluster: string): BenchNodes {
  return {
    description: `${urls.length} given nodes`,
    urls,
    cluster,
    close: async () => await Promise.resolve(),
  }
}
