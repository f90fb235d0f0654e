import { expect } from 'vitest'
import { OperationError, type OperationSummary } from '../../src/library/operation-error.ts'
import { Table } from '../../src/library/table.ts'
import { planClean, planReroute } from '../../src/planning/plan-reroute.ts'
import { type Call, FaultyConnector, type Trouble } from './faulty-connector.ts'
import { fastClock, type Member, openMember } from './member.ts'
import { againstRealNodes, startNodes, type TestNodes } from './nodes.ts'
import { rowsThrough, writeRows } from './rows.ts'
import { stateOf } from './state-of.ts'

/** Waits pass this many times faster; not on real daemons, whose statements take their own time. */
export const SPEED = againstRealNodes ? 1 : 20
export const LOOP_TIMEOUT_MS = againstRealNodes ? 1_800_000 : 300_000
const ROWS = 60
const SHARDS = 4

export const usersTable = (member: Member) =>
  new Table(member.client, member.cluster, 'users', 'title text, n int')

/** An operation that moves copies, and what stands before it. */
export interface Scenario {
  readonly name: string
  readonly nodes: number
  readonly rf: number
  /** Nodes that come before the move. */
  readonly comers: number
  move(member: Member, nodes: TestNodes): Promise<OperationSummary>
}

export const REBALANCE: Scenario = {
  name: 'a rebalance with rf 2',
  nodes: 3,
  rf: 2,
  comers: 1,
  move: async (member) => await usersTable(member).rebalance(member.queue),
}

export const SCENARIOS: readonly Scenario[] = [
  REBALANCE,
  {
    name: 'a rebalance with rf 1',
    nodes: 2,
    rf: 1,
    comers: 1,
    move: async (member) => await usersTable(member).rebalance(member.queue),
  },
  {
    name: 'a drain with rf 2',
    nodes: 4,
    rf: 2,
    comers: 0,
    move: async (member, nodes) => await member.cluster.drain([nodes.ids[3] ?? '']),
  },
]

/** Nodes with a table and rows, right before a move. */
export interface Stage extends AsyncDisposable {
  readonly nodes: TestNodes
  readonly observer: Member
  /** Everything on all nodes before the move. */
  readonly before: readonly string[]
  readonly rows: readonly string[]
  /** Sharded tables that are not as the placement says already before it: those of nodes that have just come. */
  readonly unrouted: readonly string[]
}

export async function stageFor(scenario: Scenario): Promise<Stage> {
  const nodes = await startNodes(scenario.nodes, 'c')
  const observer = openMember(nodes.ids)
  const first = nodes.ids[0] ?? ''
  await usersTable(observer).shard(observer.queue, SHARDS, scenario.rf)
  await writeRows(observer, first, 'users', ROWS)
  for (let comer = 0; comer < scenario.comers; comer++) await nodes.addNode()
  return {
    nodes,
    observer,
    before: await everything(observer, nodes),
    rows: await rowsThrough(observer, first, 'users'),
    unrouted: await unroutedTables(observer),
    [Symbol.asyncDispose]: async () => {
      await observer.close()
      await nodes.close()
    },
  }
}

/** Catalogs, clusters, placements, and what each node's sharded table names. */
export async function everything(member: Member, nodes: TestNodes): Promise<string[]> {
  const definitions: string[] = []
  const { catalog } = member.client.parts
  for (const node of nodes.ids) {
    const tables = await catalog.tables(node)
    if (tables.has('users')) definitions.push(`${node} ${await catalog.createStatement(node, 'users')}`)
  }
  return [...(await stateOf(member, nodes.ids)), ...definitions]
}

/** A process of its own in which one statement goes wrong: the `n`-th of those that `counts`. */
export function memberWithTrouble(
  stage: Stage,
  n: number,
  trouble: Trouble,
  counts: (sql: string) => boolean,
): { member: Member; hit: () => Call | undefined; died: Promise<void> } {
  let seen = 0
  let hit: Call | undefined
  const died = Promise.withResolvers<void>()
  const member = openMember(stage.nodes.ids, {
    clock: fastClock(SPEED),
    wrap: (inner) => {
      const faulty = new FaultyConnector(inner, (call) => {
        if (!counts(call.sql)) return undefined
        seen++
        if (seen !== n) return undefined
        hit = call
        return trouble
      })
      void faulty.died.then(() => died.resolve())
      return faulty
    },
  })
  return { member, hit: () => hit, died: died.promise }
}

const isJournal = (sql: string) => /system\.sharding_(queue|operation|state)/.test(sql)

export interface Worker {
  readonly member: Member
  /** Statements with effect on tables and clusters, in the order in which they were sent. */
  readonly sent: readonly string[]
  /** Resolves when the `n`-th of them is about to be sent. */
  readonly reached: Promise<void>
  /** The n-th one waits until this is called. */
  goOn(): void
}

/** A process whose `n`-th statement, of those that `counts`, waits until the test lets it go on. */
export function workerThatWaitsAt(
  stage: Stage,
  n: number,
  counts: (sql: string) => boolean = () => true,
): Worker {
  const sent: string[] = []
  let counted = 0
  const reached = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const member = openMember(stage.nodes.ids, {
    clock: fastClock(SPEED),
    wrap: (inner) => ({
      connection: (node) => {
        const connection = inner.connection(node)
        return {
          node,
          read: async (sql, options) => await connection.read(sql, options),
          execute: async (sql, options) => {
            if (!isJournal(sql)) {
              sent.push(`${node} ${sql}`)
              if (counts(sql)) counted++
              if (counts(sql) && counted === n) {
                reached.resolve()
                await gate.promise
              }
            }
            return await connection.execute(sql, options)
          },
          close: async () => await connection.close(),
        }
      },
      close: async () => await inner.close(),
    }),
  })
  return { member, sent, reached: reached.promise, goOn: () => gate.resolve() }
}

export async function summaryOf(move: Promise<OperationSummary>): Promise<OperationSummary> {
  try {
    return await move
  } catch (error) {
    if (error instanceof OperationError) return error.summary
    throw error
  }
}

/**
 * All rows are there through every node that has the table, every node looks for them in the right places, and
 * nothing lies where it does not belong.
 */
export async function expectWhole(stage: Stage, what: string): Promise<void> {
  const { observer, nodes, rows, unrouted } = stage
  for (const node of nodes.ids) {
    if (!(await observer.client.parts.catalog.hasTable(node, 'users'))) continue
    expect(await rowsThrough(observer, node, 'users'), `${what}, through ${node}`).toEqual(rows)
  }
  // Undone, the nodes that have just come lack the table as before; done, all have it.
  expect([[], unrouted], what).toContainEqual(await unroutedTables(observer))
  expect(await leftovers(observer, nodes), what).toEqual([])
}

async function unroutedTables(member: Member): Promise<string[]> {
  const plan = await member.cluster.plan(async ({ topology }) => planReroute(await topology()))
  return plan.commands.map(({ key }) => key)
}

async function leftovers(member: Member, nodes: TestNodes): Promise<string[]> {
  const left: string[] = []
  for (const node of nodes.ids) {
    const plan = await member.cluster.plan(async ({ topology }) => planClean(await topology(), node))
    left.push(...plan.commands.map(({ key }) => key))
  }
  const state = await stateOf(member, nodes.ids)
  return [...left, ...state.filter((line) => /[ .]mv_/.test(line))]
}
