import { assert, integer, property, record, uniqueArray } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PlanModel, shardsOf } from '../../test/support/plan-model.ts'
import type { Plan } from '../domain/plan.ts'
import type { IdSource } from '../domain/ports.ts'
import { renderStatement, validateRollback } from '../sql/index.ts'
import { planCreate } from './plan-create.ts'
import { planDrop } from './plan-drop.ts'
import { planRebalance } from './plan-rebalance.ts'
import { planClean, planReroute } from './plan-reroute.ts'
import { planText } from './plan-text.ts'

const SEED = 20_261_124

interface Case {
  readonly nodes: number
  readonly rf: number
  readonly tables: readonly number[]
  readonly newcomers: number
}

const anyCase = record<Case>({
  nodes: integer({ min: 1, max: 6 }),
  rf: integer({ min: 1, max: 3 }),
  tables: uniqueArray(integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 2 }),
  newcomers: integer({ min: 0, max: 3 }),
})

function countingIds(): IdSource {
  let last = 1_000
  return { next: () => ++last }
}

const nodeName = (index: number) => `10.0.0.${index + 1}:9312`

/** A cluster with tables of these numbers of shards, made by plans. */
function clusterFor({ nodes, rf, tables }: Case, ids: IdSource): PlanModel {
  const model = new PlanModel(Array.from({ length: nodes }, (_, index) => nodeName(index)))
  for (const [index, shards] of tables.entries()) model.run(createPlan(model, `t${index}`, shards, rf, ids))
  return model
}

function createPlan(model: PlanModel, table: string, shards: number, rf: number, ids: IdSource): Plan {
  const columns = [{ name: 'title', type: 'text', properties: [] }] as const
  const copies = Math.min(rf, model.nodes.length)
  return planCreate(model.topology(), { table, columns, options: [], shards, rf: copies }, ids)
}

/** Copies of every shard, by the placement. */
function copiesOf(model: PlanModel): Map<string, Set<string>> {
  const copies = new Map<string, Set<string>>()
  for (const { table, node, shards } of model.placements.values()) {
    for (const shard of shards) {
      const name = `system.${table}_s${shard}`
      copies.set(name, (copies.get(name) ?? new Set()).add(node))
    }
  }
  return copies
}

/** All nodes name exactly the copies of the placement, and nothing else lies around. */
function expectConsistent(model: PlanModel, rf: number): void {
  const copies = copiesOf(model)
  for (const [shard, nodes] of copies) expect(nodes.size, shard).toBe(rf)
  for (const [node, tables] of model.tables) {
    if (model.dead.has(node)) continue
    const names = [...tables.values()].filter(({ options }) => options.some(({ value }) => value === 'shard'))
    for (const definition of names) {
      for (const [shard, holders] of shardsOf(definition, node)) {
        const expected = copies.get(shard) ?? new Set()
        if (expected.has(node)) expect(holders).toEqual([node])
        else expect([...holders].toSorted()).toEqual([...expected].toSorted())
      }
    }
    expect(planClean(model.topology(), node).commands).toEqual([])
  }
  for (const [name, { members }] of model.sets) {
    expect(name.startsWith('mv_')).toBe(false)
    const placed = [...model.placements.values()].filter(({ replicaSet }) => replicaSet === name)
    if (placed.length > 0)
      expect([...members].toSorted()).toEqual([...new Set(placed.map(({ node }) => node))].toSorted())
  }
}

/** Every command before the pivot has a rollback that passes the validation, unless it has no effect. */
function expectRollbacks(plan: Plan, model: PlanModel): void {
  const tables = new Map([...model.tables].map(([node, names]) => [node, new Set(names.keys())]))
  for (const { key, node, statements, rollback, phase } of plan.commands) {
    const observed = { node, tables: new Set(tables.get(node)), clusters: new Map<string, string[]>() }
    for (const statement of statements) {
      if (statement.kind === 'create_table') tables.get(node)?.add(statement.table.name)
    }
    if (phase === 'after_pivot' || statements.every(({ kind }) => kind === 'verify_tables')) {
      expect(rollback, key).toEqual([])
      continue
    }
    const [forward = '', back = ''] = [statements, rollback].map((list) =>
      list.map((one) => renderStatement(one)).join('; '),
    )
    expect(validateRollback(forward, back, observed), `${key}: ${forward} / ${back}`).toMatchObject({
      valid: true,
    })
  }
}

/** After any part of the commands before the pivot, their rollbacks lead back to exactly what was there. */
function expectUndoable(make: () => PlanModel, plan: (model: PlanModel) => Plan, part: number): void {
  const model = make()
  const before = model.snapshot()
  const made = plan(model)
  const undoable = made.commands.filter(({ phase }) => phase === 'before_pivot')
  const count = Math.floor(undoable.length * part)
  model.run({ ...made, commands: undoable.slice(0, count) })
  model.undo({ ...made, commands: undoable }, count)
  expect(model.snapshot()).toEqual(before)
}

