import { once } from 'node:events'
import type { ServerOptions } from 'node:https'
import { afterEach, describe, expect, it } from 'vitest'
import { DONE, LocalServer, sendJson } from '../../test/contract/local-server.ts'
import { InputError } from '../domain/errors.ts'
import { type HttpConnectionOptions, HttpNodeConnection } from './http-node-connection.ts'

/** Self-signed for `node.test` and 127.0.0.1, made for these tests and good for a hundred years. */
const CERT = `-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUZ6qH/B7zLbZ3tjj0hbuiD9L0C50wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbm9kZS50ZXN0MCAXDTI2MTEyMzIzNTkxNloYDzIxMjYxMDMw
MjM1OTE2WjAUMRIwEAYDVQQDDAlub2RlLnRlc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARHX+t9P1efyYqf4s688K2nUX11niYiJd1hjhqH7zS6Kja2GxkXq8M9
DTD5nttyjGueo7eo3dEev3BKRT1NJ2JZo28wbTAdBgNVHQ4EFgQUMuKrulq+FTbK
7FVcsyVVOxVKa1QwHwYDVR0jBBgwFoAUMuKrulq+FTbK7FVcsyVVOxVKa1QwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglub2RlLnRlc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIgKtdw6h1iNPpn669Xaq07GlBuuagUGKFsaUq7f3rkxWMCIQDF
Ukd7OHnKU7q2LpO5sRStHLN8+JvmI5dUfkd6kod17Q==
-----END CERTIFICATE-----`
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQglWwRvnQYK3Zu6PCr
i2rMXNexjuxfMnobTaYl73xQz7uhRANCAARHX+t9P1efyYqf4s688K2nUX11niYi
Jd1hjhqH7zS6Kja2GxkXq8M9DTD5nttyjGueo7eo3dEev3BKRT1NJ2JZ
-----END PRIVATE KEY-----`

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function serve(options: ServerOptions = {}): Promise<LocalServer> {
  const answer = (_: unknown, response: Parameters<typeof sendJson>[0]) => sendJson(response, DONE)
  const server = await LocalServer.start(answer, { cert: CERT, key: KEY, ...options })
  cleanups.push(() => server.stop())
  return server
}

function connect(node: string, options: HttpConnectionOptions): HttpNodeConnection {
  const connection = new HttpNodeConnection(node, options)
  cleanups.push(() => connection.close())
  return connection
}

describe('over TLS', () => {
  it('a node is trusted by its authority', async () => {
    const server = await serve()
    const reply = await connect(server.node, { tls: { ca: CERT } }).execute('DROP TABLE t')
    expect(reply.total).toBe(0)
  })

  it('a node of another name than its address is asked for by that name', async () => {
    const names: (string | false | null)[] = []
    const server = await serve({
      SNICallback: (name, done) => {
        names.push(name)
        done(null)
      },
    })
    await connect(server.node, { tls: { ca: CERT, servername: 'node.test' } }).read('SELECT 1')
    expect(names).toEqual(['node.test'])
  })

  it('a node that is not trusted gets no statement', async () => {
    const server = await serve()
    const call = connect(server.node, { scheme: 'https' }).execute('DROP TABLE t')
    await expect(call).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringMatching(/certificate/),
    })
    const other = connect(server.node, { tls: { ca: CERT, servername: 'other.test' } }).execute(
      'DROP TABLE t',
    )
    await expect(other).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringMatching(/altnames/),
    })
    expect(server.received).toEqual([])
  })

  it('an untrusted node is taken when that is asked for', async () => {
    const server = await serve()
    const reply = await connect(server.node, { tls: { rejectUnauthorized: false } }).read('SELECT 1')
    expect(reply.total).toBe(0)
  })

  it('a certificate of our own is shown', async () => {
    const server = await serve({ ca: CERT, requestCert: true, rejectUnauthorized: true })
    await connect(server.node, { tls: { ca: CERT, cert: CERT, key: KEY } }).read('SELECT 1')
    expect(server.received).toHaveLength(1)
    const without = connect(server.node, { tls: { ca: CERT } }).read('SELECT 1')
    await expect(without).rejects.toMatchObject({ code: 'unreachable' })
    expect(server.received).toHaveLength(1)
  })

  it('a plain HTTP port is told from a TLS one', async () => {
    const server = await LocalServer.start((_, response) => sendJson(response, DONE))
    cleanups.push(() => server.stop())
    const call = connect(server.node, { scheme: 'https' }).execute('DROP TABLE t')
    await expect(call).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringMatching(/SSL|TLS/),
    })
  })

  it('TLS settings with plain HTTP are a mistake', () => {
    expect(() => new HttpNodeConnection('127.0.0.1:9312', { scheme: 'http', tls: { ca: CERT } })).toThrow(
      InputError,
    )
  })
})

describe('an idle connection', () => {
  it('is closed by us, long before the time that the server offers', async () => {
    const server = await LocalServer.start((_, response) => {
      response.setHeader('keep-alive', 'timeout=600')
      sendJson(response, DONE)
    })
    cleanups.push(() => server.stop())
    await connect(server.node, {}).read('SELECT 1')
    const [socket] = server.sockets
    expect(socket).toBeDefined()
    if (socket !== undefined) await once(socket, 'close')
    expect(server.sockets).toEqual([])
  })
})
