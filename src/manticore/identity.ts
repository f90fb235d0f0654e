import { ShardingError } from '../domain/errors.ts'
import type { CallOptions, NodeConnection } from '../domain/ports.ts'
import type { NodeId } from '../domain/words.ts'
import { readCluster } from './catalog.ts'

/**
 * The name under which the other members know the node behind a connection. It may differ from the address
 * that the connection was opened with. Standalone (no cluster), it is that address.
 *
 * @throws ShardingError `cluster_missing` when the node is not in the cluster, `cluster_unhealthy` when the
 *   node has no place in it at the moment, so that its name cannot be told.
 */
export async function identify(
  connection: NodeConnection,
  clusterName: string | null,
  options?: CallOptions,
): Promise<NodeId> {
  if (clusterName === null) return connection.node
  const cluster = await readCluster(connection, clusterName, options)
  if (cluster === null) {
    throw new ShardingError('cluster_missing', `${connection.node} is not in a cluster '${clusterName}'`)
  }
  const node = cluster.nodesView[cluster.localIndex]
  if (node === undefined) {
    const state = `status '${cluster.status}', node state '${cluster.nodeState}'`
    throw new ShardingError(
      'cluster_unhealthy',
      `${connection.node} has no place in the cluster '${clusterName}' now (${state})`,
    )
  }
  return node
}
