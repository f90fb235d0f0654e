import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Metrics } from '../../src/api/metrics.ts'
import { observabilityApp } from '../../src/api/observability.ts'
import { readinessOf } from '../../src/api/readiness.ts'
import { measured } from '../../src/app/measured-connector.ts'
import { Table } from '../../src/library/table.ts'
import { FaultyConnector } from '../support/faulty-connector.ts'
import { fastClock, type Member, openMember } from '../support/member.ts'
import { againstRealNodes, startNodes, type TestNodes } from '../support/nodes.ts'
import { writeRows } from '../support/rows.ts'

const SHARDS = 4
const ROWS = 100
const TIMEOUT_MS = againstRealNodes ? 300_000 : 30_000

describe('what a service tells of itself', () => {
  let nodes: TestNodes
  let member: Member
  let metrics: Metrics
  /** Beginning of a statement that is refused from now on. */
  let refused: string | undefined
  const clock = fastClock(1)

  beforeAll(async () => {
    nodes = await startNodes(3, 'c')
    member = openMember(nodes.ids, {
      clock,
      wrap: (inner) =>
        measured(
          new FaultyConnector(inner, ({ sql }) =>
            refused !== undefined && sql.startsWith(refused) ? 'refused' : undefined,
          ),
          (request) => metrics.observeRequest(request),
        ),
    })
    metrics = new Metrics({
      clock,
      version: '1.2.3',
      backlog: async (signal) => await member.cluster.journal.backlog(signal),
    })
    member.cluster.progress.subscribe((event) => metrics.observe(event))
  }, TIMEOUT_MS)

  afterAll(async () => {
    await member.close()
    await nodes.close()
  })

  const tableOf = (name: string) => new Table(member.client, member.cluster, name, 'title text, n int')
  const app = () => observabilityApp({ metrics, ready: readinessOf(member.cluster) })

  async function sample(name: string): Promise<number> {
    const text = await (await app().request('/metrics')).text()
    const line = text.split('\n').find((found) => found.startsWith(`${name} `))
    return line === undefined ? Number.NaN : Number(line.slice(name.length))
  }

  it(
    'is unready without a journal to read, and ready as soon as there is one',
    async () => {
      const before = await app().request('/readyz')
      expect(before.status).toBe(503)
      expect(await before.json()).toMatchObject({
        ready: false,
        reason: expect.stringContaining('sharding_'),
      })
      expect(await sample('mshard_journal_up')).toBe(0)
      await member.cluster.ready()
      expect((await app().request('/readyz')).status).toBe(200)
      expect(await sample('mshard_journal_up')).toBe(1)
    },
    TIMEOUT_MS,
  )

  it(
    'counts a table that is made, one that fails and is undone, and one whose copies move',
    async () => {
      await tableOf('users').shard(member.queue, SHARDS, 2)
      expect(await sample('mshard_operations_total{type="create",state="succeeded"}')).toBe(1)
      const created = 'mshard_commands_total{kind="create_table",status="processed",outcome="applied"}'
      const createdBefore = await sample(created)
      expect(createdBefore).toBeGreaterThanOrEqual(2 * SHARDS + nodes.ids.length)
      expect(await sample('mshard_command_duration_seconds_count{kind="create_table"}')).toBeGreaterThan(0)
      const [first = ''] = nodes.ids
      const asked = `mshard_request_duration_seconds_count{node="${first}",kind="execute"}`
      expect(await sample(asked)).toBeGreaterThan(SHARDS)

      refused = 'CREATE TABLE others '
      const failure: unknown = await tableOf('others')
        .shard(member.queue, SHARDS, 2)
        .catch((error: unknown) => error)
      refused = undefined
      expect(failure).toBeInstanceOf(Error)
      expect(await sample('mshard_operations_total{type="create",state="rolled_back"}')).toBe(1)
      expect(await sample('mshard_rollbacks_total{result="rolled_back"}')).toBe(1)
      expect(await sample('mshard_rollback_duration_seconds_count')).toBe(1)
      expect(await sample('mshard_rollbacks_in_progress')).toBe(0)
      const undone = 'mshard_commands_total{kind="create_table",status="rolled_back",outcome="applied"}'
      expect(await sample(undone)).toBeGreaterThan(0)
      expect(await sample('mshard_open_commands{status="created"}')).toBe(0)
      expect(await sample('mshard_moves_total')).toBe(0)
      // A table that is made was not there before: that is no gap.
      expect(await sample('mshard_gaps_seconds_count')).toBe(0)

      await writeRows(member, first, 'users', ROWS)
      await nodes.addNode()
      await member.cluster.rebalance()
      expect(await sample('mshard_moves_total')).toBeGreaterThan(0)
      expect(await sample('mshard_moved_bytes_total')).toBeGreaterThan(0)
      expect(await sample('mshard_gaps_seconds_count')).toBeGreaterThan(0)
      await tableOf('users').drop(member.queue)
    },
    TIMEOUT_MS,
  )
})
