import { describe, expect, it } from 'vitest'
import {
  type Answer,
  EMPTY_REPLY,
  fixedRandom,
  JumpingClock,
  ScriptedConnector,
} from '../../test/support/engine-doubles.ts'
import { JournalConnection, UncertainFailure } from './journal-connection.ts'
import { equals, select, update } from './where.ts'

const NODES = ['10.0.0.1:9312', '10.0.0.2:9312', '10.0.0.3:9312']
const WRITE = update({ cluster: 'c', name: 'system.sharding_queue' }, { tries: 1 }, equals('id', 1))
const READ = select('system.sharding_queue', equals('id', 1), { limit: 1 })

function connected(...answers: readonly Answer[]) {
  const clock = new JumpingClock()
  const connector = new ScriptedConnector(...answers)
  const connection = new JournalConnection(connector, () => NODES, clock, fixedRandom())
  return { clock, connector, connection, asked: () => connector.sent.map(({ node }) => node) }
}

describe('a journal statement', () => {
  it('goes to the same node as long as it answers', async () => {
    const { connection, asked } = connected('ok')
    for (let n = 0; n < 3; n++) await connection.write(WRITE)
    expect(asked()).toEqual([NODES[0], NODES[0], NODES[0]])
  })

  it.each(['unreachable', 'not_primary', 'busy'] as const)(
    'goes to the next node after %s, stays there, and is certain',
    async (trouble) => {
      const { connection, asked } = connected(trouble, 'ok')
      expect(await connection.write(WRITE)).toEqual({ total: 0, certain: true })
      await connection.write(WRITE)
      expect(asked()).toEqual([NODES[0], NODES[1], NODES[1]])
    },
  )

  it('goes to the next node once when it fails together with others', async () => {
    const { connection, asked } = connected('unreachable', 'unreachable', 'unreachable', 'ok')
    await Promise.all([connection.write(WRITE), connection.write(WRITE), connection.write(WRITE)])
    expect(asked()).toEqual([NODES[0], NODES[0], NODES[0], NODES[1], NODES[1], NODES[1]])
  })

  it('is sent again to the same node after a conflict: nothing is wrong with it', async () => {
    const { connection, asked } = connected('conflict', 'ok')
    expect(await connection.write(WRITE)).toEqual({ total: 0, certain: true })
    expect(asked()).toEqual([NODES[0], NODES[0]])
  })

  it('comes round to the first node again', async () => {
    const { connection, asked } = connected('unreachable', 'unreachable', 'unreachable', 'ok')
    await connection.write(WRITE)
    expect(asked()).toEqual([...NODES, NODES[0]])
  })

  it('is uncertain once an answer was lost', async () => {
    const { connection } = connected('outcome_unknown', 'conflict', 'ok')
    expect(await connection.write(WRITE)).toEqual({ total: 0, certain: false })
  })

  it('that is refused says so at once', async () => {
    const { connection, asked } = connected('duplicate')
    await expect(connection.write(WRITE)).rejects.toMatchObject({ code: 'duplicate' })
    expect(asked()).toHaveLength(1)
  })

  it('that is refused after a lost answer may have had its effect', async () => {
    const { connection } = connected('outcome_unknown', 'duplicate')
    const error: unknown = await connection.write(WRITE).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(UncertainFailure)
    expect(error).toMatchObject({ cause: { code: 'duplicate' } })
  })

  it('is given up after half a minute', async () => {
    const { connection, clock } = connected('unreachable')
    await expect(connection.write(WRITE)).rejects.toMatchObject({ code: 'unreachable' })
    expect(clock.now()).toBeGreaterThanOrEqual(30_000)
    expect(clock.now()).toBeLessThan(32_000)
  })

  it('that is given up after a lost answer does not claim that nothing happened', async () => {
    const { connection } = connected('outcome_unknown', 'unreachable')
    await expect(connection.write(WRITE)).rejects.toMatchObject({ code: 'outcome_unknown' })
  })

  it('with a signal is sent until that is aborted', async () => {
    const { connection, clock } = connected('busy')
    const lease = new AbortController()
    const sleep = clock.sleep.bind(clock)
    clock.sleep = async (ms, signal) => {
      if (clock.now() > 3_600_000) lease.abort(new Error('the lease is lost'))
      await sleep(ms, signal)
    }
    await expect(connection.write(WRITE, lease.signal)).rejects.toThrow('the lease is lost')
    expect(clock.now()).toBeGreaterThan(3_600_000)
  })

  it('waits at most a second between two tries', async () => {
    const { connection, clock } = connected('busy')
    await expect(connection.read(READ)).rejects.toMatchObject({ code: 'busy' })
    expect(Math.max(...clock.slept)).toBeLessThanOrEqual(1_000)
    expect(clock.slept.length).toBeGreaterThan(30)
  })

  it('has to have a node', async () => {
    const connection = new JournalConnection(
      new ScriptedConnector(),
      () => [],
      new JumpingClock(),
      fixedRandom(),
    )
    await expect(connection.read(READ)).rejects.toMatchObject({ code: 'closed' })
  })

  it('that reads gives back what the node says', async () => {
    const { connection } = connected('ok')
    expect(await connection.read(READ)).toEqual(EMPTY_REPLY)
  })
})
