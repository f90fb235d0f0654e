import { describe, expect, it } from 'vitest'
import type { Operation } from '../../src/domain/operation.ts'
import { EmbeddedCluster } from '../../src/embedded/index.ts'
import { FaultyConnector } from '../support/faulty-connector.ts'
import { fastClock, type Member, openMember } from '../support/member.ts'
import {
  everything,
  expectWhole,
  LOOP_TIMEOUT_MS,
  REBALANCE,
  SPEED,
  stageFor,
  type Stage,
  summaryOf,
  usersTable,
  type Worker,
  workerThatWaitsAt,
} from '../support/moves.ts'
import { againstRealNodes } from '../support/nodes.ts'

const STRIDE = againstRealNodes ? 7 : 1
/** Plays `ask` when a rebalance is about to send its n-th statement; false when it never came to that. */
async function atStatement(
  n: number,
  play: (stage: Stage, worker: Worker, other: Member, moved: Promise<{ state: string }>) => Promise<void>,
): Promise<boolean> {
  await using stage = await stageFor(REBALANCE)
  const worker = workerThatWaitsAt(stage, n)
  const other = openMember(stage.nodes.ids, { clock: fastClock(SPEED) })
  const moved = summaryOf(REBALANCE.move(worker.member, stage.nodes))
  const first = await Promise.race([worker.reached.then(() => 'reached'), moved.then(() => 'over')])
  if (first === 'reached') await play(stage, worker, other, moved)
  await other.close()
  await worker.member.close()
  return first === 'reached'
}

/** What was asked for, or why it could not be. */
async function asked(request: Promise<Operation>): Promise<string> {
  try {
    return (await request).state
  } catch (error) {
    if (error instanceof Error && 'code' in error) return String(error.code)
    throw error
  }
}

describe('a rebalance, at every statement', () => {
  it(
    'is paused from another process, sends nothing while it is paused, and goes on to its end',
    async () => {
      let paused = 0
      for (let n = 1; ; n += STRIDE) {
        const going = await atStatement(n, async (stage, worker, other, moved) => {
          const request = asked(usersTable(other).pauseRebalancing())
          worker.goOn()
          const reached = await request
          if (reached === 'paused') {
            paused++
            const before = worker.sent.length
            const progress = await usersTable(other).getRebalancingProgress()
            expect(progress).toMatchObject({ status: 'paused', canResume: true, canPause: false })
            // Several looks of the leader into the journal go by.
            await other.client.parts.clock.sleep(2_000)
            expect(worker.sent.length, `paused at statement ${n}`).toBe(before)
            await usersTable(other).resumeRebalancing()
          } else expect(['succeeded', 'illegal_transition', 'operation_missing']).toContain(reached)
          expect((await moved).state).toBe('succeeded')
          await expectWhole(stage, `paused at statement ${n}`)
        })
        if (!going) break
      }
      expect(paused).toBeGreaterThan(againstRealNodes ? 0 : 8)
    },
    LOOP_TIMEOUT_MS,
  )

  it.each([
    { how: 'gracefully', graceful: true },
    { how: 'at once', graceful: false },
  ])(
    'is stopped $how: put back as it was before the point of no return, refused behind it',
    async ({ graceful }) => {
      let stopped = 0
      for (let n = 1; ; n += STRIDE) {
        const going = await atStatement(n, async (stage, worker, other, moved) => {
          const request = asked(usersTable(other).stopRebalancing(graceful))
          // The request stands in the journal before the statement goes on.
          await other.client.parts.clock.sleep(500)
          worker.goOn()
          const reached = await request
          const { state } = await moved
          const what = `stopped at statement ${n}: ${worker.sent[n - 1]}`
          if (reached === 'rolled_back') {
            stopped++
            expect(state, what).toBe('rolled_back')
            expect(await everything(stage.observer, stage.nodes), what).toEqual(stage.before)
          } else {
            expect(['illegal_transition', 'operation_missing'], what).toContain(reached)
            expect(state, what).toBe('succeeded')
          }
          await expectWhole(stage, what)
        })
        if (!going) break
      }
      expect(stopped).toBeGreaterThan(againstRealNodes ? 0 : 8)
    },
    LOOP_TIMEOUT_MS,
  )
})