describe('a create', () => {
  it('gives every shard its copies on different nodes, and can be undone after any of its commands', () => {
    assert(
      property(anyCase, integer({ min: 0, max: 100 }), (shape, percent) => {
        const model = clusterFor(shape, countingIds())
        expectConsistent(model, Math.min(shape.rf, shape.nodes))
        const plan = (other: PlanModel) => createPlan(other, 'next', 5, shape.rf, countingIds2())
        expectRollbacks(plan(model), model)
        expectUndoable(() => clusterFor(shape, countingIds()), plan, percent / 100)
        expect(plan(model)).toEqual(plan(model))
      }),
      { numRuns: 500, seed: SEED },
    )
  })

  it('builds on the replica sets that are there', () => {
    const ids = countingIds()
    const model = clusterFor({ nodes: 3, rf: 2, tables: [6], newcomers: 0 }, ids)
    const sets = model.sets.size
    model.run(createPlan(model, 'second', 6, 2, ids))
    expect(model.sets.size).toBe(sets)
  })
})

describe('a drop', () => {
  it('leaves nothing of the table but its replica sets, and can be undone before its pivot', () => {
    assert(
      property(anyCase, integer({ min: 0, max: 100 }), (shape, percent) => {
        const plan = (model: PlanModel) =>
          planDrop(model.topology(), 't0', model.topology().definitions.get('t0') ?? new Map())
        expectUndoable(() => clusterFor(shape, countingIds()), plan, percent / 100)
        const model = clusterFor(shape, countingIds())
        const made = plan(model)
        expectRollbacks(made, model)
        model.run(made)
        expect(model.snapshot().filter((line) => /\bt0\b|t0_s/.test(line))).toEqual([])
      }),
      { numRuns: 300, seed: SEED },
    )
  })
})

describe('a rebalance', () => {
  it('holds every shard on all its copies at every step, and ends with nothing left over', () => {
    assert(
      property(anyCase, integer({ min: 0, max: 100 }), (shape, percent) => {
        const grown = () => {
          const model = clusterFor(shape, countingIds())
          for (let comer = 0; comer < shape.newcomers; comer++) model.addNode(nodeName(shape.nodes + comer))
          return model
        }
        const plan = (model: PlanModel) =>
          planRebalance(model.topology(), { type: 'rebalance', leaving: [] }, countingIds2())
        const model = grown()
        const made = plan(model)
        expectRollbacks(made, model)
        model.run(made, ({ key }) => model.expectServed(key))
        expectConsistent(model, Math.min(shape.rf, shape.nodes))
        expect(plan(model).commands).toEqual([])
        expectUndoable(grown, plan, percent / 100)
        expect(planText(made)).toContain(made.summary)
      }),
      { numRuns: 200, seed: SEED },
    )
  })
})

describe('a drain', () => {
  it('empties the node, or is refused with the reason', () => {
    assert(
      property(anyCase, integer({ min: 0, max: 8 }), (shape, picked) => {
        const model = clusterFor(shape, countingIds())
        for (let comer = 0; comer < shape.newcomers; comer++) model.addNode(nodeName(shape.nodes + comer))
        const node = model.nodes[picked % model.nodes.length] ?? ''
        const goal = { type: 'drain', leaving: [node] } as const
        const rf = Math.min(shape.rf, shape.nodes)
        if (model.nodes.length <= rf && [...copiesOf(model).values()].some((nodes) => nodes.has(node))) {
          expect(() => planRebalance(model.topology(), goal, countingIds2())).toThrow(
            /cannot drain .* add a node/,
          )
          return
        }
        model.run(planRebalance(model.topology(), goal, countingIds2()), ({ key }) => model.expectServed(key))
        expectConsistent(model, rf)
        for (const nodes of copiesOf(model).values()) expect(nodes.has(node)).toBe(false)
      }),
      { numRuns: 150, seed: SEED },
    )
  })
})

describe('a dead node', () => {
  it('is left out, replaced where that can be, and cleaned when it is back', () => {
    assert(
      property(anyCase, integer({ min: 0, max: 8 }), (shape, picked) => {
        const model = clusterFor(shape, countingIds())
        for (let comer = 0; comer < shape.newcomers; comer++) model.addNode(nodeName(shape.nodes + comer))
        const rf = Math.min(shape.rf, shape.nodes)
        if (model.nodes.length === 1) return
        const dead = model.nodes[picked % model.nodes.length] ?? ''
        model.dead.add(dead)
        model.run(planReroute(model.topology()))
        if (rf > 1) {
          for (const [node, tables] of model.tables) {
            if (node === dead) continue
            const named = [...tables.values()].flatMap((definition) => [
              ...shardsOf(definition, node).values(),
            ])
            expect(named.flat()).not.toContain(dead)
          }
        }
        model.run(planRebalance(model.topology(), { type: 'replace', leaving: [dead] }, countingIds2()))
        const isReplaceable = rf > 1 && model.nodes.length > rf
        const holds = [...copiesOf(model).values()].some((nodes) => nodes.has(dead))
        if (isReplaceable) expect(holds).toBe(false)
        model.dead.delete(dead)
        model.run(planClean(model.topology(), dead))
        model.run(planReroute(model.topology()))
        expectConsistent(model, rf)
      }),
      { numRuns: 500, seed: SEED },
    )
  })
})

/** Ids that do not meet those of the cluster's own tables. */
function countingIds2(): IdSource {
  let last = 500_000
  return { next: () => ++last }
}
