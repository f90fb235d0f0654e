import { describe, expect, it } from 'vitest'
import { adoptCommand } from '../../src/cli/adopt-command.ts'
import { OperationError } from '../../src/library/operation-error.ts'
import { Table } from '../../src/library/table.ts'
import { makeBuddyTable, makeBuddyTables, placementRows, sql } from '../support/buddy.ts'
import { FaultyConnector } from '../support/faulty-connector.ts'
import { type Member, openMember } from '../support/member.ts'
import { startNodes, type TestNodes } from '../support/nodes.ts'
import { rowsThrough, writeRows } from '../support/rows.ts'
import { stateOf } from '../support/state-of.ts'

const SET_A = 'a'.repeat(32)
const SET_B = '0123456789abcdef'.repeat(2)
const ORPHAN = 'f'.repeat(32)
/** As the daemon makes them. */
const FIRST_ROW = 5_913_276_837_283_954_689n
const TIMEOUT_MS = 120_000

const usersOf = (member: Member) => new Table(member.client, member.cluster, 'users', 'title text, n int')

async function withBuddy(
  count: number,
  rf: number,
  body: (nodes: TestNodes, member: Member) => Promise<void>,
): Promise<void> {
  const nodes = await startNodes(count, 'c')
  const member = openMember(nodes.ids)
  try {
    const [n1 = '', n2 = '', n3 = ''] = nodes.ids
    const shards =
      rf === 1
        ? [n1, n2, n3, n1].map((node) => ({ nodes: [node] }))
        : [
            { nodes: [n1, n2], set: SET_A },
            { nodes: [n2, n3], set: SET_B },
            { nodes: [n1, n2], set: SET_A },
            { nodes: [n2, n3], set: SET_B },
          ]
    await makeBuddyTables(member, nodes.ids, 'c')
    const parts = { nodes: nodes.ids, cluster: 'c', table: 'users', shards, firstRow: FIRST_ROW }
    await makeBuddyTable(member, parts)
    await body(nodes, member)
  } finally {
    await member.close()
    await nodes.close()
  }
}

