import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { type Coordinator, type CoordinatorSettings, type Log, Table } from '../../src/index.ts'
import { fastClock, type Member, openMember } from '../support/member.ts'
import { againstRealNodes, startNodes, type TestNodes } from '../support/nodes.ts'
import { rowsThrough, writeRows } from '../support/rows.ts'

/** Waits pass this many times faster; not on real daemons, which take their own time. */
const SPEED = againstRealNodes ? 1 : 20
const TIMEOUT_MS = againstRealNodes ? 600_000 : 60_000
const PATIENCE_MS = againstRealNodes ? 300_000 : 40_000
const ROWS = 60
const SHARDS = 4

const SETTINGS: Partial<CoordinatorSettings> = { graceDelayMs: 10_000 }

interface Candidate {
  readonly member: Member
  readonly coordinator: Coordinator
  readonly lines: string[]
}

function candidate(nodes: TestNodes, settings: Partial<CoordinatorSettings> = {}): Candidate {
  const lines: string[] = []
  const note = (message: string, fields?: object) =>
    void lines.push(`${message} ${JSON.stringify(fields ?? {})}`)
  const log: Log = { debug: note, info: note, warn: note, error: note }
  const member = openMember(nodes.ids, { clock: fastClock(SPEED) })
  const coordinator = member.cluster.coordinator({ ...SETTINGS, ...settings }, { log })
  coordinator.start()
  return { member, coordinator, lines }
}

async function until(what: string, holds: () => boolean | Promise<boolean>, lines: readonly string[] = []) {
  const giveUpAt = Date.now() + PATIENCE_MS
  while (!(await holds())) {
    if (Date.now() > giveUpAt) throw new Error(`waited too long until ${what}\n${lines.join('\n')}`)
    await sleep(50)
  }
}

const says = (lines: readonly string[], text: string) => lines.some((line) => line.includes(text))

async function copiesOf(member: Member): Promise<Map<string, number>> {
  const { placements } = await member.cluster.observe()
  const copies = new Map<string, number>()
  for (const { node, shards } of placements) copies.set(node, (copies.get(node) ?? 0) + shards.length)
  return copies
}

async function withTable(
  count: number,
  body: (nodes: TestNodes, user: Member, rows: readonly string[]) => Promise<void>,
): Promise<void> {
  const nodes = await startNodes(count, 'c')
  const user = openMember(nodes.ids, { clock: fastClock(SPEED) })
  try {
    await new Table(user.client, user.cluster, 'users', 'title text, n int').shard(user.queue, SHARDS, 2)
    const [first = ''] = nodes.ids
    await writeRows(user, first, 'users', ROWS)
    await body(nodes, user, await rowsThrough(user, first, 'users'))
  } finally {
    await user.close()
    await nodes.close()
  }
}

describe('a coordinator', () => {
  it(
    'spreads copies over a node that has come, without being asked',
    async () => {
      await withTable(3, async (nodes, user, rows) => {
        const { member, coordinator, lines } = candidate(nodes)
        await until('it leads', () => coordinator.status.leads, lines)
        expect(says(lines, 'becoming master')).toBe(true)
        await until('it finds all balanced', () => says(lines, 'Skipping rebalance for table users'), lines)
        const comer = await nodes.addNode()
        const moved = () => says(lines, 'Rebalancing completed for table users')
        await until('the new node has copies', moved, lines)
        expect(says(lines, 'Rebalancing queued for table users')).toBe(true)
        expect((await copiesOf(user)).get(comer)).toBeGreaterThan(0)
        for (const node of nodes.ids) expect(await rowsThrough(user, node, 'users'), node).toEqual(rows)
        await member.close()
      })
    },
    TIMEOUT_MS,
  )

  it(
    'makes the copies of a dead node anew, and cleans it when it is back',
    async () => {
      await withTable(4, async (nodes, user, rows) => {
        const { member, coordinator, lines } = candidate(nodes)
        await until('it leads', () => coordinator.status.leads, lines)
        const victim = nodes.ids[1] ?? ''
        const others = nodes.ids.filter((id) => id !== victim)
        await until('it finds all balanced', () => says(lines, 'Skipping rebalance for table users'), lines)
        await nodes.kill(victim)
        await until(
          'it is replaced',
          () => says(lines, `Rebalancing due to inactive nodes: ${victim}: done`),
          lines,
        )
        expect((await copiesOf(user)).has(victim)).toBe(false)
        for (const node of others) expect(await rowsThrough(user, node, 'users'), node).toEqual(rows)
        expect(coordinator.status.nodes.find(({ node }) => node === victim)?.state).toBe('gone')
        await nodes.restart(victim)
        await until('it has copies again', () => says(lines, 'Rebalancing completed for table users'), lines)
        expect((await copiesOf(user)).get(victim)).toBeGreaterThan(0)
        for (const node of nodes.ids) expect(await rowsThrough(user, node, 'users'), node).toEqual(rows)
        await member.close()
      })
    },
    TIMEOUT_MS,
  )

  it(
    'moves nothing by itself when it is told so, but makes tables readable without the dead node',
    async () => {
      await withTable(3, async (nodes, user, rows) => {
        const manual = { automaticRebalance: false, automaticReplace: false, graceDelayMs: 1_000 }
        const { member, coordinator, lines } = candidate(nodes, manual)
        await until('it leads', () => coordinator.status.leads, lines)
        const before = await copiesOf(user)
        const [victim = ''] = nodes.ids
        await nodes.kill(victim)
        await until('it reroutes', () => says(lines, 'Rerouting around inactive nodes: done'), lines)
        for (const node of nodes.ids.slice(1))
          expect(await rowsThrough(user, node, 'users'), node).toEqual(rows)
        await nodes.restart(victim)
        await until('it serves again', () => says(lines, 'node serves again'), lines)
        const settled = async () => (await user.cluster.openOperations()).length === 0
        await until('all is done', settled, lines)
        expect(await copiesOf(user)).toEqual(before)
        expect(says(lines, 'Rebalancing')).toBe(false)
        await member.close()
      })
    },
    TIMEOUT_MS,
  )

  it(
    'that stops is followed at once, one that dies within seconds',
    async () => {
      await withTable(3, async (nodes, user) => {
        const first = candidate(nodes)
        await until('the first leads', () => first.coordinator.status.leads)
        const second = candidate(nodes)
        await sleep(100)
        expect(second.coordinator.status.leads).toBe(false)
        await first.member.close()
        await until('the second leads', () => second.coordinator.status.leads, second.lines)
        expect(second.coordinator.status.epoch).toBeGreaterThan(0)
        await new Table(user.client, user.cluster, 'others', 'n int').shard(user.queue, 2, 2)
        expect((await user.cluster.journal.operations(['succeeded'])).at(-1)?.epoch).toBe(
          second.coordinator.status.epoch,
        )
        await second.member.close()
      })
    },
    TIMEOUT_MS,
  )
})
