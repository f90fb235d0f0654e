import { InputError, messageOf, NodeError, ShardingError } from '../domain/errors.ts'
import type { ClusterStatus, NodeConnector, NodeRequest } from '../domain/ports.ts'
import type { NodeId } from '../domain/words.ts'
import { Client } from '../library/client.ts'
import { Cluster } from '../library/cluster.ts'
import {
  checkCapabilities,
  ConnectedCatalog,
  type HttpConnectionOptions,
  HttpNodeConnector,
  identify,
  parseNodeUrl,
} from '../manticore/index.ts'
import { checkClusterName } from '../sql/index.ts'
import { measured } from './measured-connector.ts'
import { packageVersion } from './package-version.ts'
import { type Runtime, systemRuntime } from './runtime.ts'

export interface ConnectOptions {
  /** URLs of one or more nodes, e.g. `http://127.0.0.1:9312`; all others are found through them. */
  readonly nodes: readonly string[]
  /** Name of the replication cluster of all nodes. Left out: one standalone node. */
  readonly cluster?: string
  /** Credentials, TLS and limits of all connections. */
  readonly connection?: HttpConnectionOptions
  /** Told of every statement that was sent to a node, e.g. for metrics. */
  readonly onRequest?: (request: NodeRequest) => void
  /** How long leadership of this process lasts without being renewed, in milliseconds; five seconds by default. */
  readonly leaseTtlMs?: number
  /** Time, chance and identity; the system's by default. */
  readonly runtime?: Runtime
}

/**
 * Connects to a cluster, or to one standalone node. Nothing is changed on any node.
 *
 * @throws InputError for nodes that cannot be used together, and for names that cannot be right
 * @throws NodeError `unreachable` or `not_manticore` when no node answers as one
 * @throws ShardingError `unsupported_daemon` or `cluster_missing`
 *
 * @example
 * const { client, cluster } = await connect({ nodes: ['http://127.0.0.1:9312'], cluster: 'c' })
 */
export async function connect(options: ConnectOptions): Promise<{ client: Client; cluster: Cluster }> {
  const name = options.cluster ?? null
  if (name !== null) checkClusterName(name)
  const urls = options.nodes.map(parseNodeUrl)
  checkCount(urls.length, name)
  const [first] = urls
  const runtime = options.runtime ?? systemRuntime()
  const http = new HttpNodeConnector({
    ...(first === undefined ? {} : { scheme: first.scheme }),
    auth: first?.auth ?? null,
    version: await packageVersion(),
    ...options.connection,
  })
  const connector = options.onRequest === undefined ? http : measured(http, options.onRequest)
  try {
    const nodes = await openNodes(
      connector,
      urls.map(({ node }) => node),
      name,
    )
    const { leaseTtlMs } = options
    const client = new Client({
      connector,
      catalog: new ConnectedCatalog(connector),
      ...runtime,
      ...(leaseTtlMs === undefined ? {} : { leaseTtlMs }),
    })
    return { client, cluster: new Cluster(client, name, nodes) }
  } catch (error) {
    await connector.close()
    throw error
  }
}

function checkCount(count: number, cluster: string | null): void {
  if (count === 0) {
    throw new InputError('nodes', 'give the URL of at least one node, e.g. http://127.0.0.1:9312')
  }
  if (count > 1 && cluster === null) {
    throw new InputError('cluster', `${count} nodes were given without the name of the cluster they are in`)
  }
}

/** The nodes that answer, under the names that the cluster knows them by. */
async function openNodes(
  connector: NodeConnector,
  addresses: readonly NodeId[],
  cluster: string | null,
): Promise<NodeId[]> {
  const catalog = new ConnectedCatalog(connector)
  const failures: NodeError[] = []
  const members: { node: NodeId; status: ClusterStatus | undefined }[] = []
  for (const address of addresses) {
    try {
      const connection = connector.connection(address)
      await checkCapabilities(connection)
      const status = cluster === null ? undefined : await catalog.cluster(address, cluster)
      if (cluster !== null && status === undefined) throw await notInCluster(catalog, address, cluster)
      members.push({ node: await identify(connection, cluster), status })
    } catch (error) {
      // One node that is down does not keep us from the others; a wrong address does.
      if (!(error instanceof NodeError && error.code === 'unreachable')) throw error
      failures.push(error)
    }
  }
  checkOneCluster(members, cluster)
  if (members.length > 0) return members.map(({ node }) => node)
  throw failures[0] ?? new ShardingError('unreachable', 'no node answers')
}

async function notInCluster(
  catalog: ConnectedCatalog,
  node: NodeId,
  cluster: string,
): Promise<ShardingError> {
  const names = await catalog
    .clusters(node)
    .then((clusters) => clusters.map(({ name }) => name).join(', '))
    .catch((error: unknown) => messageOf(error))
  return new ShardingError(
    'cluster_missing',
    `${node} is not in a cluster '${cluster}' (it is in: ${names || 'none'}); create or join it first: CREATE CLUSTER ${cluster}`,
  )
}

function checkOneCluster(
  members: readonly { readonly node: NodeId; readonly status: ClusterStatus | undefined }[],
  cluster: string | null,
): void {
  const [first] = members
  const stranger = members.find(({ status }) => status?.stateUuid !== first?.status?.stateUuid)
  if (first === undefined || stranger === undefined) return
  throw new InputError(
    'nodes',
    `${first.node} and ${stranger.node} are in two different clusters of the name '${cluster ?? ''}'; give nodes of one cluster`,
  )
}
