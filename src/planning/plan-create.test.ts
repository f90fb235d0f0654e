import { array, assert, constantFrom, integer, property, record } from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { NodeId } from '../domain/words.ts'
import type { NodeTraits } from './layout.ts'
import type { ObservedState } from './observed.ts'
import { type CreateRequest, planCreate } from './plan-create.ts'

const SEED = 20_261_124

type Traits = NodeTraits & { readonly drained?: boolean }

const nodeName = (index: number) => `10.0.0.${index + 1}:9312`

function observedOf(traits: readonly Partial<Traits>[], withTraits = true): ObservedState {
  const nodes = traits.map((_, index) => nodeName(index))
  return {
    cluster: 'c',
    nodes,
    missingNodes: [],
    tables: new Map(nodes.map((node) => [node, new Set<string>()])),
    replicaSets: [],
    placements: [],
    ...(withTraits
      ? {
          traits: new Map(
            traits.map((trait, index) => [
              nodeName(index),
              { zone: null, weight: 1, capacityBytes: null, ...trait },
            ]),
          ),
        }
      : {}),
  }
}

function requestOf(shards: number, rf: number): CreateRequest {
  return { table: 'users', columns: [{ name: 'n', type: 'int', properties: [] }], options: [], shards, rf }
}

function planOf(observed: ObservedState, shards: number, rf: number) {
  let last = 1_000
  return planCreate(observed, requestOf(shards, rf), { next: () => ++last })
}

/** Nodes of every shard, by its name. */
function holdersIn(plan: ReturnType<typeof planOf>): Map<string, NodeId[]> {
  const holders = new Map<string, NodeId[]>()
  for (const { node, statements } of plan.commands) {
    for (const statement of statements) {
      if (statement.kind !== 'create_table' || !statement.table.name.startsWith('system.users_s')) continue
      holders.set(statement.table.name, [...(holders.get(statement.table.name) ?? []), node])
    }
  }
  return holders
}

function copiesIn(plan: ReturnType<typeof planOf>): Map<NodeId, number> {
  const copies = new Map<NodeId, number>()
  for (const node of [...holdersIn(plan).values()].flat()) copies.set(node, (copies.get(node) ?? 0) + 1)
  return copies
}

describe('a new table', () => {
  it('lies in as many zones as a shard has copies, wherever there are enough', () => {
    const zones = array(constantFrom('a', 'b', 'c', 'd'), { minLength: 2, maxLength: 9 })
    const anyCase = record({ zones, rf: integer({ min: 2, max: 4 }), shards: integer({ min: 1, max: 24 }) })
    let checked = 0
    assert(
      property(anyCase, ({ zones: found, rf, shards }) => {
        if (new Set(found).size < rf) return
        checked++
        const plan = planOf(observedOf(found.map((zone) => ({ zone }))), shards, rf)
        const zoneOf = new Map(found.map((zone, index) => [nodeName(index), zone]))
        for (const holders of holdersIn(plan).values()) {
          expect(new Set(holders.map((node) => zoneOf.get(node))).size).toBe(rf)
        }
      }),
      { seed: SEED, numRuns: 1_000 },
    )
    expect(checked).toBeGreaterThan(300)
  })

  it('still has its copies where there are fewer zones than copies', () => {
    const plan = planOf(observedOf([{ zone: 'a' }, { zone: 'a' }, { zone: 'b' }]), 6, 3)
    for (const holders of holdersIn(plan).values()) expect(new Set(holders).size).toBe(3)
  })

  it('gives a node of weight 2 twice as many shards', () => {
    const plan = planOf(observedOf([{ weight: 2 }, {}, {}]), 12, 1)
    expect(copiesIn(plan)).toEqual(
      new Map([
        [nodeName(0), 6],
        [nodeName(1), 3],
        [nodeName(2), 3],
      ]),
    )
  })

  it('puts nothing but the table itself on a node that is drained', () => {
    const plan = planOf(observedOf([{}, { drained: true }, {}, {}]), 8, 2)
    expect([...copiesIn(plan).keys()].toSorted()).toEqual([nodeName(0), nodeName(2), nodeName(3)])
    const there = plan.commands.filter(({ node }) => node === nodeName(1))
    expect(there.map(({ key }) => key)).toEqual([`sharded table users on ${nodeName(1)}`])
  })

  it('is refused when too few nodes take copies, with what can be done', () => {
    const observed = observedOf([{}, { drained: true }])
    expect(() => planOf(observed, 4, 2)).toThrow(/10\.0\.0\.2:9312.* is drained: .*drained: false/)
  })

  it('is the same without traits and with those that say nothing', () => {
    for (const [nodes, shards, rf] of [
      [3, 12, 2],
      [5, 7, 3],
      [4, 9, 1],
    ] as const) {
      const traits = Array.from({ length: nodes }, () => ({}))
      expect(planOf(observedOf(traits), shards, rf)).toEqual(planOf(observedOf(traits, false), shards, rf))
    }
  })
})
