import { ShardingError } from '../domain/errors.ts'
import type { CallOptions, NodeConnection, NodeConnector, NodeRequest } from '../domain/ports.ts'

/** Finer than a clock of milliseconds: most answers take less than one. */
const now = () => performance.now()

/** The same connections, with somebody who is told how long each statement took and what came of it. */
export function measured(connector: NodeConnector, onRequest: (request: NodeRequest) => void): NodeConnector {
  const known = new WeakMap<NodeConnection, NodeConnection>()
  return {
    connection: (node) => {
      const inner = connector.connection(node)
      const connection = known.get(inner) ?? measuredConnection(inner, onRequest)
      known.set(inner, connection)
      return connection
    },
    close: async () => await connector.close(),
  }
}

function measuredConnection(
  inner: NodeConnection,
  onRequest: (request: NodeRequest) => void,
): NodeConnection {
  const { node } = inner
  const call = async (kind: NodeRequest['kind'], sql: string, options: CallOptions | undefined) => {
    const startedAt = now()
    const tell = (outcome: NodeRequest['outcome']) => {
      onRequest({ node, kind, outcome, durationMs: now() - startedAt })
    }
    try {
      const reply = await inner[kind](sql, options)
      tell('ok')
      return reply
    } catch (error) {
      tell(outcomeOf(error, options?.signal))
      throw error
    }
  }
  return {
    node,
    read: async (sql, options) => await call('read', sql, options),
    execute: async (sql, options) => await call('execute', sql, options),
    close: async () => await inner.close(),
  }
}

function outcomeOf(error: unknown, signal: AbortSignal | undefined): NodeRequest['outcome'] {
  if (signal?.aborted === true && error === signal.reason) return 'aborted'
  return error instanceof ShardingError ? error.code : 'unexpected'
}
