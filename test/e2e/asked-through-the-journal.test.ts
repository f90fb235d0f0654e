import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Table } from '../../src/index.ts'
import { type Member, openMember } from '../support/member.ts'
import { startNodes, type TestNodes } from '../support/nodes.ts'

/** One process leads; another one wants something. */
let nodes: TestNodes
let leader: Member
let asking: Member
let stopLeading = Promise.withResolvers<void>()
let leading: { readonly over: Promise<void> }

beforeAll(async () => {
  nodes = await startNodes(3, 'c')
  leader = openMember(nodes.ids)
  asking = openMember(nodes.ids)
  leading = await leads(leader)
})
afterAll(async () => {
  stopLeading.resolve()
  await leading.over
  await asking.close()
  await leader.close()
  await nodes.close()
})

/** Resolves when `member` leads; `over` when it does not any more. */
async function leads(member: Member): Promise<{ over: Promise<void> }> {
  stopLeading = Promise.withResolvers()
  const begun = Promise.withResolvers<void>()
  const until = stopLeading.promise
  const over = member.cluster.during(async () => {
    begun.resolve()
    await until
  })
  await begun.promise
  return { over }
}

const tableOf = (member: Member, name: string) =>
  new Table(member.client, member.cluster, name, 'title text, n int')

async function epochNow(): Promise<number> {
  return await leader.cluster.during(async ({ fence }) => await Promise.resolve(fence.epoch))
}

describe('while another process leads', () => {
  it('tables are made, moved and dropped for those who ask', async () => {
    const epoch = await epochNow()
    const users = tableOf(asking, 'asked_users')
    expect(await users.shard(asking.queue, 4, 2)).toMatchObject({ type: 'create', state: 'succeeded' })
    const node = nodes.ids[1] ?? ''
    await asking.client.connection(node).execute("INSERT INTO asked_users (id, title) VALUES (1, 'one')")
    expect(await users.rebalance(asking.queue)).toMatchObject({ state: 'succeeded' })
    expect(await users.drop(asking.queue)).toMatchObject({ type: 'drop', state: 'succeeded' })
    expect(await epochNow()).toBe(epoch)
  })

  it('what cannot be is refused as it would be here, and stands in the history', async () => {
    const refusal = { name: 'InputError', field: 'rf', code: 'invalid_input' }
    await expect(tableOf(asking, 'asked_rf').shard(asking.queue, 2, 9)).rejects.toMatchObject(refusal)
    await expect(tableOf(leader, 'asked_rf').shard(leader.queue, 2, 9)).rejects.toMatchObject(refusal)
    await expect(tableOf(asking, 'asked_none').drop(asking.queue)).rejects.toMatchObject({
      code: 'table_missing',
    })
    const refused = await asking.cluster.journal.operations(['refused'])
    expect(refused.map(({ type, error }) => [type, error.includes('nothing was changed')])).toContainEqual([
      'drop',
      true,
    ])
  })

  it('many who ask at once all get theirs', async () => {
    const names = Array.from({ length: 8 }, (_, index) => `asked_many_${index}`)
    const others = names.map(() => openMember(nodes.ids))
    await Promise.all(
      others.map(async (member, index) => {
        const table = tableOf(member, names[index] ?? '')
        await table.shard(member.queue, 2, 2)
        await table.drop(member.queue)
      }),
    )
    expect(await asking.cluster.openOperations()).toEqual([])
    const { placements } = await asking.cluster.observe()
    expect(placements).toEqual([])
    await Promise.all(others.map(async (member) => await member.close()))
  })

  it('exactly the plan that was looked at is run, or nothing', async () => {
    const plan = await tableOf(asking, 'asked_plan').planShard(3, 1)
    const { group } = await asking.cluster.execute(plan)
    const commands = await asking.cluster.journal.commands(group)
    expect(commands.map(({ node }) => node)).toEqual(plan.commands.map(({ node }) => node))
    await expect(asking.cluster.execute(plan)).rejects.toMatchObject({ code: 'plan_stale' })
    await tableOf(asking, 'asked_plan').drop(asking.queue)
    expect(await asking.cluster.openOperations()).toEqual([])
  })

  it('commands that somebody has added one by one are run', async () => {
    const node = nodes.ids[0] ?? ''
    await asking.queue.add(node, 'CREATE TABLE asked_own (n int)', 'DROP TABLE IF EXISTS asked_own', 'own')
    expect(await asking.queue.process('own')).toMatchObject({ type: 'custom', state: 'succeeded' })
    expect(await asking.queue.rollbackOperationGroup('own')).toMatchObject({ state: 'rolled_back' })
  })

  it('whoever asked may go: it is done all the same', async () => {
    const gone = openMember(nodes.ids)
    const abort = new AbortController()
    const asked = tableOf(gone, 'asked_and_gone').shard(gone.queue, 2, 1, { signal: abort.signal })
    while ((await asking.cluster.openOperations()).length === 0);
    abort.abort()
    await expect(asked).rejects.toMatchObject({ code: 'operation_pending' })
    await gone.close()
    while ((await asking.cluster.openOperations()).length > 0);
    expect((await asking.cluster.observe()).placements.map(({ table }) => table)).toContain('asked_and_gone')
    await tableOf(asking, 'asked_and_gone').drop(asking.queue)
  })

  it('when it goes, whoever waits leads instead', async () => {
    const epoch = await epochNow()
    const asked = tableOf(asking, 'asked_last').shard(asking.queue, 2, 2)
    stopLeading.resolve()
    await leading.over
    expect(await asked).toMatchObject({ state: 'succeeded' })
    await tableOf(asking, 'asked_last').drop(asking.queue)
    leading = await leads(leader)
    expect(await epochNow()).toBeGreaterThan(epoch)
  })
})