describe('a paused rebalance', () => {
  it('stays paused when its process dies, and is resumed by another one', async () => {
    await using stage = await stageFor(REBALANCE)
    let faulty: FaultyConnector | undefined
    let isDead = false
    const member = openMember(stage.nodes.ids, {
      clock: fastClock(SPEED),
      wrap: (inner) => (faulty = new FaultyConnector(inner, () => (isDead ? 'death before' : undefined))),
    })
    const other = openMember(stage.nodes.ids, { clock: fastClock(SPEED) })
    const started = Promise.withResolvers<void>()
    member.cluster.progress.subscribe((event) => {
      if (event.kind === 'command') started.resolve()
    })
    void REBALANCE.move(member, stage.nodes).catch(() => undefined)
    await started.promise
    expect((await usersTable(other).pauseRebalancing()).state).toBe('paused')
    isDead = true
    await faulty?.died
    await other.cluster.recover()
    expect((await usersTable(other).getRebalancingProgress()).status).toBe('paused')
    await usersTable(other).resumeRebalancing()
    for (;;) {
      const { status } = await usersTable(other).getRebalancingProgress()
      if (status === 'succeeded') break
      expect(['running', 'finishing']).toContain(status)
      await other.client.parts.clock.sleep(100)
    }
    await other.close()
    await expectWhole(stage, 'resumed elsewhere')
  }, 60_000)
})

describe('the parts of a rebalance', () => {
  const TWO_MOVES = { ...REBALANCE, comers: 3 }

  it('that are finished stay when a later one fails, if that is wanted', async () => {
    await using stage = await stageFor(TWO_MOVES)
    const plan = await usersTable(stage.observer).planRebalance()
    const parts = Math.max(...plan.commands.map(({ savepoint }) => savepoint))
    expect(parts).toBeGreaterThan(1)
    const lastSwitch = plan.commands.findLast(({ key }) => key.startsWith('switch'))
    let switches = 0
    const member = openMember(stage.nodes.ids, {
      clock: fastClock(SPEED),
      wrap: (inner) =>
        new FaultyConnector(inner, ({ node, sql }) => {
          if (node !== lastSwitch?.node || !sql.startsWith('CREATE TABLE users')) return undefined
          switches++
          return switches === parts ? 'refused' : undefined
        }),
    })
    const summary = await usersTable(member).rebalance(member.queue, { keepFinished: true })
    await member.close()
    expect(summary.state).toBe('succeeded')
    expect(summary.error).toContain('injected')
    expect(summary.rolledBack).toBeGreaterThan(0)
    expect(summary.skipped).toBeGreaterThan(0)
    await expectWhole(stage, 'the first part stays')
    // Only what is missing moves next time.
    const next = await usersTable(stage.observer).planRebalance()
    expect(Math.max(...next.commands.map(({ savepoint }) => savepoint))).toBe(1)
  }, 60_000)

  it('behind a savepoint are undone on request, and those before it are finished', async () => {
    await using stage = await stageFor(TWO_MOVES)
    // The first part switches all six nodes; the third switch of the second part waits.
    const isSwitch = (sql: string) => sql.startsWith('DROP TABLE IF EXISTS users OPTION')
    const worker = workerThatWaitsAt(stage, 9, isSwitch)
    const moved = summaryOf(usersTable(worker.member).rebalance(worker.member.queue))
    await worker.reached
    const other = openMember(stage.nodes.ids, { clock: fastClock(SPEED) })
    const paused = usersTable(other).pauseRebalancing()
    worker.goOn()
    await paused
    const { savepoint } = await usersTable(other).getRebalancingProgress()
    if (savepoint.finished === 0) {
      await expect(usersTable(other).rollbackRebalancingTo(1)).rejects.toMatchObject({
        code: 'invalid_input',
      })
      await usersTable(other).resumeRebalancing()
    } else {
      await usersTable(other).rollbackRebalancingTo(savepoint.finished)
    }
    expect((await moved).state).toBe('succeeded')
    await other.close()
    await worker.member.close()
    await expectWhole(stage, 'rolled back to a savepoint')
  }, 60_000)

  it('all go back when the finished operation is reverted', async () => {
    await using stage = await stageFor(TWO_MOVES)
    const { cluster, queue } = stage.observer
    const holders = async () =>
      (await cluster.observe()).placements.map(({ replicaSet, node }) => `${replicaSet} ${node}`).toSorted()
    const atFirst = await holders()
    const { group } = await usersTable(stage.observer).rebalance(queue)
    expect(await holders()).not.toEqual(atFirst)
    expect((await cluster.revert(group)).state).toBe('succeeded')
    expect(await holders()).toEqual(atFirst)
    await expectWhole(stage, 'reverted')
    await expect(cluster.revert(group)).rejects.toMatchObject({ code: 'invalid_input' })
  }, 60_000)
})

