import { once } from 'node:events'
import { createServer } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect } from '../../src/app/connect.ts'
import { ShardingError } from '../../src/domain/errors.ts'
import { EmbeddedCluster } from '../../src/embedded/index.ts'
import { Table } from '../../src/library/table.ts'
import { type Member, openMember } from '../support/member.ts'
import { startNodes, type TestNodes } from '../support/nodes.ts'
import { stateOf } from '../support/state-of.ts'

const COLUMNS = 'id bigint, name string'

/** The code and text of what it is refused with. */
async function refusal(attempt: () => Promise<unknown>): Promise<string> {
  try {
    await attempt()
  } catch (error) {
    if (error instanceof ShardingError) return `${error.code}: ${error.message}`
    throw error
  }
  return 'accepted'
}

describe('bad input to a cluster', () => {
  let nodes: TestNodes
  let member: Member
  let before: readonly string[]

  beforeAll(async () => {
    nodes = await startNodes(3, 'c')
    member = openMember(nodes.ids)
    await new Table(member.client, member.cluster, 'there', COLUMNS).shard(member.queue, 2, 2)
    before = await stateOf(member, nodes.ids)
  }, 60_000)

  afterAll(async () => {
    await member.close()
    await nodes.close()
  })

  const shard = async (name: string, shards: number, rf: number, columns = COLUMNS) =>
    await refusal(
      async () =>
        await new Table(member.client, member.cluster, name, columns).shard(member.queue, shards, rf),
    )

  it.each([
    ['a quote in the name', "o'brien", 1, 1, /^invalid_input: .*o'brien/],
    ['a dot in the name', 'a.b', 1, 1, /^invalid_input: .*a\.b/],
    ['upper case', 'Users', 1, 1, /^invalid_input: .*lower case.*use 'users'/],
    ['70 characters', 'x'.repeat(70), 1, 1, /^invalid_input: .*64/],
    ['a reserved name', 'select', 1, 1, /^invalid_input: .*select/],
    ['a name that exists', 'there', 1, 1, /^table_exists: table 'there'/],
    ['no shards', 'new', 0, 1, /^invalid_input: .*shards.*at least 1, not 0/],
    ['less than none', 'new', -1, 1, /^invalid_input: .*not -1/],
    ['one and a half', 'new', 1.5, 1, /^invalid_input: .*whole number.*1\.5/],
    ['too many shards', 'new', 3_001, 1, /^invalid_input: .*at most 3000, not 3001/],
    ['no copies', 'new', 1, 0, /^invalid_input: .*replication factor.*not 0/],
    ['more copies than nodes', 'new', 1, 4, /^invalid_input: .*needs 4 nodes.*has 3.*at most 3/],
  ] as const)(
    '%s is refused with what would do, and nothing changes',
    async (_what, name, shards, rf, text) => {
      expect(await shard(name, shards, rf)).toMatch(text)
      expect(await stateOf(member, nodes.ids)).toEqual(before)
    },
  )

  it.each(['id bigint, name strin g', 'name', 'name string,,', ''])(
    'the columns %j are refused',
    async (columns) => {
      expect(await shard('new', 1, 1, columns)).toMatch(/^invalid_input: the columns cannot be read/)
      expect(await stateOf(member, nodes.ids)).toEqual(before)
    },
  )

  it.each([
    ['empty', '', /rollback is empty/],
    ['of whitespace only', ' \n\t', /rollback is empty/],
    ['about another table', 'DROP TABLE IF EXISTS other', /does not touch|changes something/],
    ['that is no SQL', 'undo it, please', /not valid SQL/],
    ['that cannot be sent twice', 'DROP TABLE notes', /IF EXISTS/],
  ] as const)('a rollback %s is refused, and nothing is stored', async (_what, rollback, text) => {
    const [node = ''] = nodes.ids
    const add = async () => await member.queue.add(node, 'CREATE TABLE notes (body text)', rollback, 'bad')
    expect(await refusal(add)).toMatch(/^rollback_invalid: /)
    expect(await refusal(add)).toMatch(text)
    expect(await member.cluster.journal.commands('bad')).toEqual([])
  })

  it('a rollback that would drop what was there before is refused', async () => {
    const [node = ''] = nodes.ids
    const forward = 'CREATE TABLE IF NOT EXISTS there (name string)'
    const add = async () => await member.queue.add(node, forward, 'DROP TABLE IF EXISTS there', 'bad')
    expect(await refusal(add)).toMatch(/^rollback_invalid: .*there before/)
    expect(await stateOf(member, nodes.ids)).toEqual(before)
  })

  it('a node that is none of the cluster is refused', async () => {
    const add = async () =>
      await member.queue.add('10.9.8.7:9312', 'CREATE TABLE n (x int)', 'DROP TABLE IF EXISTS n', 'bad')
    expect(await refusal(add)).toContain(`its nodes are ${nodes.ids.toSorted().join(', ')}`)
  })

  it('an unknown cluster is refused with those that there are', async () => {
    const open = async () => await connect({ nodes: [`http://${nodes.ids[0] ?? ''}`], cluster: 'other' })
    expect(await refusal(open)).toMatch(/^cluster_missing: .*not in a cluster 'other' \(it is in: .*\bc\b/)
  })
})

describe('connecting', () => {
  it('goes on without a node that is down, but makes no table before it is back', async () => {
    const nodes = await startNodes(3, 'c')
    const down = nodes.ids[2] ?? ''
    await nodes.kill(down)
    const { client, cluster } = await connect({
      nodes: nodes.ids.toReversed().map((id) => `http://${id}`),
      cluster: 'c',
    })
    const { Queue } = await import('../../src/library/queue.ts')
    const table = new Table(client, cluster, 'users', COLUMNS)
    const refused = await refusal(async () => await table.shard(new Queue(cluster, client), 1, 1))
    expect(refused).toMatch(/^cluster_unhealthy: cannot create table 'users'/)
    expect(refused).toContain(down)
    await client.close()
    await nodes.close()
  }, 60_000)

  it('refuses nodes of two clusters', async () => {
    const [one, two] = [await startNodes(1, 'c'), await startNodes(1, 'c')]
    const urls = [...one.ids, ...two.ids].map((id) => `http://${id}`)
    expect(await refusal(async () => await connect({ nodes: urls, cluster: 'c' }))).toMatch(
      /^invalid_input: .*two different clusters of the name 'c'/,
    )
    await one.close()
    await two.close()
  }, 60_000)

  it('says when nothing listens, and when what listens is no Manticore', async () => {
    const server = createServer((_request, response) => response.end('hello'))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const open = async () => await connect({ nodes: [`http://127.0.0.1:${port}`], cluster: 'c' })
    expect(await refusal(open)).toMatch(/^not_manticore: /)
    server.close()
    await once(server, 'close')
    expect(await refusal(open)).toMatch(/^unreachable: .*no connection/)
  })

  it('offers a standalone node one copy only', async () => {
    const nodes = await EmbeddedCluster.start({ nodes: 1, dataDir: ':memory:' })
    const member = openMember([nodes.nodes[0]?.id ?? ''], { cluster: null })
    const table = new Table(member.client, member.cluster, 'users', COLUMNS)
    expect(await refusal(async () => await table.shard(member.queue, 2, 2))).toMatch(
      /^invalid_input: .*needs a cluster.*use 1/,
    )
    expect((await table.shard(member.queue, 2, 1)).state).toBe('succeeded')
    expect((await table.drop(member.queue)).state).toBe('succeeded')
    await member.close()
    await nodes.close()
  })
})
