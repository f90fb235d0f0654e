import { afterEach, describe, expect, it } from 'vitest'
import { InputError } from '../domain/errors.ts'
import { observabilityApp } from './observability.ts'
import { type ObservabilityServer, startObservability } from './observability-server.ts'

const METRICS = {
  contentType: 'text/plain; version=0.0.4',
  text: async () => await Promise.resolve('up 1\n'),
}

const appThat = (ready: () => Promise<void>, metrics = METRICS) => observabilityApp({ metrics, ready })
const isReady = async () => await Promise.resolve()

describe('what is asked by those who watch', () => {
  it('is whether the process is alive, whatever its cluster does', async () => {
    const app = appThat(async () => await Promise.reject(new Error('no node answers')))
    const answer = await app.request('/healthz')
    expect([answer.status, await answer.json()]).toEqual([200, { alive: true }])
  })

  it('is whether it is ready, and why not', async () => {
    const ready = await appThat(isReady).request('/readyz')
    expect([ready.status, await ready.json()]).toEqual([200, { ready: true }])
    const app = appThat(async () => await Promise.reject(new Error('no node answers')))
    const unready = await app.request('/readyz')
    expect([unready.status, await unready.json()]).toEqual([503, { ready: false, reason: 'no node answers' }])
  })

  it('is looked at once when many ask together', async () => {
    let looks = 0
    const gate = Promise.withResolvers<void>()
    const app = appThat(async () => {
      looks++
      await gate.promise
    })
    const answers = [1, 2, 3].map(async () => await app.request('/readyz'))
    gate.resolve()
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200, 200])
    expect(looks).toBe(1)
  })

  it('are the metrics', async () => {
    const answer = await appThat(isReady).request('/metrics')
    expect([answer.status, answer.headers.get('content-type'), await answer.text()]).toEqual([
      200,
      METRICS.contentType,
      'up 1\n',
    ])
    const broken = { ...METRICS, text: async () => await Promise.reject(new Error('out of order')) }
    const failed = await appThat(isReady, broken).request('/metrics')
    expect([failed.status, await failed.text()]).toEqual([500, 'out of order'])
  })

  it('is nothing else', async () => {
    const app = appThat(isReady)
    expect((await app.request('/other')).status).toBe(404)
    expect((await app.request('/metrics', { method: 'POST' })).status).toBe(404)
    expect(await (await app.request('/')).text()).toContain('/readyz')
  })
})

describe('the server', () => {
  const servers: ObservabilityServer[] = []
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.close()
  })

  it('answers over HTTP until it is closed', async () => {
    const server = await startObservability(appThat(isReady), { host: '127.0.0.1', port: 0 })
    const answer = await fetch(`${server.url}/metrics`)
    expect([answer.status, await answer.text()]).toEqual([200, 'up 1\n'])
    await server.close()
    await expect(fetch(`${server.url}/metrics`)).rejects.toThrow('fetch failed')
  })

  it('says so when its port is taken', async () => {
    const first = await startObservability(appThat(isReady), { host: '127.0.0.1', port: 0 })
    servers.push(first)
    const port = Number(new URL(first.url).port)
    const second = startObservability(appThat(isReady), { host: '127.0.0.1', port })
    await expect(second).rejects.toThrow(InputError)
    await expect(second).rejects.toThrow(/cannot listen at 127\.0\.0\.1:\d+: listen EADDRINUSE/)
  })
})
