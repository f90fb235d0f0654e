import { describe, expect, it } from 'vitest'
import { messageOf } from '../../src/domain/errors.ts'
import type { NodeConnector } from '../../src/domain/ports.ts'
import { EmbeddedCluster } from '../../src/embedded/index.ts'
import { Table } from '../../src/library/table.ts'
import { fastClock, type Member, openMember } from '../support/member.ts'
import { writeRows } from '../support/rows.ts'

const usersOf = (member: Member) => new Table(member.client, member.cluster, 'users', 'title text, n int')

/** Three nodes with a table and a fourth that has just come; copies take a while. */
async function stage(joinMs: number, { comers } = { comers: 1 }) {
  const joins = new Joins()
  const nodes = await EmbeddedCluster.start({
    nodes: 3,
    cluster: 'c',
    dataDir: ':memory:',
    latency: { joinMs },
  })
  const member = openMember(
    nodes.nodes.map(({ id }) => id),
    { clock: fastClock(2), wrap: (connector) => joins.watch(connector) },
  )
  const table = usersOf(member)
  await table.shard(member.queue, 8, 2)
  await writeRows(member, nodes.nodes[0]?.id ?? '', 'users', 40)
  const added: string[] = []
  for (let comer = 0; comer < comers; comer++) added.push((await nodes.addNode({ join: true })).id)
  joins.forget()
  return {
    nodes,
    joins,
    member,
    table,
    comer: added[0] ?? '',
    [Symbol.asyncDispose]: async () => {
      await member.close()
      await nodes.close()
    },
  }
}

describe('moving copies', () => {
  it('keeps to the limit of copies in all, and takes a higher one on while it runs', async () => {
    await using test = await stage(2_000, { comers: 2 })
    const { member, table, joins } = test
    await member.cluster.setThrottle({ movesInAll: 1, movesPerNode: 1 })
    const moved = table.rebalance(member.queue)
    await joins.count(1)
    await member.client.parts.clock.sleep(500)
    expect(joins.begun).toBe(1)
    await member.cluster.setThrottle({ movesInAll: 2 })
    expect((await moved).state).toBe('succeeded')
    expect(joins.begun).toBeGreaterThan(1)
    expect(joins.most).toBe(2)
  }, 60_000)

  it('waits for a node that answers slowly, and goes on when it is quick again', async () => {
    await using test = await stage(0)
    const { member, table, nodes, comer } = test
    await member.cluster.setThrottle({ maxLatencyMs: 100 })
    const slow = nodes.faults.add({
      node: comer,
      when: (_, sql) => sql.includes("LIKE 'uptime'"),
      effect: { kind: 'delay', ms: 60, before: true },
      times: 1_000,
    })
    const held = Promise.withResolvers<void>()
    const stop = member.cluster.progress.subscribe((event) => {
      if (event.kind === 'command' && /limit for taking copies/.test(event.command.lastError)) held.resolve()
    })
    const moved = table.rebalance(member.queue)
    await Promise.race([held.promise, moved.then(() => expect.unreachable('it did not wait'))])
    expect((await table.getRebalancingProgress()).bytes.copied).toBe(0)
    slow.remove()
    expect((await moved).state).toBe('succeeded')
    stop()
  }, 60_000)

  it('shows how far a copy is while it is made', async () => {
    await using test = await stage(1_500)
    const { member, table } = test
    const over = new AbortController()
    const moved = table.rebalance(member.queue).finally(() => over.abort())
    const seen = new Set<number>()
    while (!over.signal.aborted) {
      const { bytes, status } = await table.getRebalancingProgress()
      if (status === 'running' && bytes.copied < bytes.total) seen.add(bytes.copied)
      await member.client.parts.clock.sleep(100)
    }
    await moved
    // Between nothing and all there is one step a copy that has ended; the others were seen while one was made.
    expect(seen.size).toBeGreaterThan(test.joins.begun)
    const { bytes, percentage, remainingMs } = await table.getRebalancingProgress()
    expect({ copied: bytes.copied, percentage, remainingMs }).toEqual({
      copied: bytes.total,
      percentage: 100,
      remainingMs: 0,
    })
  }, 60_000)

  it('is stopped and undone by a stop_signal that any client writes', async () => {
    await using test = await stage(500)
    const { member, table, nodes } = test
    const moved = table.rebalance(member.queue)
    const failure = moved.then(() => '', messageOf)
    await test.joins.count(1)
    const [first] = nodes.nodes
    const { connector } = member.client.parts
    await connector
      .connection(first?.id ?? '')
      .execute(`UPDATE c:system.sharding_state SET value='{"graceful":0}' WHERE key='stop_signal:users'`, {
        timeoutMs: 5_000,
      })
    expect(await failure).toContain('stop_signal:users')
    expect((await table.getRebalancingProgress()).status).toBe('rolled_back')
    expect(await member.cluster.stopSignals.get('users')).toBeUndefined()
    // The next one is not stopped by what stood there.
    expect((await table.rebalance(member.queue)).state).toBe('succeeded')
  }, 60_000)
})

/** JOINs that are sent, and how many of them at the same time. */
class Joins {
  begun = 0
  most = 0
  #underWay = 0
  #onBegun = Promise.withResolvers<void>()

  watch(inner: NodeConnector): NodeConnector {
    return {
      connection: (node) => {
        const connection = inner.connection(node)
        return {
          node,
          read: async (sql, options) => await connection.read(sql, options),
          execute: async (sql, options) => {
            if (!sql.startsWith('JOIN CLUSTER')) return await connection.execute(sql, options)
            this.#begin()
            try {
              return await connection.execute(sql, options)
            } finally {
              this.#underWay--
            }
          },
          close: async () => await connection.close(),
        }
      },
      close: async () => await inner.close(),
    }
  }

  /** Resolves when so many have been sent. */
  async count(wanted: number): Promise<void> {
    while (this.begun < wanted) await this.#onBegun.promise
  }

  /** Those of the making of the table. */
  forget(): void {
    this.begun = 0
    this.most = 0
  }

  #begin(): void {
    this.begun++
    this.#underWay++
    this.most = Math.max(this.most, this.#underWay)
    this.#onBegun.resolve()
    this.#onBegun = Promise.withResolvers()
  }
}
