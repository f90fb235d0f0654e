import { createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import {
  type Answerer,
  DONE,
  listen,
  LocalServer,
  portOf,
  sendJson,
} from '../../test/contract/local-server.ts'
import { InputError, NodeError } from '../domain/errors.ts'
import { type HttpConnectionOptions, HttpNodeConnection } from './http-node-connection.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function serve(answer: Answerer): Promise<LocalServer> {
  const server = await LocalServer.start(answer)
  cleanups.push(() => server.stop())
  return server
}

function connect(node: string, options: HttpConnectionOptions = {}): HttpNodeConnection {
  const connection = new HttpNodeConnection(node, options)
  cleanups.push(() => connection.close())
  return connection
}

async function failureOf(call: Promise<unknown>): Promise<NodeError> {
  const error: unknown = await call.then(
    () => new Error('the call succeeded'),
    (reason: unknown) => reason,
  )
  if (!(error instanceof NodeError)) throw error
  return error
}

/** Resolves at the first statement that comes in; the statement is never answered. */
function silent(): { answer: Answerer; arrived: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { answer: () => resolve(), arrived: promise }
}

/** A port of this machine that nobody listens on. */
async function refusedNode(): Promise<string> {
  const server = createServer()
  await listen(server)
  const port = portOf(server)
  await new Promise((resolve) => server.close(resolve))
  return `127.0.0.1:${port}`
}

describe('what is sent', () => {
  it('is the statement, form-encoded, to the raw SQL endpoint', async () => {
    const server = await serve((_, response) => sendJson(response, DONE))
    const sql = "INSERT INTO t (id,a) VALUES (1,'50% & ä+b=c\\'\\\\\n🙂')"
    await connect(server.node, { version: '1.2.3' }).execute(sql)
    expect(server.received.map(({ sql, path }) => ({ sql, path }))).toEqual([{ sql, path: '/sql?mode=raw' }])
    expect(server.received[0]?.headers['user-agent']).toBe('manticore-sharding/1.2.3')
    expect(server.received[0]?.headers['content-type']).toBe('application/x-www-form-urlencoded')
    expect(server.received[0]?.headers.authorization).toBeUndefined()
  })

  it('carries basic or bearer credentials', async () => {
    const server = await serve((_, response) => sendJson(response, DONE))
    await connect(server.node, { auth: { kind: 'basic', user: 'ann', password: 'pä:ss' } }).read('SELECT 1')
    await connect(server.node, { auth: { kind: 'bearer', token: 't0k' } }).read('SELECT 1')
    expect(server.received.map(({ headers }) => headers.authorization)).toEqual([
      `Basic ${Buffer.from('ann:pä:ss').toString('base64')}`,
      'Bearer t0k',
    ])
  })

  it('is nothing when the statement is not valid Unicode', async () => {
    const server = await serve((_, response) => sendJson(response, DONE))
    const error = await failureOf(connect(server.node).execute("SELECT '\ud800'"))
    expect(error.code).toBe('refused')
    expect(server.received).toEqual([])
  })

  it('refuses credentials that would smuggle in a header, without repeating them', () => {
    const token = 'secret\r\nx: y'
    const open = () => new HttpNodeConnection('127.0.0.1:9312', { auth: { kind: 'bearer', token } })
    expect(open).toThrow(InputError)
    expect(open).not.toThrow(/secret/)
  })
})

