import { EmbeddedCluster } from '../../src/embedded/index.ts'
import { ConnectedCatalog } from '../../src/manticore/catalog.ts'
import { HttpNodeConnector } from '../../src/manticore/http-node-connector.ts'
import { type ContractCatalog, nodeCatalogContract } from './node-catalog.contract.ts'

nodeCatalogContract('an embedded node over HTTP', async (): Promise<ContractCatalog> => {
  const cluster = await EmbeddedCluster.start({ nodes: 1 })
  const [node] = cluster.nodes
  if (node === undefined) throw new Error('the embedded cluster has no node')
  const connector = new HttpNodeConnector()
  return {
    node: node.id,
    connector,
    catalog: new ConnectedCatalog(connector),
    stop: async () => {
      await connector.close()
      await cluster.close()
    },
  }
})
