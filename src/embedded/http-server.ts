import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { messageOf } from '../domain/errors.ts'
import { ConnectionDropped, type ListenAddress, Listener } from './local-listener.ts'
import { MAX_PACKET_BYTES } from './local-show.ts'
import { encodeError } from './reply-json.ts'

export { ConnectionDropped } from './local-listener.ts'

/** How long an idle connection stays open, in milliseconds. Clients with a pool keep theirs about as long. */
const KEEP_ALIVE_MS = 60_000

export interface HttpRequestContext {
  /** From HTTP basic authentication; `''` and null without. */
  readonly user: string
  readonly password: string | null
  /** Path and query of the request, e.g. `/sql?mode=raw`. */
  readonly path: string
}

export interface HttpAnswer {
  readonly httpStatus: number
  /** JSON. */
  readonly body: string
}

export interface HttpServerOptions extends ListenAddress {
  /** Rejects with {@link ConnectionDropped} to end the connection without an answer. */
  readonly execute: (sql: string, context: HttpRequestContext) => Promise<HttpAnswer>
}

/** The daemon's paths for statements. */
const PATHS: ReadonlySet<string> = new Set(['/sql', '/cli', '/cli_json'])

/** A body that is a form with a field `query`, not the bare statement. No statement begins like this. */
const FORM = /^(?:\w+=[^&]*&)*query=/

/** Serves the HTTP API of one node: `/sql?mode=raw`, `/sql`, `/cli_json`. */
export async function startHttpServer(options: HttpServerOptions): Promise<Listener> {
  const server = createServer((request, response) => {
    respond(request, response, options).catch(() => request.socket.destroy())
  })
  server.keepAliveTimeout = KEEP_ALIVE_MS
  return await Listener.open(server, options)
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  options: HttpServerOptions,
): Promise<void> {
  const path = request.url ?? '/'
  const url = new URL(path, 'http://node')
  if (!PATHS.has(url.pathname)) {
    request.resume()
    send(response, { httpStatus: 404, body: encodeError(`no such path '${url.pathname}'`) })
    return
  }
  const body = await readBody(request)
  if (body === null) {
    response.setHeader('connection', 'close')
    send(response, {
      httpStatus: 413,
      body: encodeError(`the statement is longer than ${MAX_PACKET_BYTES} bytes`),
    })
    return
  }
  const sql = FORM.test(body)
    ? (new URLSearchParams(body).get('query') ?? '')
    : body || (url.searchParams.get('query') ?? '')
  send(response, await execute(sql, { ...credentials(request), path }, options))
}

async function execute(
  sql: string,
  context: HttpRequestContext,
  options: HttpServerOptions,
): Promise<HttpAnswer> {
  try {
    return await options.execute(sql, context)
  } catch (error) {
    if (error instanceof ConnectionDropped) throw error
    return { httpStatus: 500, body: encodeError(messageOf(error)) }
  }
}

function send(response: ServerResponse, { httpStatus, body }: HttpAnswer): void {
  const bytes = Buffer.from(body, 'utf8')
  response.writeHead(httpStatus, {
    'content-type': 'application/json; charset=UTF-8',
    'content-length': bytes.length,
  })
  response.end(bytes)
}

/** Null when it is longer than a node takes. */
async function readBody(request: IncomingMessage): Promise<string | null> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk))
    size += bytes.length
    if (size > MAX_PACKET_BYTES) return null
    chunks.push(bytes)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function credentials(request: IncomingMessage): { readonly user: string; readonly password: string | null } {
  const [scheme = '', encoded = ''] = (request.headers.authorization ?? '').split(' ')
  if (scheme.toLowerCase() !== 'basic') return { user: '', password: null }
  const pair = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = pair.indexOf(':')
  return colon < 0
    ? { user: pair, password: null }
    : { user: pair.slice(0, colon), password: pair.slice(colon + 1) }
}
