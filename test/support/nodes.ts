import { EmbeddedCluster } from '../../src/embedded/index.ts'
import { RealNodes } from './real-nodes.ts'

/** Nodes to test against: embedded ones, or real daemons when `MANTICORE_SEARCHD` names a binary. */
export interface TestNodes {
  readonly kind: 'embedded' | 'real'
  /** `host:port` of each. */
  readonly ids: readonly string[]
  close(): Promise<void>
}

/** Set by the `real` project of the test runner's configuration. */
const realBinary = process.env['MSHARD_TEST_REAL'] === '1' ? process.env['MANTICORE_SEARCHD'] : undefined

export const againstRealNodes = realBinary !== undefined

/** Starts nodes, and makes a cluster of them when a name is given. */
export async function startNodes(count: number, cluster?: string): Promise<TestNodes> {
  if (realBinary !== undefined) {
    const real = await RealNodes.start(realBinary, count, cluster)
    return { kind: 'real', ids: real.ids, close: async () => await real.close() }
  }
  const embedded = await EmbeddedCluster.start({
    nodes: count,
    dataDir: ':memory:',
    ...(cluster === undefined ? {} : { cluster }),
  })
  return {
    kind: 'embedded',
    ids: embedded.nodes.map(({ id }) => id),
    close: async () => await embedded.close(),
  }
}
