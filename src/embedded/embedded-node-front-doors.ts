import { startHttpServer } from './http-server.ts'
import { ConnectionDropped, type Listener } from './local-listener.ts'
import type { NodeSession } from './local-statements.ts'
import { startMysqlServer } from './mysql-server.ts'
import { encodeError, encodeReply } from './reply-json.ts'
import { DaemonError, type StatementResult } from './store.ts'

/** What a node answers a client, also when it refuses. */
export type NodeAnswer =
  | { readonly httpStatus: 200; readonly result: StatementResult }
  | { readonly httpStatus: number; readonly error: string }

/** The node as its listeners see it. */
export interface NodeBehindDoors {
  /** For a client's connection; HTTP requests without one share a session. */
  newSession(): NodeSession
  /** Rejects when there is no answer. */
  execute(sql: string, session?: NodeSession): Promise<NodeAnswer>
}

export interface DoorPorts {
  readonly host: string
  readonly port: number
  readonly mysqlPort: number | null
}

/** The listeners of one running node. */
export class FrontDoors {
  readonly #listeners: readonly Listener[]

  private constructor(listeners: readonly Listener[]) {
    this.#listeners = listeners
  }

  static async open(ports: DoorPorts, node: NodeBehindDoors): Promise<FrontDoors> {
    const { host, port, mysqlPort } = ports
    const http = await startHttpServer({
      host,
      port,
      execute: async (sql) => {
        const answer = await answerOf(node, sql)
        if ('error' in answer) return { httpStatus: answer.httpStatus, body: encodeError(answer.error) }
        return { httpStatus: answer.httpStatus, body: encodeReply(answer.result) }
      },
    })
    if (mysqlPort === null) return new FrontDoors([http])
    try {
      const mysql = await startMysqlServer({
        host,
        port: mysqlPort,
        openSession: () => {
          const session = node.newSession()
          return async (sql) => {
            const answer = await answerOf(node, sql, session)
            if ('error' in answer) throw new DaemonError(answer.error, answer.httpStatus)
            return answer.result
          }
        },
      })
      return new FrontDoors([http, mysql])
    } catch (error) {
      await http.close()
      throw error
    }
  }

  /** Breaks all connections; new ones are still let in. */
  destroyConnections(): void {
    for (const listener of this.#listeners) listener.destroyConnections()
  }

  /** Breaks all connections and frees the ports. */
  async close(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.close()))
  }
}

/** A client that gets no answer finds its connection broken. */
async function answerOf(node: NodeBehindDoors, sql: string, session?: NodeSession): Promise<NodeAnswer> {
  try {
    return await node.execute(sql, session)
  } catch (error) {
    throw new ConnectionDropped(error instanceof Error ? error.message : String(error))
  }
}
