import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer, type ServerOptions } from 'node:https'
import type { Server, Socket } from 'node:net'

/** A statement as it came in over HTTP. */
export interface Received {
  readonly sql: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly socket: Socket
}

export type Answerer = (received: Received, response: ServerResponse) => void | Promise<void>

/** A real HTTP(S) server on a free port of this machine, answering statements as the test says. */
export class LocalServer {
  readonly received: readonly Received[]
  readonly node: string
  readonly #server: Server
  readonly #sockets: Set<Socket>

  private constructor(server: Server, sockets: Set<Socket>, received: readonly Received[]) {
    this.received = received
    this.#server = server
    this.#sockets = sockets
    this.node = `127.0.0.1:${portOf(server)}`
  }

  static async start(answer: Answerer, tls?: ServerOptions): Promise<LocalServer> {
    const all: Received[] = []
    const listener = (request: IncomingMessage, response: ServerResponse) => {
      const take = async () => {
        const received = await takeIn(request)
        all.push(received)
        await answer(received, response)
      }
      take().catch(() => response.destroy())
    }
    const server = tls === undefined ? createHttpServer(listener) : createHttpsServer(tls, listener)
    const sockets = await listen(server)
    return new LocalServer(server, sockets, all)
  }

  /** Open connections. */
  get sockets(): readonly Socket[] {
    return [...this.#sockets]
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    if (!this.#server.listening) return
    this.#server.close()
    await once(this.#server, 'close')
  }
}

/** Starts listening on a free port and keeps count of the open connections. */
export async function listen(server: Server): Promise<Set<Socket>> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return sockets
}

export function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server does not listen on a port')
  return address.port
}

async function takeIn(request: IncomingMessage): Promise<Received> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk))
  const sql = new URLSearchParams(Buffer.concat(chunks).toString('utf8')).get('query') ?? ''
  return { sql, path: request.url ?? '', headers: request.headers, socket: request.socket }
}

/** Answers with a body, JSON unless it is text already. */
export function sendJson(response: ServerResponse, body: unknown, status = 200): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  response.writeHead(status, { 'content-type': 'application/json; charset=UTF-8' })
  response.end(text)
}

/** The answer to a statement without rows. */
export const DONE = [{ total: 0, error: '', warning: '' }]