describe('a table dropped with a hold', () => {
  it('keeps its name, comes back with all rows, and goes for good when the hold is over', async () => {
    await using stage = await stageFor({ ...REBALANCE, comers: 0 })
    const { observer, before } = stage
    const table = usersTable(observer)
    expect((await table.drop(observer.queue, { holdMs: 3_600_000 })).state).toBe('held')
    await expect(table.shard(observer.queue, 2, 2)).rejects.toThrow(/was dropped with a hold until .*undrop/)
    expect((await table.undrop(observer.queue)).state).toBe('rolled_back')
    expect(await everything(observer, stage.nodes)).toEqual(before)
    await expectWhole(stage, 'brought back')
    await expect(table.undrop(observer.queue)).rejects.toMatchObject({ code: 'operation_missing' })

    await table.drop(observer.queue, { holdMs: 1_000 })
    await observer.client.parts.clock.sleep(1_100)
    await observer.cluster.recover()
    while ((await observer.cluster.openOperations()).length > 0) await observer.client.parts.clock.sleep(20)
    const left = (await everything(observer, stage.nodes)).filter((line) => line.includes('users'))
    expect(left).toEqual([])
    expect((await table.shard(observer.queue, 2, 2)).state).toBe('succeeded')
  }, 60_000)
})

describe('a statement in flight when its operation is reverted at once', () => {
  it.skipIf(againstRealNodes)('leaves nothing behind', async () => {
    const nodes = await EmbeddedCluster.start({ nodes: 2, cluster: 'c', dataDir: ':memory:' })
    const member = openMember(nodes.nodes.map(({ id }) => id))
    const node = nodes.nodes[1]?.id ?? ''
    const arrived = Promise.withResolvers<void>()
    nodes.faults.add({
      node,
      when: (statement) => {
        const isIt = statement.kind === 'create_table' && statement.table.name === 'slow'
        if (isIt) arrived.resolve()
        return isIt
      },
      effect: { kind: 'delay', ms: 300, before: true },
    })
    await member.queue.add(node, 'CREATE TABLE slow (n int)', 'DROP TABLE IF EXISTS slow', 'g')
    const processed = member.queue.process('g').catch((error: unknown) => error)
    await arrived.promise
    expect((await member.queue.rollbackOperationGroup('g')).state).toBe('rolled_back')
    await processed
    expect(await member.client.parts.catalog.hasTable(node, 'slow')).toBe(false)
    await member.close()
    await nodes.close()
  })
})

describe('the state of rebalancing', () => {
  it('is idle at first and after a reset, and says what is allowed', async () => {
    await using stage = await stageFor(REBALANCE)
    const table = usersTable(stage.observer)
    expect(await table.getRebalancingProgress()).toMatchObject({
      status: 'idle',
      canStop: false,
      canPause: false,
    })
    await expect(table.pauseRebalancing()).rejects.toMatchObject({ code: 'operation_missing' })
    const { group, commands } = await table.rebalance(stage.observer.queue)
    const done = await table.getRebalancingProgress()
    expect(done).toMatchObject({ status: 'succeeded', operation: group, percentage: 100, remainingMs: 0 })
    expect(done.commands).toMatchObject({ total: commands, processed: commands, failed: 0 })
    expect(done.bytes.total).toBeGreaterThan(0)
    expect(done.bytes.copied).toBe(done.bytes.total)
    await table.resetRebalancingState()
    expect(await table.getRebalancingProgress()).toMatchObject({ status: 'idle', operation: '' })
  }, 60_000)
})
