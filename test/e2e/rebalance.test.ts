import { describe, expect, it } from 'vitest'
import { Table } from '../../src/library/table.ts'
import { parseStatement } from '../../src/sql/index.ts'
import { Load } from '../../src/testing/load.ts'
import { LOAD_STRUCTURE } from '../../src/testing/load-rows.ts'
import { fastClock, type Member, openMember } from '../support/member.ts'
import { againstRealNodes, startNodes, type TestNodes } from '../support/nodes.ts'

const SHARDS = 12
/**
 * Requests of a node fail while its sharded table is replaced: for milliseconds, longer on a machine that does much
 * else. On real nodes one may wait until a mirror is given up.
 */
const MAX_GAP_MS = againstRealNodes ? 15_000 : 2_000
const TIMEOUT_MS = 300_000

const tableOf = (member: Member) => new Table(member.client, member.cluster, 'users', LOAD_STRUCTURE)

function startLoad(member: Member, nodes: readonly string[]): Load {
  const { connector } = member.client.parts
  // Real nodes show a write to others some milliseconds later, and two cores carry no heavier load of theirs.
  const real = againstRealNodes ? { settleMs: 1_000, pauseMs: 20 } : {}
  return Load.start({ connector, clock: fastClock(1), nodes, table: 'users', ...real })
}

/** Whatever clients did meanwhile, every acknowledged row is there exactly once, seen through every node. */
async function expectNothingLost(load: Load, nodes: readonly string[]): Promise<void> {
  const report = await load.stop()
  expect(report.acknowledged).toBeGreaterThan(50)
  expect(report.longestGapMs).toBeLessThan(MAX_GAP_MS)
  // Real nodes now and then count a shard too few while a mirror is busy, without a warning: the rows tell.
  if (!againstRealNodes) expect(report.wrongCounts).toEqual([])
  const nothing = { missing: [], foreign: [], changed: [], doubled: [] }
  for (const node of nodes) expect(await load.verify(node), node).toEqual(nothing)
}

/** Every shard has `rf` copies on distinct nodes, and every node's sharded table names exactly these. */
async function expectPlaced(member: Member, rf: number): Promise<Map<string, number>> {
  const { nodes, placements } = await member.cluster.observe()
  const holders = new Map<number, string[]>()
  for (const { node, shards } of placements) {
    for (const shard of shards) holders.set(shard, [...(holders.get(shard) ?? []), node].toSorted())
  }
  expect([...holders.keys()].toSorted((a, b) => a - b)).toEqual(Array.from({ length: SHARDS }, (_, n) => n))
  for (const [shard, found] of holders) expect(new Set(found).size, `shard ${shard}`).toBe(rf)
  for (const node of nodes) expect(await locationsOn(member, node), node).toEqual(holders)
  const copies = new Map(nodes.map((node) => [node, 0]))
  for (const { node, shards } of placements) copies.set(node, (copies.get(node) ?? 0) + shards.length)
  return copies
}

