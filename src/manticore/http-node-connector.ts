import { ShardingError } from '../domain/errors.ts'
import type { NodeConnector } from '../domain/ports.ts'
import type { NodeId } from '../domain/words.ts'
import { HttpNodeConnection, type HttpConnectionOptions } from './http-node-connection.ts'

/** Opens one HTTP connection a node, all with the same scheme, credentials and limits. */
export class HttpNodeConnector implements NodeConnector {
  readonly #options: HttpConnectionOptions
  readonly #connections = new Map<NodeId, HttpNodeConnection>()
  #closing: Promise<void> | null = null

  constructor(options: HttpConnectionOptions = {}) {
    this.#options = options
  }

  /** @throws ShardingError `closed` after close(); InputError for a name that is not `host:port`. */
  connection(node: NodeId): HttpNodeConnection {
    if (this.#closing !== null) throw new ShardingError('closed', `${node}: the connector is closed`)
    const open = this.#connections.get(node)
    if (open !== undefined && !open.closed) return open
    const connection = new HttpNodeConnection(node, this.#options)
    this.#connections.set(node, connection)
    return connection
  }

  /** Closes all connections. May be called again. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll()
    return this.#closing
  }

  async #closeAll(): Promise<void> {
    await Promise.all([...this.#connections.values()].map((connection) => connection.close()))
    this.#connections.clear()
  }
}
