import { setTimeout as sleep } from 'node:timers/promises'
import { EmbeddedCluster } from '../../src/embedded/index.ts'
import { RealNodes } from './real-nodes.ts'

/** Nodes to test against: embedded ones, or real daemons when `MANTICORE_SEARCHD` names a binary. */
export interface TestNodes {
  readonly kind: 'embedded' | 'real'
  /** `host:port` of each that was ever started, in that order. */
  readonly ids: readonly string[]
  /** Starts one more, which joins the cluster; returns its `host:port`. */
  addNode(): Promise<string>
  /** Kill -9; resolves when the cluster of all nodes has noticed. */
  kill(id: string): Promise<void>
  /** Starts a killed node again; resolves when it is back in its clusters. */
  restart(id: string): Promise<void>
  close(): Promise<void>
}

/** Set by the `real` project of the test runner's configuration. */
const realBinary = process.env['MSHARD_TEST_REAL'] === '1' ? process.env['MANTICORE_SEARCHD'] : undefined

export const againstRealNodes = realBinary !== undefined

/** How soon embedded nodes miss one that was killed, in milliseconds. */
const EMBEDDED_DETECTION_MS = 50
/** Real ones take about five seconds. */
const NOTICE_PATIENCE_MS = 60_000

/** Starts nodes, and makes a cluster of them when a name is given. */
export async function startNodes(count: number, cluster?: string): Promise<TestNodes> {
  return realBinary === undefined
    ? await startEmbedded(count, cluster)
    : await startReal(realBinary, count, cluster)
}

async function startEmbedded(count: number, cluster: string | undefined): Promise<TestNodes> {
  const embedded = await EmbeddedCluster.start({
    nodes: count,
    dataDir: ':memory:',
    failureDetectionMs: EMBEDDED_DETECTION_MS,
    ...(cluster === undefined ? {} : { cluster }),
  })
  const ids = () => embedded.nodes.map(({ id }) => id)
  return {
    kind: 'embedded',
    get ids() {
      return ids()
    },
    addNode: async () => (await embedded.addNode({ join: cluster !== undefined })).id,
    kill: async (id) => {
      await embedded.crash(id)
      await untilView(ids(), cluster, (view) => !view.includes(id))
    },
    restart: async (id) => {
      await embedded.restart(id)
      await untilView(ids(), cluster, (view) => view.includes(id))
    },
    close: async () => await embedded.close(),
  }
}

async function startReal(binary: string, count: number, cluster: string | undefined): Promise<TestNodes> {
  const real = await RealNodes.start(binary, count, cluster)
  const numberOf = (id: string) => real.ids.indexOf(id)
  return {
    kind: 'real',
    get ids() {
      return real.ids
    },
    addNode: async () => await real.addNode(cluster),
    kill: async (id) => {
      await real.kill(numberOf(id))
      await untilView(real.ids, cluster, (view) => !view.includes(id))
    },
    restart: async (id) => {
      await real.restart(numberOf(id))
      await untilView([id], cluster, (view) => view.includes(id))
      await untilInSync(id)
    },
    close: async () => await real.close(),
  }
}

/** Waits until a node that answers lists the connected members as wanted. */
async function untilView(
  ids: readonly string[],
  cluster: string | undefined,
  isWanted: (view: string) => boolean,
): Promise<void> {
  if (cluster === undefined) return
  const giveUpAt = Date.now() + NOTICE_PATIENCE_MS
  for (;;) {
    for (const id of ids) {
      const view = await viewOf(id, cluster)
      if (view !== undefined && isWanted(view)) return
    }
    if (Date.now() > giveUpAt) throw new Error(`cluster '${cluster}' has noticed nothing`)
    await sleep(20)
  }
}

/** Waits until a node is back in every cluster that it remembers. */
async function untilInSync(id: string): Promise<void> {
  const giveUpAt = Date.now() + NOTICE_PATIENCE_MS
  for (;;) {
    const text = (await statusOf(id, 'cluster_%_node_state')) ?? ''
    const states = [...text.matchAll(/_node_state","Value":"([^"]*)"/g)].map(([, state]) => state)
    if (states.length > 0 && states.every((state) => state === 'synced')) return
    if (Date.now() > giveUpAt) throw new Error(`${id} is not in sync: ${states.join(', ')}`)
    await sleep(100)
  }
}

/** Undefined when the node does not answer as a primary member. */
async function viewOf(id: string, cluster: string): Promise<string | undefined> {
  const text = await statusOf(id, `cluster_${cluster}_%`)
  if (text === undefined) return undefined
  const value = (name: string) => new RegExp(`cluster_${cluster}_${name}","Value":"([^"]*)"`).exec(text)?.[1]
  return value('status') === 'primary' && value('node_state') === 'synced' ? value('nodes_view') : undefined
}

async function statusOf(id: string, pattern: string): Promise<string | undefined> {
  try {
    const response = await fetch(`http://${id}/sql?mode=raw`, {
      method: 'POST',
      body: new URLSearchParams({ query: `SHOW STATUS LIKE '${pattern}'` }),
      signal: AbortSignal.timeout(10_000),
    })
    return await response.text()
  } catch {
    return undefined
  }
}
