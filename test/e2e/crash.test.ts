import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { OperationType } from '../../src/domain/operation.ts'
import { EmbeddedCluster } from '../../src/embedded/index.ts'
import { Table } from '../../src/library/table.ts'
import { type Call, FaultyConnector, type Trouble } from '../support/faulty-connector.ts'
import { fastClock, type Member, openMember } from '../support/member.ts'
import { againstRealNodes, startNodes } from '../support/nodes.ts'
import { stateOf } from '../support/state-of.ts'

/** Leases and waits pass this many times faster; not on real daemons, whose statements take their own time. */
const SPEED = againstRealNodes ? 1 : 20
/** Real daemons and real leases are slow: there, every so-manieth statement is the last one. */
const STRIDE = againstRealNodes ? 7 : 1
const NODES = 3

interface Scenario {
  readonly name: string
  /** What stands before. */
  prepare?(member: Member): Promise<void>
  act(member: Member): Promise<unknown>
  readonly type: OperationType
  /** Rows of the placement when it has succeeded. */
  readonly placements: number
  /** Statements that fail for good on the way. */
  readonly refuse?: (sql: string) => boolean
}

const table = (member: Member, name: string) =>
  new Table(member.client, member.cluster, name, 'title text, n int')

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'a create with copies',
    type: 'create',
    placements: 6,
    act: async (member) => await table(member, 'users').shard(member.queue, 3, 2),
  },
  {
    name: 'a create that fails at its end and is undone',
    type: 'create',
    placements: 6,
    act: async (member) =>
      await table(member, 'users')
        .shard(member.queue, 2, 3)
        .catch(() => undefined),
    refuse: (sql) => sql.startsWith('INSERT INTO c:system.sharding_table'),
  },
  {
    name: 'a drop',
    type: 'drop',
    placements: 0,
    prepare: async (member) => {
      await table(member, 'users').shard(member.queue, 3, 2)
    },
    act: async (member) => await table(member, 'users').drop(member.queue),
  },
]

/** Runs the scenario with a process that dies at its `n`-th statement; false when it got through alive. */
async function runAndDie(
  ids: readonly string[],
  scenario: Scenario,
  n: number,
  how: Trouble,
): Promise<{ died: boolean; call: Call | undefined }> {
  let faulty: FaultyConnector | undefined
  const member = openMember(ids, {
    clock: fastClock(SPEED),
    wrap: (inner) => {
      faulty = new FaultyConnector(inner, ({ number, sql }) =>
        number === n ? how : scenario.refuse?.(sql) === true ? 'refused' : undefined,
      )
      return faulty
    },
  })
  if (faulty === undefined) throw new Error('no connector was made')
  const acted = scenario.act(member).then(() => 'alive' as const)
  const ended = await Promise.race([acted, faulty.died.then(() => 'died' as const)])
  if (ended === 'alive') await member.close()
  return { died: ended === 'died', call: faulty.calls[n - 1] }
}

/** After recovery every operation has ended, and what it left is all of it or nothing. */
async function expectWhole(
  ids: readonly string[],
  before: readonly string[],
  scenario: Scenario,
  what: string,
): Promise<void> {
  const member = openMember(ids, { clock: fastClock(SPEED) })
  try {
    await member.cluster.recover()
    expect(await member.cluster.openOperations(), what).toEqual([])
    const after = await stateOf(member, ids)
    const ended = await member.cluster.journal.operations(['succeeded', 'rolled_back'])
    const state = ended.find(({ type }) => type === scenario.type)?.state
    if (state === 'succeeded') expect(placementsIn(after), what).toBe(scenario.placements)
    else expect(after, what).toEqual(before)
    await expectUsable(member, ids, what)
  } finally {
    await member.close()
  }
}

function placementsIn(state: readonly string[]): number {
  return state.filter((line) => line.startsWith('placement')).length
}

/** Whatever happened, the next table can be made and dropped. */
async function expectUsable(member: Member, ids: readonly string[], what: string): Promise<void> {
  const before = (await stateOf(member, ids)).filter(
    (line) => !line.includes(' system.rs_') && !line.includes('cluster rs_'),
  )
  const next = table(member, 'next')
  expect((await next.shard(member.queue, 2, 2)).state, what).toBe('succeeded')
  expect((await next.drop(member.queue)).state, what).toBe('succeeded')
  const after = (await stateOf(member, ids)).filter(
    (line) => !line.includes(' system.rs_') && !line.includes('cluster rs_'),
  )
  expect(after, what).toEqual(before)
}

describe('a process that dies', () => {
  for (const scenario of SCENARIOS) {
    for (const how of ['death before', 'death after'] as const) {
      it(`during ${scenario.name}, ${how} every statement in turn: the next process finishes or undoes it`, async () => {
        for (let n = 1; ; n += STRIDE) {
          const nodes = await startNodes(NODES, 'c')
          try {
            const preparing = openMember(nodes.ids)
            await scenario.prepare?.(preparing)
            const before = await stateOf(preparing, nodes.ids)
            await preparing.close()
            const { died, call } = await runAndDie(nodes.ids, scenario, n, how)
            await expectWhole(
              nodes.ids,
              before,
              scenario,
              `${how} statement ${n}: ${call?.node} ${call?.sql}`,
            )
            if (!died) break
          } finally {
            await nodes.close()
          }
        }
      }, 1_200_000)
    }
  }

  it.skipIf(againstRealNodes)(
    'together with all nodes, after every statement in turn: the same folder started again is whole',
    async () => {
      const scenario = SCENARIOS[1]
      if (scenario === undefined) throw new Error('no scenario')
      for (let n = 1; ; n++) {
        const dataDir = await mkdtemp(join(tmpdir(), 'mshard-crash-'))
        try {
          const died = await expectWholeAfterCrashOfAll(dataDir, scenario, n)
          if (!died) break
        } finally {
          await rm(dataDir, { recursive: true, force: true })
        }
      }
    },
    600_000,
  )
})

/** False when the scenario was over before statement `n`. */
async function expectWholeAfterCrashOfAll(dataDir: string, scenario: Scenario, n: number): Promise<boolean> {
  const first = await EmbeddedCluster.start({ nodes: NODES, cluster: 'c', dataDir })
  const ids = first.nodes.map(({ id }) => id)
  const observer = openMember(ids)
  const before = await stateOf(observer, ids)
  await observer.close()
  const { died, call } = await runAndDie(ids, scenario, n, 'death after')
  for (const id of ids) await first.crash(id)
  const second = await EmbeddedCluster.start({ dataDir })
  try {
    expect(second.nodes.map(({ id }) => id)).toEqual(ids)
    await expectWhole(
      ids,
      before,
      scenario,
      `everything died after statement ${n}: ${call?.node} ${call?.sql}`,
    )
  } finally {
    await second.close()
    await first.close()
  }
  return died
}
