import { once } from 'node:events'
import type { Server, Socket } from 'node:net'

/** Thrown by what executes statements: the connection ends without an answer, as when a reply is lost. */
export class ConnectionDropped extends Error {
  constructor(message = 'the connection was dropped before the answer') {
    super(message)
    this.name = 'ConnectionDropped'
  }
}

export interface ListenAddress {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
}

/** A server that accepts connections, until {@link close}. */
export class Listener {
  readonly port: number
  readonly #server: Server
  readonly #sockets: ReadonlySet<Socket>

  /** Resolves when connections are accepted. Rejects when the port cannot be had. */
  static async open(server: Server, address: ListenAddress): Promise<Listener> {
    const sockets = new Set<Socket>()
    server.on('connection', (socket) => {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
    })
    server.listen(address.port, address.host)
    await once(server, 'listening')
    const bound = server.address()
    if (bound === null || typeof bound === 'string') throw new TypeError('the server has no port')
    return new Listener(server, bound.port, sockets)
  }

  private constructor(server: Server, port: number, sockets: ReadonlySet<Socket>) {
    this.#server = server
    this.port = port
    this.#sockets = sockets
  }

  /** Ends all connections at once, answered or not; new ones are accepted. */
  destroyConnections(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Ends everything. The port is free when it resolves. */
  async close(): Promise<void> {
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.destroyConnections()
    await closed
  }
}
