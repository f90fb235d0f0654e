import type { Fence, NodeConnection, NodeConnector } from '../domain/ports.ts'
import type { NodeId } from '../domain/words.ts'

/** Connections through which nothing with an effect leaves once the lease is over, not even right after a standstill. */
export function fenced(connector: NodeConnector, fence: Fence): NodeConnector {
  return {
    connection: (node: NodeId): NodeConnection => {
      const connection = connector.connection(node)
      return {
        node,
        read: async (sql, options) => await connection.read(sql, options),
        execute: async (sql, options) => {
          fence.assertHeld()
          return await connection.execute(sql, options)
        },
        close: async () => await connection.close(),
      }
    },
    close: async () => await connector.close(),
  }
}