/** Where a node's sharded table looks for each shard. */
async function locationsOn(member: Member, node: string): Promise<Map<number, string[]>> {
  const statement = parseStatement(await member.client.parts.catalog.createStatement(node, 'users'))
  const locations = new Map<number, string[]>()
  if (statement.kind !== 'create_table') return locations
  for (const { name, value } of statement.options) {
    const shard = Number(/_s(\d+)/.exec(value)?.[1])
    if (name === 'agent') {
      const mirrors = value.replace(/\[.*$/, '').split('|')
      locations.set(shard, mirrors.map((mirror) => mirror.split(':').slice(0, 2).join(':')).toSorted())
    }
    if (name === 'local') locations.set(shard, await holdersOf(member, shard))
  }
  return locations
}

/** A local shard is written on all members of its set. */
async function holdersOf(member: Member, shard: number): Promise<string[]> {
  const { placements } = await member.cluster.observe()
  return placements
    .filter(({ shards }) => shards.includes(shard))
    .map(({ node }) => node)
    .toSorted()
}

/** Shards and homes of sets lie where the placement says, and nowhere else. */
async function expectNoLeftovers(member: Member, nodes: readonly string[]): Promise<void> {
  const { placements, replicaSets } = await member.cluster.observe()
  for (const node of nodes) {
    const mine = placements.filter((placement) => placement.node === node)
    const shards = mine.flatMap(({ shards: numbers }) => numbers.map((shard) => `system.users_s${shard}`))
    const tables = [...(await member.client.parts.catalog.tables(node)).keys()]
    expect(tables.filter((name) => name.startsWith('system.users_s')).toSorted(), node).toEqual(
      shards.toSorted(),
    )
    const sets = replicaSets.filter(({ members }) => members.includes(node)).length
    expect(tables.filter((name) => /^system\.(rs|mv)_/.test(name)).length, node).toBe(sets)
  }
}

async function withNodes(
  count: number,
  body: (nodes: TestNodes, member: Member) => Promise<void>,
): Promise<void> {
  const nodes = await startNodes(count, 'c')
  const member = openMember(nodes.ids)
  try {
    await body(nodes, member)
  } finally {
    await member.close()
    await nodes.close()
  }
}

describe('while clients write and read', () => {
  it.each([1, 2, 3])(
    'a cluster grows to 6 nodes and shrinks to 3 again, and no row is lost: rf %i',
    async (rf) => {
      await withNodes(Math.max(2, rf), async (nodes, member) => {
        const table = tableOf(member)
        await table.shard(member.queue, SHARDS, rf)
        const load = startLoad(member, nodes.ids)
        for (const count of [3, 4, 6]) {
          while (nodes.ids.length < count) await nodes.addNode()
          expect((await table.rebalance(member.queue)).state).toBe('succeeded')
          load.setNodes(nodes.ids)
          const copies = [...(await expectPlaced(member, rf)).values()]
          // Copies move by whole replica sets: as even as those allow.
          const share = rf === 1 ? 1 : SHARDS / 2
          expect(Math.max(...copies) - Math.min(...copies)).toBeLessThanOrEqual(share)
        }
        for (const count of [4, 3]) {
          const stay = nodes.ids.slice(0, count)
          load.setNodes(stay)
          expect((await member.cluster.drain(nodes.ids.slice(count))).state).toBe('succeeded')
          const copies = await expectPlaced(member, rf)
          for (const node of nodes.ids.slice(count)) expect(copies.get(node), node).toBe(0)
        }
        await expectNothingLost(load, nodes.ids.slice(0, 3))
        await expectNoLeftovers(member, nodes.ids)
      })
    },
    TIMEOUT_MS,
  )

  it.each([2, 3])(
    'a node dies, is replaced, and comes back clean, and no row is lost: rf %i',
    async (rf) => {
      await withNodes(4, async (nodes, member) => {
        const { cluster } = member
        const table = tableOf(member)
        await table.shard(member.queue, SHARDS, rf)
        const dead = nodes.ids[1] ?? ''
        const others = nodes.ids.filter((id) => id !== dead)
        const load = startLoad(member, others)
        await nodes.kill(dead)
        await cluster.reroute()
        const { placements } = await cluster.observe()
        expect(placements.some(({ node }) => node === dead)).toBe(true)
        expect((await cluster.replace([dead])).state).toBe('succeeded')
        expect((await expectPlaced(member, rf)).has(dead)).toBe(false)
        await nodes.restart(dead)
        await cluster.clean(dead)
        await cluster.reroute()
        expect((await expectPlaced(member, rf)).get(dead)).toBe(0)
        await expectNoLeftovers(member, nodes.ids)
        await cluster.rebalance()
        expect((await expectPlaced(member, rf)).get(dead)).toBeGreaterThan(0)
        const report = await load.stop()
        expect(report.acknowledged).toBeGreaterThan(50)
        const nothing = { missing: [], foreign: [], changed: [], doubled: [] }
        for (const node of nodes.ids) expect(await load.verify(node), node).toEqual(nothing)
      })
    },
    TIMEOUT_MS,
  )

  it(
    'a node that was never replaced is simply let in again',
    async () => {
      await withNodes(3, async (nodes, member) => {
        const { cluster } = member
        await tableOf(member).shard(member.queue, SHARDS, 2)
        const before = await expectPlaced(member, 2)
        const dead = nodes.ids[2] ?? ''
        const load = startLoad(member, nodes.ids.slice(0, 2))
        await nodes.kill(dead)
        await cluster.reroute()
        await nodes.restart(dead)
        await cluster.clean(dead)
        await cluster.reroute()
        expect(await expectPlaced(member, 2)).toEqual(before)
        await load.stop()
        const nothing = { missing: [], foreign: [], changed: [], doubled: [] }
        for (const node of nodes.ids) expect(await load.verify(node), node).toEqual(nothing)
      })
    },
    TIMEOUT_MS,
  )
})

describe('a table with single copies', () => {
  it(
    'stays where it is when a node dies, says so, and works again when it is back',
    async () => {
      await withNodes(3, async (nodes, member) => {
        const { cluster } = member
        const table = tableOf(member)
        await table.shard(member.queue, SHARDS, 1)
        const before = await expectPlaced(member, 1)
        const dead = nodes.ids[1] ?? ''
        await nodes.kill(dead)
        const plan = await cluster.planReplace([dead])
        expect(plan.commands).toEqual([])
        expect(plan.reasons.join('\n')).toContain(`its only copy is there, and ${dead} does not answer`)
        await cluster.reroute()
        await nodes.restart(dead)
        await cluster.clean(dead)
        await cluster.reroute()
        expect(await expectPlaced(member, 1)).toEqual(before)
        const load = startLoad(member, nodes.ids)
        await table.rebalance(member.queue)
        await load.stop()
        for (const node of nodes.ids) expect((await load.verify(node)).missing, node).toEqual([])
      })
    },
    TIMEOUT_MS,
  )
})

describe('a plan', () => {
  it('can be looked at first, and is then run exactly as it was made', async () => {
    await withNodes(3, async (nodes, member) => {
      const table = tableOf(member)
      await table.shard(member.queue, SHARDS, 2)
      await nodes.addNode()
      const plan = await table.planRebalance()
      const again = await table.planRebalance()
      const { group } = await member.cluster.execute(plan)
      const commands = await member.cluster.journal.commands(group)
      expect(commands.map(({ node, phase }) => `${node} ${phase}`)).toEqual(
        plan.commands.map(({ node, phase }) => `${node} ${phase}`),
      )
      const numbers = new Map(commands.map(({ id }, index) => [id, plan.commands[index]?.key]))
      for (const [index, command] of commands.entries()) {
        expect(command.waitFor.map((id) => numbers.get(id))).toEqual(plan.commands[index]?.dependsOn)
      }
      await expect(member.cluster.execute(again)).rejects.toMatchObject({ code: 'plan_stale' })
    })
  }, 60_000)
})
