import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { connect } from '../../app/connect.ts'
import { InputError, messageOf } from '../../domain/errors.ts'
import type { NodeId } from '../../domain/words.ts'
import { EmbeddedCluster, MEASURED_LATENCY } from '../../embedded/index.ts'
import type { Client } from '../../library/client.ts'
import type { Cluster } from '../../library/cluster.ts'
import { diskFull, nameTaken, type Sabotage } from './sabotage.ts'

/** As many as it takes to write through two nodes and read through a third. */
export const MIN_NODES = 3
export const DEFAULT_CLUSTER = 'c'
/** How soon embedded nodes miss one that was killed, in milliseconds; real ones take five seconds. */
const FAILURE_DETECTION_MS = 2_000

export type DemoPlace =
  /** Nodes in this process. Without a folder in a temporary one, which is kept or not. */
  | {
      readonly kind: 'embedded'
      readonly cluster: string
      readonly dataDir: string | null
      readonly keep: boolean
    }
  /** Nodes that run already. */
  | { readonly kind: 'given'; readonly cluster: string; readonly urls: readonly string[] }

/** Nodes that come and go as the demo wants. */
export interface ChangingNodes {
  /** Starts one more node and lets it join the cluster. */
  add(): Promise<NodeId>
  /** As with kill -9. */
  kill(node: NodeId): Promise<void>
  restart(node: NodeId): Promise<void>
}

/** The nodes that the demo works on. */
export interface DemoNodes {
  readonly client: Client
  readonly cluster: Cluster
  /** Sorted; at least {@link MIN_NODES}. */
  readonly nodes: readonly NodeId[]
  readonly embedded: boolean
  /** The folder of embedded nodes when it is kept, else null. */
  readonly folder: string | null
  readonly sabotage: Sabotage
  /** Null where no node may be added or killed: on given nodes, and in a folder that is used again. */
  readonly changing: ChangingNodes | null
  close(): Promise<void>
}

export async function openDemoNodes(place: DemoPlace): Promise<DemoNodes> {
  return place.kind === 'embedded' ? await openEmbedded(place) : await openGiven(place.urls, place.cluster)
}

async function openGiven(urls: readonly string[], name: string): Promise<DemoNodes> {
  const { client, cluster } = await connect({ nodes: urls, cluster: name })
  try {
    const nodes = await cluster.nodes()
    if (nodes.length < MIN_NODES) {
      throw new InputError(
        'nodes',
        `the demo writes through two nodes and reads through a third; cluster '${name}' has ${nodes.length}`,
      )
    }
    return {
      client,
      cluster,
      nodes,
      embedded: false,
      folder: null,
      sabotage: nameTaken(client, cluster),
      changing: null,
      close: async () => await client.close(),
    }
  } catch (error) {
    await client.close()
    throw error
  }
}

async function openEmbedded(place: DemoPlace & { readonly kind: 'embedded' }): Promise<DemoNodes> {
  const folder = await keptFolder(place.dataDir, place.keep)
  const embedded = await startEmbedded(place.cluster, folder)
  try {
    const urls = embedded.nodes.map(({ id }) => `http://${id}`)
    const { client, cluster } = await connect({ nodes: urls, cluster: place.cluster })
    return {
      client,
      cluster,
      nodes: await cluster.nodes(),
      embedded: true,
      folder,
      sabotage: diskFull(embedded),
      changing: folder === null ? changingNodes(embedded) : null,
      close: async () => {
        await client.close()
        await embedded.close()
      },
    }
  } catch (error) {
    await embedded.close()
    throw error
  }
}

function changingNodes(embedded: EmbeddedCluster): ChangingNodes {
  return {
    add: async () => (await embedded.addNode({ join: true })).id,
    kill: async (node) => await embedded.crash(node),
    restart: async (node) => await embedded.restart(node),
  }
}

/** Null for a temporary folder that goes with its nodes. */
async function keptFolder(dataDir: string | null, keep: boolean): Promise<string | null> {
  if (dataDir !== null) return path.resolve(dataDir)
  return keep ? await mkdtemp(path.join(tmpdir(), 'mshard-demo-')) : null
}

/** Nodes that take about as long for everything as real ones do: a demo that is too fast shows nothing. */
async function startEmbedded(cluster: string, folder: string | null): Promise<EmbeddedCluster> {
  try {
    return await EmbeddedCluster.start({
      nodes: MIN_NODES,
      cluster,
      latency: MEASURED_LATENCY,
      failureDetectionMs: FAILURE_DETECTION_MS,
      ...(folder === null ? {} : { dataDir: folder }),
    })
  } catch (error) {
    if (folder === null || !isInUse(error)) throw error
    throw new InputError(
      'data-dir',
      `the nodes of ${folder} cannot be started, another process seems to run them: ${messageOf(error)}`,
      'invalid_input',
      { cause: error },
    )
  }
}

function isInUse(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
}
