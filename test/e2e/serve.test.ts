import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterEach, describe, expect, it } from 'vitest'
import { Table } from '../../src/library/table.ts'
import { openMember } from '../support/member.ts'
import { startNodes, type TestNodes } from '../support/nodes.ts'

interface Line {
  readonly msg: string
  readonly level: string
  readonly [field: string]: unknown
}

/** `mshard serve` as a process of its own. */
class Service {
  readonly lines: Line[] = []
  readonly process: ChildProcess
  readonly #waiting = new Set<() => void>()

  constructor(args: readonly string[]) {
    this.process = spawn(
      process.execPath,
      ['src/cli/mshard.ts', 'serve', '--log-format', 'json', '--set', 'listen.port=0', ...args],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    if (this.process.stdout === null) throw new Error('its output cannot be read')
    createInterface(this.process.stdout).on('line', (line) => {
      this.lines.push(JSON.parse(line) as Line)
      for (const wake of this.#waiting) wake()
    })
  }

  /** Resolves with the first line of that message. */
  async logged(message: string): Promise<Line> {
    for (;;) {
      const found = this.lines.find(({ msg }) => msg === message)
      if (found !== undefined) return found
      const more = Promise.withResolvers<void>()
      this.#waiting.add(more.resolve)
      await more.promise
      this.#waiting.delete(more.resolve)
    }
  }

  async get(path: string): Promise<{ status: number; text: string }> {
    const { listen } = await this.logged('started')
    const response = await fetch(`${String(listen)}${path}`, { signal: AbortSignal.timeout(10_000) })
    return { status: response.status, text: await response.text() }
  }

  /** @returns the exit status, or the signal */
  async end(signal: NodeJS.Signals): Promise<number | string> {
    const { exitCode, signalCode } = this.process
    if (exitCode !== null || signalCode !== null) return exitCode ?? signalCode ?? ''
    const ended = once(this.process, 'exit') as Promise<[number | null, string | null]>
    this.process.kill(signal)
    const [code, by] = await ended
    return code ?? by ?? ''
  }
}

const services: Service[] = []
let nodes: TestNodes | undefined

function start(...args: readonly string[]): Service {
  const service = new Service(args)
  services.push(service)
  return service
}

afterEach(async () => {
  for (const service of services.splice(0)) await service.end('SIGKILL')
  await nodes?.close()
  nodes = undefined
})

const flagsFor = (ids: readonly string[]) => [
  '--nodes',
  ids.map((id) => `http://${id}`).join(','),
  '--cluster',
  'c',
]

describe('mshard serve', () => {
  it('leads, does what libraries ask for, is taken over from when it is killed, and ends in good order', async () => {
    nodes = await startNodes(3, 'c')
    const { ids } = nodes
    const first = start(...flagsFor(ids))
    await first.logged('becoming master')
    const second = start(...flagsFor(ids))
    await second.logged('started')

    const member = openMember(ids)
    const users = new Table(member.client, member.cluster, 'users', 'title text, n int')
    expect((await users.shard(member.queue, 4, 2)).state).toBe('succeeded')
    await first.logged('operation is succeeded')
    expect((await first.get('/healthz')).status).toBe(200)
    expect((await first.get('/readyz')).status).toBe(200)
    const { text } = await first.get('/metrics')
    expect(text).toMatch(/^mshard_leader 1$/m)
    expect(text).toMatch(/^mshard_operations_total\{.*type="create".*\} \d+$/m)
    expect((await second.get('/metrics')).text).toMatch(/^mshard_leader 0$/m)

    expect(await first.end('SIGKILL')).toBe('SIGKILL')
    const takeover = await second.logged('becoming master')
    expect(takeover['takeoverMs']).toBeTypeOf('number')
    expect(Number(takeover['takeoverMs'])).toBeLessThan(15_000)
    expect((await users.drop(member.queue)).state).toBe('succeeded')

    expect(await second.end('SIGTERM')).toBe(0)
    expect(second.lines.at(-1)?.msg).toBe('stopped')
    // Leadership was given back: nobody has to wait for a lease to run out.
    const third = start(...flagsFor(ids))
    expect((await third.logged('becoming master'))['takeoverMs']).toBeUndefined()
    await member.close()
  }, 120_000)

  it('waits for nodes that are not there yet, and says so', async () => {
    const service = start('--nodes', 'http://127.0.0.1:1', '--cluster', 'c')
    const line = await service.logged('not connected')
    expect(line['reason']).toMatch(/127\.0\.0\.1:1/)
    expect((await service.get('/healthz')).status).toBe(200)
    const ready = await service.get('/readyz')
    expect(ready.status).toBe(503)
    expect(ready.text).toContain('no node has answered yet')
    expect(await service.end('SIGTERM')).toBe(0)
  }, 60_000)
})