describe('a table that Manticore Buddy has made', () => {
  it.each([1, 2])(
    'is adopted, rebalanced onto another node and dropped, and nothing is left: rf %i',
    async (rf) => {
      await withBuddy(3, rf, async (nodes, member) => {
        const { cluster } = member
        const [n1 = ''] = nodes.ids
        await writeRows(member, n1, 'users', 60)
        const rows = await rowsThrough(member, n1, 'users')

        const dry = await cluster.adopt({ dryRun: true })
        expect(dry.operation).toBeNull()
        expect(dry.problems).toEqual([])
        expect(dry.tables).toMatchObject([
          {
            table: 'users',
            shards: 4,
            rf,
            adoptable: true,
            switches: [],
            replicaSets: rf === 1 ? [] : [SET_B, SET_A],
          },
        ])
        expect((await cluster.observe()).placements).toEqual([])

        const { operation } = await cluster.adopt()
        expect(operation).toMatchObject({ type: 'adopt', state: 'succeeded', commands: 2 })
        const { placements, buddyPlacements } = await cluster.observe()
        expect(buddyPlacements).toEqual([])
        expect(placements).toMatchObject(dry.tables[0]?.placements ?? [])
        expect(await rowsThrough(member, n1, 'users')).toEqual(rows)
        expect(await cluster.adopt()).toMatchObject({ tables: [], problems: [], operation: null })

        const n4 = await nodes.addNode()
        expect((await usersOf(member).rebalance(member.queue)).state).toBe('succeeded')
        const moved = (await cluster.observe()).placements
        if (rf === 1) expect(moved.map(({ node }) => node)).toContain(n4)
        for (const node of nodes.ids) expect(await rowsThrough(member, node, 'users'), node).toEqual(rows)
        for (const shard of [0, 1, 2, 3]) {
          expect(moved.filter(({ shards }) => shards.includes(shard)).length, `shard ${shard}`).toBe(rf)
        }

        expect((await usersOf(member).drop(member.queue)).state).toBe('succeeded')
        expect((await stateOf(member, nodes.ids)).filter((line) => !line.includes(' cluster c:'))).toEqual([])
      })
    },
    TIMEOUT_MS,
  )

  it(
    'leaves a node that is drained',
    async () => {
      await withBuddy(3, 2, async (nodes, member) => {
        const [n1 = ''] = nodes.ids
        await writeRows(member, n1, 'users', 60)
        const rows = await rowsThrough(member, n1, 'users')
        await member.cluster.adopt()
        const n4 = await nodes.addNode()
        await member.cluster.drain([n1])
        const { placements } = await member.cluster.observe()
        expect(placements.map(({ node }) => node)).toContain(n4)
        expect(placements.map(({ node }) => node)).not.toContain(n1)
        for (const node of nodes.ids) expect(await rowsThrough(member, node, 'users'), node).toEqual(rows)
        await usersOf(member).drop(member.queue)
        expect((await stateOf(member, nodes.ids)).filter((line) => !line.includes(' cluster c:'))).toEqual([])
      })
    },
    TIMEOUT_MS,
  )

  it('is left alone until it is adopted, and says so', async () => {
    await withBuddy(3, 2, async (nodes, member) => {
      const before = await stateOf(member, nodes.ids)
      const refusal = { code: 'table_missing', message: expect.stringContaining('run mshard adopt first') }
      await expect(usersOf(member).drop(member.queue)).rejects.toMatchObject(refusal)
      await expect(usersOf(member).rebalance(member.queue)).rejects.toMatchObject(refusal)
      await expect(member.cluster.drain([nodes.ids[0] ?? ''])).rejects.toThrow('run mshard adopt first')
      await member.cluster.reroute()
      for (const node of nodes.ids) await member.cluster.clean(node)
      expect(await stateOf(member, nodes.ids)).toEqual(before)
    })
  }, 60_000)

  it('is as it was, row for row, when adopting it fails', async () => {
    await withBuddy(3, 2, async (nodes, member) => {
      const [n1 = ''] = nodes.ids
      // Of two tables this one is adopted when the other fails: its rows have to come back.
      await makeBuddyTable(member, {
        nodes: nodes.ids,
        cluster: 'c',
        table: 'posts',
        shards: nodes.ids.map((node) => ({ nodes: [node] })),
        firstRow: FIRST_ROW + 100n,
      })
      await member.cluster.ready()
      const before = await placementRows(member, n1)
      // One node lacks the table, so it is made there: another statement that has to be undone.
      await sql(member, nodes.ids[2] ?? '', 'DROP TABLE users OPTION force=1')
      const state = await stateOf(member, nodes.ids)
      const unlucky = openMember(nodes.ids, {
        wrap: (inner) =>
          new FaultyConnector(inner, ({ sql: text }) =>
            text.startsWith('DELETE FROM c:system.sharding_table') && text.includes(String(FIRST_ROW))
              ? 'refused'
              : undefined,
          ),
      })
      try {
        await expect(unlucky.cluster.adopt({ timeoutMs: 2_000 })).rejects.toThrow(OperationError)
      } finally {
        await unlucky.close()
      }
      const [operation] = await member.cluster.journal.operations(['rolled_back'])
      const commands = await member.cluster.journal.commands(operation?.group ?? '')
      expect(commands.filter(({ rollbackQuery }) => rollbackQuery.startsWith('REPLACE'))).toContainEqual(
        expect.objectContaining({ status: 'rolled_back', outcome: 'applied' }),
      )
      expect(await placementRows(member, n1)).toEqual(before)
      expect(await stateOf(member, nodes.ids)).toEqual(state)
    })
  }, 60_000)

  it('stands on one standalone node', async () => {
    const nodes = await startNodes(1)
    const member = openMember(nodes.ids, { cluster: null })
    try {
      const [node = ''] = nodes.ids
      const shards = [0, 1, 2].map(() => ({ nodes: [node] }))
      await makeBuddyTables(member, nodes.ids, null)
      await makeBuddyTable(member, {
        nodes: nodes.ids,
        cluster: null,
        table: 'users',
        shards,
        firstRow: FIRST_ROW,
      })
      expect((await member.cluster.adopt()).operation?.state).toBe('succeeded')
      expect((await member.cluster.observe()).placements).toMatchObject([
        { node, replicaSet: '', shards: [0, 1, 2] },
      ])
      await usersOf(member).drop(member.queue)
      expect(await stateOf(member, nodes.ids)).toEqual([])
    } finally {
      await member.close()
      await nodes.close()
    }
  }, 60_000)
})

