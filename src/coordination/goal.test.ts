import { describe, expect, it } from 'vitest'
import { type Goal, goalFromJson, tableOf, typeOf } from './goal.ts'

const GOALS: readonly (readonly [Goal, string])[] = [
  [{ kind: 'create', table: 'users', columns: 'id bigint', options: '', shards: 4, rf: 2 }, 'users'],
  [{ kind: 'drop', table: 'users' }, 'users'],
  [{ kind: 'rebalance' }, ''],
  [{ kind: 'rebalance', tables: [] }, ''],
  [{ kind: 'rebalance', tables: ['users'] }, 'users'],
  [{ kind: 'rebalance', tables: ['users', 'orders'] }, ''],
  [{ kind: 'drain', nodes: ['10.0.0.1:9312'] }, ''],
  [{ kind: 'replace', nodes: ['10.0.0.1:9312'] }, ''],
  [{ kind: 'replace', nodes: ['10.0.0.1:9312'], by: '10.0.0.2:9312' }, ''],
  [{ kind: 'reroute' }, ''],
  [{ kind: 'clean', node: '10.0.0.1:9312' }, ''],
  [{ kind: 'revert', group: 'rebalance-1' }, ''],
  [
    { kind: 'prepared', group: 'g', type: 'drop', table: 'users', summary: "it's gone", basis: 'abc' },
    'users',
  ],
  [{ kind: 'custom', group: 'mine' }, ''],
]

describe('what is wanted', () => {
  it.each(GOALS)('is the same after it has stood in the journal: %j', (goal) => {
    expect(goalFromJson(JSON.stringify(goal))).toEqual(goal)
  })

  it.each(GOALS)('%j is about table %j', (goal, table) => {
    expect(tableOf(goal)).toBe(table)
  })

  it('is an operation of its kind, a plan that was looked at of that of the plan', () => {
    for (const [goal] of GOALS) expect(typeOf(goal)).toBe(goal.kind === 'prepared' ? 'drop' : goal.kind)
  })

  it.each([
    '',
    'no JSON',
    'null',
    '{}',
    '{"kind":"conquer"}',
    '{"kind":"drop"}',
    '{"kind":"create","table":"t","columns":"","options":"","shards":1.5,"rf":1}',
    '{"kind":"drain","nodes":"10.0.0.1:9312"}',
    '{"kind":"prepared","group":"g","type":"unheard of","table":"","summary":"","basis":""}',
  ])('and cannot be read is refused: %j', (json) => {
    expect(() => goalFromJson(json)).toThrow(
      expect.objectContaining({ code: 'refused', message: expect.stringContaining(json) }),
    )
  })
})
