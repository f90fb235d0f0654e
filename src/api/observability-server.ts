import { once } from 'node:events'
import { createAdaptorServer } from '@hono/node-server'
import type { Hono } from 'hono'
import { InputError, messageOf } from '../domain/errors.ts'

/** Connections at a time. Those who watch are few; everything else is a mistake, or worse. */
const MAX_CONNECTIONS = 64
/** The longest that a request may take to arrive, in milliseconds. */
const REQUEST_TIMEOUT_MS = 10_000

export interface ObservabilityServer {
  readonly url: string
  close(): Promise<void>
}

/**
 * Serves metrics and health over HTTP.
 *
 * @throws InputError when the address cannot be listened at
 */
export async function startObservability(
  app: Hono,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<ObservabilityServer> {
  const server = createAdaptorServer({
    fetch: app.fetch,
    serverOptions: { requestTimeout: REQUEST_TIMEOUT_MS },
  })
  server.maxConnections = MAX_CONNECTIONS
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (error) {
    throw new InputError('listen', `cannot listen at ${host}:${port}: ${messageOf(error)}`, 'invalid_input', {
      cause: error,
    })
  }
  const address = server.address()
  const bound = typeof address === 'object' && address !== null ? address.port : port
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      if ('closeAllConnections' in server) server.closeAllConnections()
      await closed
    },
  }
}