describe('what is not as it should be', () => {
  it('is said, and what can be put right is', async () => {
    await withBuddy(3, 2, async (nodes, member) => {
      const [n1 = '', n2 = '', n3 = ''] = nodes.ids
      await sql(member, n3, 'DROP TABLE users OPTION force=1')
      await sql(member, n1, 'CREATE TABLE system.home (x int)')
      await sql(member, n1, `CREATE CLUSTER ${ORPHAN} 'system.home' as path`)
      await sql(member, n3, `EXIT CLUSTER ${SET_B}`)
      await sql(member, n2, `ALTER CLUSTER ${SET_B} UPDATE nodes`)
      const { tables, problems, operation } = await member.cluster.adopt()
      expect(operation?.state).toBe('succeeded')
      expect(tables).toMatchObject([{ rf: 2, adoptable: true, switches: expect.arrayContaining([n3]) }])
      expect([...new Set(problems.map(({ kind }) => kind))].toSorted()).toEqual([
        'incomplete_definition',
        'mixed_rf',
        'orphaned_cluster',
        'stray_copy',
        'under_replicated',
      ])
      for (const node of nodes.ids) {
        await expect(rowsThrough(member, node, 'users'), node).resolves.toEqual([])
      }
    })
  }, 60_000)

  it('keeps a table from being adopted when it would lose rows or hide them', async () => {
    await withBuddy(3, 1, async (nodes, member) => {
      const [n1 = '', n2 = ''] = nodes.ids
      await sql(member, n2, 'DROP TABLE users OPTION force=1')
      await sql(member, n2, 'CREATE TABLE users (title text)')
      await sql(member, n2, 'CREATE TABLE system.users_s0 (title text, n int)')
      const before = await placementRows(member, n1)
      const { tables, problems, operation } = await member.cluster.adopt()
      expect(operation).toBeNull()
      expect(tables).toMatchObject([{ table: 'users', adoptable: false }])
      expect(problems.filter(({ blocking }) => blocking).map(({ kind }) => kind)).toEqual([
        'unreplicated_copies',
        'plain_table',
      ])
      expect(await placementRows(member, n1)).toEqual(before)
    })
  }, 60_000)
})

describe('mshard adopt', () => {
  it('says what there is, does it, and has nothing left to do', async () => {
    await withBuddy(3, 2, async (nodes, member) => {
      const run = async (...args: string[]) => {
        const written: string[] = []
        let exitCode = -1
        const output = {
          columns: 120,
          live: false,
          write: (text: string) => written.push(text),
          style: (_style: unknown, text: string) => text,
        }
        const context = {
          output,
          signal: new AbortController().signal,
          setExitCode: (code: number) => (exitCode = code),
        }
        const to = ['--nodes', `http://${nodes.ids[0] ?? ''}`, '--cluster', 'c']
        await adoptCommand(context)
          .exitOverride()
          .parseAsync([...to, ...args], { from: 'user' })
        expect(exitCode).toBe(0)
        return written.join('')
      }
      const text = await run('--dry-run')
      expect(text).toContain('users: 4 shards × 2 copies in 2 replica sets')
      expect(text).toContain(`shards 0, 2 (${SET_A})`)
      expect(text).toContain(`DELETE FROM c:system.sharding_table WHERE id IN (${FIRST_ROW}`)
      expect((await member.cluster.observe()).placements).toEqual([])
      expect(JSON.parse(await run('--json'))).toMatchObject({
        tables: [{ table: 'users', adoptable: true }],
        problems: [],
        operation: { state: 'succeeded' },
      })
      expect(await run()).toContain('There is no table that Manticore Buddy made.')
    })
  }, 60_000)
})
