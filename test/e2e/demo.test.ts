import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { EmbeddedCluster } from '../../src/embedded/index.ts'
import { planClean } from '../../src/planning/plan-reroute.ts'
import { openMember } from '../support/member.ts'

/** Moments of the demo at which its process is killed, in milliseconds after its start. */
const KILLS_MS = [2_200, 2_900, 3_300, 3_700, 4_300, 5_000, 5_600, 6_400]

function startDemo(...options: readonly string[]) {
  const child = spawn(process.execPath, ['src/cli/mshard.ts', 'demo', ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')))
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')))
  return { child, output: () => output, closed: once(child, 'close') }
}

it('prints one JSON object, in which all of it held', async () => {
  const { closed, output } = startDemo('--json')
  const [status] = await closed
  const result: unknown = JSON.parse(output())
  expect(result).toMatchObject({
    ok: true,
    nodes: 3,
    created: { shards: 4, rf: 2 },
    rows: { written: 10_000, read: 10_000 },
    failed: { state: 'rolled_back', leftovers: [] },
    dropped: { leftovers: [] },
    rebalanced: { rowsLost: 0 },
    failover: { rowsLost: 0, rfRestored: true },
  })
  expect(status).toBe(0)
}, 120_000)

it('tells its story in plain lines when it does not speak to a terminal', async () => {
  const { closed, output } = startDemo()
  const [status] = await closed
  expect(output()).toContain('All of it held')
  expect(output()).not.toContain('\u001B')
  expect(output()).not.toContain('\r')
  expect(status).toBe(0)
}, 120_000)

it('killed at any moment, the next process on its folder finishes or undoes what it left', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'mshard-demo-test-'))
  try {
    for (const afterMs of KILLS_MS) {
      const { child, closed } = startDemo('--data-dir', dataDir)
      await Promise.race([sleep(afterMs), closed])
      child.kill('SIGKILL')
      await closed
    }
    const nodes = await EmbeddedCluster.start({ dataDir })
    const ids = nodes.nodes.map(({ id }) => id)
    const member = openMember(ids)
    await member.cluster.recover()
    expect(await member.cluster.openOperations()).toEqual([])
    const ended = await member.cluster.journal.operations(['succeeded', 'rolled_back'])
    expect(ended.length).toBeGreaterThan(0)
    for (const id of ids) {
      const plan = await member.cluster.plan(async ({ topology }) => planClean(await topology(), id))
      expect(plan.commands.map(({ key }) => key)).toEqual([])
    }
    // Every shard belongs to a table that is whole, and every table is on all nodes.
    const { placements, tables } = await member.cluster.observe()
    const whole = new Set(placements.map(({ table }) => table))
    for (const [node, names] of tables) {
      const shards = [...names].filter((name) => /^system\.demo_.*_s\d+$/.test(name))
      for (const name of shards)
        expect(whole, `${name} on ${node}`).toContain(name.replace(/^system\.(.*)_s\d+$/, '$1'))
      for (const table of whole) expect(names, `${table} on ${node}`).toContain(table)
    }
    await member.close()
    await nodes.close()
  } finally {
    await rm(dataDir, { recursive: true, force: true })
  }
}, 180_000)
