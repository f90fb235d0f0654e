import { describe, expect, it } from 'vitest'
import type { CreateTable } from '../domain/statement.ts'
import { parseStatement, renderStatement, shardOfId } from '../sql/index.ts'
import { findAdoptable, type ObservedAdoption } from './adoption.ts'
import { adoptionPlan, planAdopt } from './plan-adopt.ts'

const NODES = ['a:1', 'b:1']
const OLD = "CREATE TABLE t type='distributed' local='system.t_s0' agent='b:1:system.t_s1'"

function table(sql: string): CreateTable {
  const statement = parseStatement(sql)
  if (statement.kind !== 'create_table') throw new TypeError(sql)
  return statement
}

function observed(change: Partial<ObservedAdoption> = {}): ObservedAdoption {
  return {
    cluster: 'c',
    nodes: NODES,
    missingNodes: [],
    tables: new Map([
      ['a:1', new Set(['t', 'system.t_s0'])],
      ['b:1', new Set(['t', 'system.t_s1'])],
    ]),
    replicaSets: [],
    placements: [],
    buddyPlacements: [
      { id: 9_007_199_254_740_993n, table: 't', node: 'a:1', replicaSet: 'c', shards: [0] },
      { id: 9_007_199_254_740_995n, table: 't', node: 'b:1', replicaSet: 'c', shards: [1] },
    ],
    recorded: ['t'],
    definitions: new Map([
      [
        't',
        new Map([
          ['a:1', table(OLD)],
          ['b:1', table("CREATE TABLE t type='distributed' agent='a:1:system.t_s0' local='system.t_s1'")],
        ]),
      ],
    ]),
    columns: new Map([['t', [{ name: 'n', type: 'int', properties: [] }]]]),
    sampledIds: new Map(),
    unfinishedCommands: 0,
    ...change,
  }
}

function ids() {
  let last = 0
  return { next: () => ++last }
}

/** The first ids that belong into a shard of two. */
function idsIn(shard: number): string[] {
  return Array.from({ length: 20 }, (_, id) => String(id)).filter((id) => shardOfId(id, 2) === shard)
}

describe('a table of the old type', () => {
  it("becomes one of type 'shard', one node after the other, with the old definition as the way back", () => {
    const sampledIds = new Map([
      ['system.t_s0', idsIn(0)],
      ['system.t_s1', idsIn(1)],
    ])
    const plan = planAdopt(observed({ sampledIds }), ids())
    expect(plan.commands.map(({ key, dependsOn }) => [key, dependsOn])).toEqual([
      ['switch t on a:1', []],
      ['switch t on b:1', ['switch t on a:1']],
      ['placement of t', ['switch t on a:1', 'switch t on b:1']],
      ["Buddy's placement of t", ['placement of t']],
    ])
    const [first, , , rows] = plan.commands
    expect(first?.statements.map(renderStatement)).toEqual([
      'DROP TABLE IF EXISTS t OPTION force=1',
      "CREATE TABLE t (n int) type='shard' local='system.t_s0' agent='b:1:system.t_s1'",
    ])
    expect(first?.rollback.map(renderStatement)).toEqual(['DROP TABLE IF EXISTS t OPTION force=1', OLD])
    expect(rows?.rollback.map(renderStatement).join()).toContain('9007199254740993')
  })

  it('is left alone when its rows lie where they would not be looked for', () => {
    const misplaced = observed({ sampledIds: new Map([['system.t_s0', idsIn(1)]]) })
    const { tables, problems } = findAdoptable(misplaced)
    expect(tables).toMatchObject([{ table: 't', adoptable: false }])
    expect(problems.filter(({ blocking }) => blocking).map(({ kind }) => kind)).toEqual(['misrouted_rows'])
    expect(planAdopt(misplaced, ids()).commands).toEqual([])
  })
})

describe('a node that does not answer', () => {
  const without = observed({ nodes: ['a:1'], missingNodes: ['b:1'] })

  it('keeps everything from being adopted', () => {
    expect(() => planAdopt(without, ids())).toThrow('b:1')
  })

  it('is a finding of a dry run', () => {
    const findings = findAdoptable(without)
    expect(findings.problems[0]).toMatchObject({ kind: 'missing_node', blocking: true })
    expect(adoptionPlan(without, findings, ids()).commands).toEqual([])
  })
})

it('knows of commands that Buddy has not finished and of nodes that are gone', () => {
  const { problems } = findAdoptable(
    observed({
      unfinishedCommands: 2,
      buddyPlacements: [{ id: 1n, table: 't', node: 'gone:1', replicaSet: 'c', shards: [0, 1] }],
    }),
  )
  expect(problems.map(({ kind }) => kind)).toEqual(
    expect.arrayContaining(['unfinished_commands', 'unknown_node']),
  )
})

it('forgets rows that Buddy wrote of a table that was adopted before', () => {
  const again = observed({
    placements: [{ id: 7, table: 't', node: 'a:1', replicaSet: '', shards: [0, 1] }],
  })
  expect(planAdopt(again, ids()).commands.map(({ key }) => key)).toEqual(["Buddy's placement of t"])
})
