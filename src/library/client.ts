import type { Clock, IdSource, NodeCatalog, NodeConnection, NodeConnector, Random } from '../domain/ports.ts'
import type { NodeId } from '../domain/words.ts'

/** What the library is made of; handed in by whoever connects. */
export interface ClientParts {
  readonly connector: NodeConnector
  readonly catalog: NodeCatalog
  readonly clock: Clock
  readonly random: Random
  readonly ids: IdSource
  /** Who we are among all processes that may lead. */
  readonly owner: string
  /** How long leadership lasts without being renewed, in milliseconds; left out: five seconds. */
  readonly leaseTtlMs?: number
}

/** Connections to nodes. One client serves any number of tables and queues. */
export class Client {
  /** For the parts of the library; applications have no need of it. */
  readonly parts: ClientParts
  readonly #closers: (() => Promise<void>)[] = []

  constructor(parts: ClientParts) {
    this.parts = parts
  }

  /** The connection to one node, for statements of your own. */
  connection(node: NodeId): NodeConnection {
    return this.parts.connector.connection(node)
  }

  /** Something that has to end before the connections do. */
  onClose(close: () => Promise<void>): void {
    this.#closers.push(close)
  }

  /**
   * Stops operations of this process, gives the lease back and closes all connections. What was unfinished is in
   * the journal and goes on with the next process that leads.
   */
  async close(): Promise<void> {
    const failures: unknown[] = []
    for (const close of this.#closers.splice(0).toReversed()) {
      try {
        await close()
      } catch (error) {
        failures.push(error)
      }
    }
    await this.parts.connector.close()
    if (failures.length > 0) throw failures[0]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