describe('an answer', () => {
  it('keeps 64-bit integers exact and small ones numbers', async () => {
    const body =
      '[{"columns":[{"id":{"type":"long long"}},{"n":{"type":"long"}},{"p":{"type":"double"}}],' +
      '"data":[{"id":9007199254740993,"n":7,"p":1.5000000000000000001},' +
      '{"id":-9223372036854775808,"n":9007199254740991,"p":1e30}],"total":2,"error":"","warning":"w"}]'
    const server = await serve((_, response) => sendJson(response, body))
    expect(await connect(server.node).read('SELECT id, n, p FROM t LIMIT 2')).toEqual({
      columns: [
        { name: 'id', type: 'long long' },
        { name: 'n', type: 'long' },
        { name: 'p', type: 'double' },
      ],
      rows: [
        { id: 9007199254740993n, n: 7, p: 1.5 },
        { id: -9223372036854775808n, n: 9007199254740991, p: 1e30 },
      ],
      total: 2,
      warning: 'w',
    })
  })

  it('of the daemon that it failed keeps its text and gets a class', async () => {
    const text = "table 't': CREATE TABLE failed: table 't' already exists"
    const server = await serve((_, response) => sendJson(response, { error: text }, 500))
    const sql = `CREATE TABLE t (${'a'.repeat(200)} int)`
    const error = await failureOf(connect(server.node).execute(sql))
    expect(error).toMatchObject({ code: 'duplicate', daemonText: text, node: server.node, sql })
    expect(error.message).toBe(`${server.node}: ${text} (statement: ${sql.slice(0, 120)}…)`)
  })

  it('with an error inside of a result set is a failure too', async () => {
    const server = await serve((_, response) =>
      sendJson(response, [{ total: 0, error: "unknown cluster 'x'", warning: '' }]),
    )
    expect(await failureOf(connect(server.node).execute('EXIT CLUSTER x'))).toMatchObject({ code: 'missing' })
  })

  it('401 and 403 are about credentials, which are not repeated', async () => {
    for (const status of [401, 403]) {
      const server = await serve((_, response) => sendJson(response, { error: 'who are you' }, status))
      const auth = { kind: 'basic', user: 'ann', password: 'hunter2' } as const
      const error = await failureOf(connect(server.node, { auth }).read('SELECT 1'))
      expect(error).toMatchObject({ code: 'unauthorized', daemonText: 'who are you' })
      expect(JSON.stringify(error) + error.message).not.toMatch(/hunter2|YW5u/)
    }
  })

  it('of another service names what answered', async () => {
    const server = await serve((_, response) => {
      response.writeHead(200, { 'content-type': 'text/html' })
      response.end(`<html>\n<title>Welcome</title>${'x'.repeat(500)}`)
    })
    const error = await failureOf(connect(server.node).execute('DROP TABLE t'))
    expect(error.code).toBe('not_manticore')
    expect(error.message).toContain('HTTP 200, text/html: <html> <title>Welcome</title>xxx')
    expect(error.message.length).toBeLessThan(300)
  })

  it('of another JSON service is no reply', async () => {
    for (const body of [
      { took: 1, hits: [] },
      [],
      [1],
      [{ total: 'x' }],
      [{ columns: {}, total: 0 }],
      null,
    ]) {
      const server = await serve((_, response) => sendJson(response, body))
      expect(await failureOf(connect(server.node).read('SELECT 1'))).toMatchObject({ code: 'not_manticore' })
    }
  })

  it('of a gateway says nothing about a statement with effect', async () => {
    const server = await serve((_, response) => sendJson(response, '<h1>Bad Gateway</h1>', 502))
    const connection = connect(server.node)
    expect(await failureOf(connection.read('SELECT 1'))).toMatchObject({ code: 'unreachable' })
    expect(await failureOf(connection.execute('DROP TABLE t'))).toMatchObject({ code: 'outcome_unknown' })
  })

  it('larger than allowed is refused', async () => {
    const server = await serve((_, response) =>
      sendJson(response, [
        { columns: [], data: [{ a: 'x'.repeat(5_000) }], total: 1, error: '', warning: '' },
      ]),
    )
    const connection = connect(server.node, { maxReplyBytes: 4_000 })
    expect(await failureOf(connection.read('SELECT a FROM t'))).toMatchObject({ code: 'refused' })
  })

  it('in the MySQL protocol is recognised as none', async () => {
    const greeting = Buffer.from('4a0000000a362e302e30000100000031323334', 'hex')
    const server = createServer((socket: Socket) => socket.write(greeting))
    const sockets = await listen(server)
    cleanups.push(async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    })
    const connection = connect(`127.0.0.1:${portOf(server)}`, { readTimeoutMs: 5_000 })
    const error = await failureOf(connection.read('SELECT 1'))
    expect(error.code).toBe('not_manticore')
    expect(error.message).toContain('does not speak HTTP')
  })
})

