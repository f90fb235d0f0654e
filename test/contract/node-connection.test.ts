import { measured } from '../../src/app/measured-connector.ts'
import type { NodeConnector } from '../../src/domain/ports.ts'
import { EmbeddedCluster } from '../../src/embedded/index.ts'
import { HttpNodeConnector } from '../../src/manticore/http-node-connector.ts'
import { type ContractNode, nodeConnectionContract } from './node-connection.contract.ts'

nodeConnectionContract('HTTP to an embedded node', async () => await embeddedNode((http) => http))
nodeConnectionContract('HTTP to an embedded node, measured', async () => {
  return await embeddedNode((http) => measured(http, () => undefined))
})

async function embeddedNode(wrap: (connector: NodeConnector) => NodeConnector): Promise<ContractNode> {
  const cluster = await EmbeddedCluster.start({ nodes: 1, dataDir: ':memory:' })
  const [node] = cluster.nodes
  if (node === undefined) throw new Error('the embedded cluster has no node')
  return {
    node: node.id,
    connector: () => wrap(new HttpNodeConnector()),
    loseNextAnswer: () => {
      cluster.faults.add({ node: node.id, when: () => true, effect: { kind: 'lose_reply' } })
    },
    stop: () => cluster.close(),
  }
}
