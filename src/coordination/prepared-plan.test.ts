import { describe, expect, it } from 'vitest'
import type { Plan } from '../domain/plan.ts'
import type { ObservedState } from '../planning/observed.ts'
import { assertBasis, prepared } from './prepared-plan.ts'

const [A, B] = ['10.0.0.1:9312', '10.0.0.2:9312'] as const

const PLAN: Plan = {
  type: 'create',
  table: 'users',
  summary: 'makes users',
  reasons: [],
  copyBytes: 0,
  commands: [],
}

const OBSERVED: ObservedState = {
  cluster: 'c',
  nodes: [A, B],
  missingNodes: [],
  tables: new Map([
    [A, new Set(['users', 'system.r1'])],
    [B, new Set(['system.r1'])],
  ]),
  replicaSets: [{ name: 'r1', members: [A, B], liveMembers: [A, B], primary: true, tables: ['system.t_s0'] }],
  placements: [{ id: 1, table: 't', node: A, replicaSet: 'r1', shards: [0] }],
}
const [SET] = OBSERVED.replicaSets
const [PLACEMENT] = OBSERVED.placements
if (SET === undefined || PLACEMENT === undefined) throw new Error('there is one of each')

describe('a plan that is run later', () => {
  it('is the plan, with what it was made from', () => {
    const plan = prepared(PLAN, OBSERVED)
    expect(plan).toMatchObject(PLAN)
    expect(plan.basis).toMatch(/^[0-9a-f]{64}$/)
  })

  it('is good as long as the cluster is as it was, in whatever order that is told', () => {
    const plan = prepared(PLAN, OBSERVED)
    expect(() => assertBasis(plan, OBSERVED)).not.toThrow()
    expect(() => assertBasis(plan, structuredClone(OBSERVED))).not.toThrow()
    const tables = new Map([
      [A, new Set(['system.r1', 'users'])],
      [B, new Set(['system.r1'])],
    ])
    expect(() => assertBasis(plan, { ...OBSERVED, tables })).not.toThrow()
  })

  it.each<readonly [string, Partial<ObservedState>]>([
    ['a node is missing', { nodes: [A], missingNodes: [B] }],
    ['a node has come', { nodes: [A, B, '10.0.0.3:9312'] }],
    ['a table was made', { tables: new Map([...OBSERVED.tables, [B, new Set(['system.r1', 'new'])]]) }],
    [
      'a table is on another node',
      {
        tables: new Map([
          [A, new Set(['system.r1'])],
          [B, new Set(['users', 'system.r1'])],
        ]),
      },
    ],
    ['a replica set was made', { replicaSets: [SET, { ...SET, name: 'r2' }] }],
    ['a member was lost', { replicaSets: [{ ...SET, liveMembers: [A] }] }],
    ['a set holds another shard', { replicaSets: [{ ...SET, tables: ['system.t_s0', 'system.t_s1'] }] }],
    ['a shard has moved', { placements: [{ ...PLACEMENT, node: B }] }],
    ['a placement was written anew', { placements: [{ ...PLACEMENT, id: 2 }] }],
    ['nothing is placed any more', { placements: [] }],
  ])('is stale when %s', (_what, change) => {
    const plan = prepared(PLAN, OBSERVED)
    expect(() => assertBasis(plan, { ...OBSERVED, ...change })).toThrow(
      expect.objectContaining({ code: 'plan_stale', message: expect.stringContaining('makes users') }),
    )
  })
})