describe('a lost connection', () => {
  it('before the answer: a read is sent once more, at once', async () => {
    const server = await serve((received, response) => {
      if (server.received.length === 1) received.socket.resetAndDestroy()
      else sendJson(response, DONE)
    })
    expect(await connect(server.node).read('SELECT 1')).toMatchObject({ total: 0 })
    expect(server.received).toHaveLength(2)
  })

  it('twice: the node counts as unreachable', async () => {
    const server = await serve(({ socket }) => void socket.destroy())
    expect(await failureOf(connect(server.node).read('SELECT 1'))).toMatchObject({ code: 'unreachable' })
    expect(server.received).toHaveLength(2)
  })

  it('before the answer: a statement with effect is never sent again', async () => {
    const server = await serve(({ socket }) => void socket.resetAndDestroy())
    const error = await failureOf(connect(server.node).execute('CREATE TABLE t (a int)'))
    expect(error.code).toBe('outcome_unknown')
    expect(server.received).toHaveLength(1)
  })

  it('in the middle of the answer leaves the outcome of an effect unknown', async () => {
    const server = await serve(({ socket }, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
      response.write('[{"total":', () => socket.destroy())
    })
    expect(await failureOf(connect(server.node).execute('DROP TABLE t'))).toMatchObject({
      code: 'outcome_unknown',
    })
    expect(server.received).toHaveLength(1)
  })

  it('that was idle goes unnoticed, also by a statement with effect', async () => {
    const server = await serve((_, response) => sendJson(response, DONE))
    const connection = connect(server.node)
    const sent = Array.from({ length: 30 }, (_, n) => `CREATE TABLE t${n} (v int)`)
    for (const sql of sent) {
      await connection.execute(sql)
      const idle = server.sockets
      expect(idle).toHaveLength(1)
      await Promise.all(idle.map((socket) => new Promise((done) => socket.once('close', done).destroy())))
    }
    expect(server.received.map(({ sql }) => sql)).toEqual(sent)
    expect(new Set(server.received.map(({ socket }) => socket)).size).toBe(sent.length)
  })

  it('that never was: nothing happened', async () => {
    const connection = connect(await refusedNode())
    const errors = await Promise.all(
      Array.from({ length: 50 }, (_, n) => failureOf(connection.execute(`DROP TABLE t${n}`))),
    )
    expect(new Set(errors.map(({ code }) => code))).toEqual(new Set(['unreachable']))
    expect(errors[0]?.message).toMatch(/no connection: .*ECONNREFUSED/)
  })

  it('to a host without an address: nothing happened', async () => {
    const error = await failureOf(connect('no-such-host.invalid:9312').execute('DROP TABLE t'))
    expect(error.code).toBe('unreachable')
  })
})

