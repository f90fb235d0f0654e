import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { OperationError } from '../../src/library/operation-error.ts'
import { Table } from '../../src/library/table.ts'
import { type Call, FaultyConnector, type Trouble } from '../support/faulty-connector.ts'
import { fastClock, type Member, openMember } from '../support/member.ts'
import { againstRealNodes, startNodes, type TestNodes } from '../support/nodes.ts'
import { stateOf } from '../support/state-of.ts'

/** Waits pass this many times faster; not on real daemons, whose statements take their own time. */
const SPEED = againstRealNodes ? 1 : 10
/** For a loop over all statements, in milliseconds: a JOIN on real daemons takes seconds. */
const LOOP_TIMEOUT_MS = againstRealNodes ? 1_800_000 : 180_000

const table = (member: Member, name: string) =>
  new Table(member.client, member.cluster, name, 'title text, n int')

const isJournal = (sql: string) => /system\.sharding_(queue|operation|state)/.test(sql)

/** A member on which one statement goes wrong: the `n`-th of those that `counts`. */
function memberWithTrouble(
  ids: readonly string[],
  n: number,
  trouble: Trouble,
  counts: (sql: string) => boolean,
): { member: Member; hit: () => Call | undefined } {
  let seen = 0
  let hit: Call | undefined
  const member = openMember(ids, {
    clock: fastClock(SPEED),
    wrap: (inner) =>
      new FaultyConnector(inner, (call) => {
        if (!counts(call.sql)) return undefined
        seen++
        if (seen !== n) return undefined
        hit = call
        return trouble
      }),
  })
  return { member, hit: () => hit }
}

describe('an operation in which a statement goes wrong', () => {
  let nodes: TestNodes
  let observer: Member

  beforeAll(async () => {
    nodes = await startNodes(3, 'c')
    observer = openMember(nodes.ids)
    await observer.cluster.ready()
  })

  afterAll(async () => {
    await observer.close()
    await nodes.close()
  })

  it(
    'puts everything back when any statement of a create fails for good',
    async () => {
      const before = await stateOf(observer, nodes.ids)
      let n = 1
      for (; ; n++) {
        const { member, hit } = memberWithTrouble(nodes.ids, n, 'refused', (sql) => !isJournal(sql))
        const failure = await failureOf(table(member, 'users').shard(member.queue, 3, 2))
        await member.close()
        const call = hit()
        if (call === undefined) break
        const what = `refused statement ${n}: ${call.node} ${call.sql}`
        expect(failure, what).toBeInstanceOf(OperationError)
        expect(failure?.message, what).toContain(call.node)
        expect(failure?.message, what).toContain('rolled back')
        expect(failure?.summary.state, what).toBe('rolled_back')
        expect(await stateOf(observer, nodes.ids), what).toEqual(before)
      }
      // The plan had more than a handful of commands, and the last round went through.
      expect(n).toBeGreaterThan(15)
      await table(observer, 'users').drop(observer.queue)
    },
    LOOP_TIMEOUT_MS,
  )

  it.each(['lost request', 'lost reply'] as const)(
    'succeeds when there is a %s with any statement of a create or drop, journal included',
    async (trouble) => {
      for (let n = 1; ; n++) {
        const { member, hit } = memberWithTrouble(nodes.ids, n, trouble, () => true)
        const created = await table(member, 'users').shard(member.queue, 2, 2)
        const complete = await stateOf(observer, nodes.ids)
        const dropped = await table(member, 'users').drop(member.queue)
        const after = await stateOf(observer, nodes.ids)
        await member.close()
        const what = `${trouble} of statement ${n}: ${hit()?.node} ${hit()?.sql}`
        expect([created.state, dropped.state], what).toEqual(['succeeded', 'succeeded'])
        expect(complete.filter((line) => / table (system\.)?users/.test(line)).length, what).toBe(7)
        expect(
          after.filter((line) => line.includes('users')),
          what,
        ).toEqual([])
        if (hit() === undefined) break
      }
    },
    LOOP_TIMEOUT_MS,
  )

  it('puts a table back when its drop fails before the point of no return', async () => {
    await table(observer, 'kept').shard(observer.queue, 2, 2)
    const before = await stateOf(observer, nodes.ids)
    for (let n = 1; n <= 4; n++) {
      const { member, hit } = memberWithTrouble(nodes.ids, n, 'refused', (sql) => !isJournal(sql))
      const failure = await failureOf(table(member, 'kept').drop(member.queue))
      await member.close()
      expect(failure?.summary.state, hit()?.sql).toBe('rolled_back')
      expect(await stateOf(observer, nodes.ids), hit()?.sql).toEqual(before)
    }
  })

  it('finishes a drop behind the point of no return, whatever is refused once', async () => {
    const { member, hit } = memberWithTrouble(nodes.ids, 5, 'refused', (sql) => !isJournal(sql))
    const summary = await table(member, 'kept').drop(member.queue)
    await member.close()
    expect(hit()?.sql).toContain('ALTER CLUSTER')
    expect(summary.state).toBe('succeeded')
    expect((await stateOf(observer, nodes.ids)).filter((line) => line.includes('kept'))).toEqual([])
  })
})

async function failureOf(operation: Promise<unknown>): Promise<OperationError | undefined> {
  try {
    await operation
    return undefined
  } catch (error) {
    if (error instanceof OperationError) return error
    throw error
  }
}
