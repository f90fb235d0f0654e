import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  ConnectionDropped,
  type HttpAnswer,
  type HttpRequestContext,
  startHttpServer,
} from './http-server.ts'
import type { Listener } from './local-listener.ts'

interface Call extends HttpRequestContext {
  readonly sql: string
}

let calls: Call[]
let reply: () => Promise<HttpAnswer>
let server: Listener

const execute = async (sql: string, context: HttpRequestContext): Promise<HttpAnswer> => {
  calls.push({ sql, ...context })
  return await reply()
}

beforeEach(async () => {
  calls = []
  reply = async () => ({ httpStatus: 200, body: '[{"total":0,"error":"","warning":""}]' })
  server = await startHttpServer({ host: '127.0.0.1', port: 0, execute })
})

afterEach(async () => await server.close())

async function post(path: string, body: string, headers: Record<string, string> = {}): Promise<Response> {
  return await fetch(`http://127.0.0.1:${server.port}${path}`, { method: 'POST', body, headers })
}

describe('statements over HTTP', () => {
  test('a form field `query` is the statement, decoded', async () => {
    const sql = "INSERT INTO t (s) VALUES ('a&b=c + % 漢字 🙂')"
    const response = await post('/sql?mode=raw', new URLSearchParams({ query: sql }).toString())
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toContain('application/json')
    await response.text()
    await post('/sql?mode=raw', `mode=raw&query=${encodeURIComponent(sql)}`)
    expect(calls.map((call) => call.sql)).toEqual([sql, sql])
  })

  test('any other body is the statement as it is', async () => {
    const sql = "SELECT * FROM t WHERE s='query=1&x=%20+' AND n IN (1)"
    await post('/sql?mode=raw', sql)
    await post('/cli_json', sql)
    await fetch(`http://127.0.0.1:${server.port}/sql?query=SELECT+1`)
    expect(calls.map(({ sql: given, path }) => [given, path])).toEqual([
      [sql, '/sql?mode=raw'],
      [sql, '/cli_json'],
      ['SELECT 1', '/sql?query=SELECT+1'],
    ])
  })

  test('status and body come from what executes', async () => {
    reply = async () => ({ httpStatus: 400, body: '{"error":"query missing"}' })
    const response = await post('/sql?mode=raw', 'query=')
    expect([response.status, await response.text()]).toEqual([400, '{"error":"query missing"}'])
    expect(calls.map((call) => call.sql)).toEqual([''])
  })

  test('user and password are handed on, a missing password as null', async () => {
    const header = `Basic ${Buffer.from('root:s:e').toString('base64')}`
    await post('/sql?mode=raw', 'SELECT 1', { authorization: header })
    await post('/sql?mode=raw', 'SELECT 1')
    expect(calls.map(({ user, password }) => [user, password])).toEqual([
      ['root', 's:e'],
      ['', null],
    ])
  })

  test('an unexpected failure is an error, not a lost connection; other paths do not exist', async () => {
    reply = async () => await Promise.reject(new Error('disk full'))
    const failed = await post('/sql?mode=raw', 'SELECT 1')
    expect([failed.status, await failed.json()]).toEqual([500, { error: 'disk full' }])
    expect((await post('/nowhere', 'SELECT 1')).status).toBe(404)
  })
})

describe('connections', () => {
  test('a dropped reply ends the connection without a byte', async () => {
    reply = async () => await Promise.reject(new ConnectionDropped())
    const socket = connect(server.port, '127.0.0.1')
    const received: Buffer[] = []
    socket.on('data', (chunk: Buffer) => received.push(chunk))
    socket.on('error', () => undefined)
    socket.write('POST /sql HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nSELECT 1')
    await once(socket, 'close')
    expect(Buffer.concat(received).length).toBe(0)
    expect(calls.length).toBe(1)
  })

  test('one connection serves many statements', async () => {
    const socket = connect(server.port, '127.0.0.1')
    const request = 'POST /sql HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nSELECT 1'
    socket.write(request)
    await once(socket, 'data')
    socket.write(request)
    await once(socket, 'data')
    expect(calls.length).toBe(2)
    socket.destroy()
  })

  test('destroyConnections ends them under a running statement; the server goes on', async () => {
    const begun = Promise.withResolvers<undefined>()
    const unanswered = Promise.withResolvers<HttpAnswer>()
    reply = async () => {
      begun.resolve(undefined)
      return await unanswered.promise
    }
    const request = post('/sql?mode=raw', 'SELECT 1').then(
      () => 'answered',
      () => 'lost',
    )
    await begun.promise
    server.destroyConnections()
    expect(await request).toBe('lost')
    unanswered.resolve({ httpStatus: 200, body: '[]' })
    reply = async () => ({ httpStatus: 200, body: '[]' })
    expect((await post('/sql?mode=raw', 'SELECT 1')).status).toBe(200)
  })

  test('after close the same port can be taken again', async () => {
    await post('/sql?mode=raw', 'SELECT 1')
    const { port } = server
    await server.close()
    await expect(fetch(`http://127.0.0.1:${port}/sql`)).rejects.toThrow('fetch failed')
    server = await startHttpServer({ host: '127.0.0.1', port, execute })
    expect(server.port).toBe(port)
    expect((await post('/sql?mode=raw', 'SELECT 1')).status).toBe(200)
  })

  test('a port in use rejects', async () => {
    await expect(startHttpServer({ host: '127.0.0.1', port: server.port, execute })).rejects.toThrow(
      'EADDRINUSE',
    )
  })
})