describe('the end of a call', () => {
  it('by its deadline: a read is unreachable and names the time', async () => {
    const server = await serve(silent().answer)
    const error = await failureOf(connect(server.node).read('SELECT 1', { timeoutMs: 60 }))
    expect(error.code).toBe('unreachable')
    expect(error.message).toContain('no answer within 60 ms')
  })

  it('by its deadline: the outcome of an effect is unknown', async () => {
    const server = await serve(silent().answer)
    const error = await failureOf(connect(server.node, { executeTimeoutMs: 60 }).execute('DROP TABLE t'))
    expect(error.code).toBe('outcome_unknown')
  })

  it('by its deadline while it waits for a free connection: it is never sent', async () => {
    const { answer, arrived } = silent()
    const server = await serve(answer)
    const connection = connect(server.node, { connections: 1 })
    const stop = new AbortController()
    const first = failureOf(connection.execute('DROP TABLE first', { signal: stop.signal }))
    await arrived
    const second = await failureOf(connection.execute('DROP TABLE second', { timeoutMs: 40 }))
    expect(second.code).toBe('unreachable')
    stop.abort()
    expect((await first).code).toBe('outcome_unknown')
    await failureOf(connection.read('SELECT 1', { timeoutMs: 200 }))
    expect(server.received.map(({ sql }) => sql)).toEqual(['DROP TABLE first', 'SELECT 1'])
  })

  it('without any time left: it is never sent', async () => {
    const server = await serve((_, response) => sendJson(response, DONE))
    for (const timeoutMs of [0, -1, Number.NaN]) {
      const call = connect(server.node).execute('DROP TABLE t', { timeoutMs })
      expect(await failureOf(call)).toMatchObject({ code: 'unreachable' })
    }
    expect(server.received).toEqual([])
  })

  it('has no bound when the time is infinite', async () => {
    const server = await serve((_, response) => sendJson(response, DONE))
    const reply = await connect(server.node).read('SELECT 1', { timeoutMs: Number.POSITIVE_INFINITY })
    expect(reply.total).toBe(0)
  })

  it('by an abort before sending is the reason of the signal', async () => {
    const server = await serve((_, response) => sendJson(response, DONE))
    const reason = new Error('not wanted')
    const call = connect(server.node).execute('DROP TABLE t', { signal: AbortSignal.abort(reason) })
    await expect(call).rejects.toBe(reason)
    expect(server.received).toEqual([])
  })

  it('by an abort after sending: a read ends with the reason, an effect is unknown', async () => {
    const reason = new Error('not wanted')
    const abortUnderWay = async (kind: 'read' | 'execute'): Promise<unknown> => {
      const { answer, arrived } = silent()
      const server = await serve(answer)
      const stop = new AbortController()
      const call = connect(server.node)[kind]('SELECT 1', { signal: stop.signal })
      const ended = call.catch((error: unknown) => error)
      await arrived
      stop.abort(reason)
      return ended
    }
    expect(await abortUnderWay('read')).toBe(reason)
    expect(await abortUnderWay('execute')).toMatchObject({ code: 'outcome_unknown', cause: reason })
  })
})

describe('connections', () => {
  it('are reused, and never more than allowed', async () => {
    let most = 0
    const server = await serve(async (_, response) => {
      most = Math.max(most, server.sockets.length)
      await new Promise((resolve) => setImmediate(resolve))
      sendJson(response, DONE)
    })
    const connection = connect(server.node, { connections: 3 })
    await Promise.all(Array.from({ length: 30 }, (_, n) => connection.read(`SELECT ${n}`)))
    expect(most).toBe(3)
    expect(new Set(server.received.map(({ socket }) => socket)).size).toBe(3)
  })

  it('take no call after close, which may be called twice and lets what runs finish', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const server = await serve(async (_, response) => {
      await promise
      sendJson(response, DONE)
    })
    const connection = connect(server.node)
    const running = connection.execute('DROP TABLE t')
    const closing = Promise.all([connection.close(), connection.close()])
    expect(await failureOf(connection.read('SELECT 1'))).toMatchObject({ code: 'closed' })
    resolve()
    expect(await running).toMatchObject({ total: 0 })
    await closing
    await connection.close()
    expect(await failureOf(connection.execute('SELECT 1'))).toMatchObject({ code: 'closed' })
  })

  it('are broken by close when a statement does not end in time', async () => {
    const { answer, arrived } = silent()
    const server = await serve(answer)
    const connection = connect(server.node, { closeGraceMs: 20 })
    const running = failureOf(connection.execute('DROP TABLE t'))
    await arrived
    await connection.close()
    expect((await running).code).toBe('outcome_unknown')
  })
})
