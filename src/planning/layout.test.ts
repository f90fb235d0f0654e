import { array, assert, constantFrom, integer, property, record, uniqueArray } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DEFAULT_TRAITS, type Layout, type Move, type NodeTraits, planMoves, type Unit } from './layout.ts'

const SEED = 20_261_124

interface Shape {
  readonly nodes: number
  readonly rf: number
  /** For each unit: which node it begins at, and how many shards it has. */
  readonly units: readonly { readonly at: number; readonly copies: number }[]
  readonly newcomers: number
  readonly zones: number
  readonly weights: readonly number[]
}

const nodeName = (index: number) => `n${String(index).padStart(3, '0')}:1`

/** Units of `rf` neighbouring nodes, as tables are made, on nodes of which some have come later. */
function layoutFrom(
  { nodes, rf, units, newcomers, zones, weights }: Shape,
  leaving: readonly number[] = [],
): Layout {
  const all = Array.from({ length: nodes + newcomers }, (_, index) => nodeName(index))
  const traits = new Map<string, NodeTraits>(
    all.map((node, index) => [
      node,
      {
        ...DEFAULT_TRAITS,
        zone: zones === 0 ? null : `z${index % zones}`,
        weight: weights[index % weights.length] ?? 1,
      },
    ]),
  )
  const holders = (at: number) =>
    Array.from({ length: Math.min(rf, nodes) }, (_, step) => nodeName((at + step) % nodes))
  return {
    nodes: all,
    leaving: new Set(leaving.map(nodeName)),
    traits,
    units: units.map(
      ({ at, copies }, index): Unit => ({
        name: `u${index}`,
        holders: holders(at),
        copies,
        bytes: copies * 100,
        barred: new Set(),
        pinned: null,
      }),
    ),
  }
}

const anyShape = record<Shape>({
  nodes: integer({ min: 1, max: 8 }),
  rf: integer({ min: 1, max: 3 }),
  units: array(record({ at: integer({ min: 0, max: 7 }), copies: integer({ min: 1, max: 12 }) }), {
    minLength: 1,
    maxLength: 10,
  }),
  newcomers: integer({ min: 0, max: 4 }),
  zones: constantFrom(0, 0, 2, 3),
  weights: constantFrom([1], [1], [1, 2], [3, 1, 1]),
})

function after(layout: Layout, moves: readonly Move[]): Map<string, Set<string>> {
  const holders = new Map(layout.units.map((unit) => [unit.name, new Set(unit.holders)]))
  for (const { unit, from, to } of moves) {
    const set = holders.get(unit)
    expect(set?.has(from), `${unit} is on ${from}`).toBe(true)
    expect(set?.has(to), `${unit} is not on ${to} yet`).toBe(false)
    set?.delete(from)
    set?.add(to)
  }
  return holders
}

function loads(layout: Layout, holders: ReadonlyMap<string, ReadonlySet<string>>): Map<string, number> {
  const copies = new Map(layout.nodes.map((node) => [node, 0]))
  for (const unit of layout.units) {
    for (const node of holders.get(unit.name) ?? []) copies.set(node, (copies.get(node) ?? 0) + unit.copies)
  }
  return copies
}

const weightOf = (layout: Layout, node: string) => layout.traits.get(node)?.weight ?? 1

/** The sum of squared loads, weighted: what balancing lowers. */
function imbalance(layout: Layout, copies: ReadonlyMap<string, number>): number {
  return [...copies].reduce((sum, [node, count]) => sum + count ** 2 / weightOf(layout, node), 0)
}

function zoneCount(layout: Layout, nodes: Iterable<string>): number {
  return new Set([...nodes].map((node) => layout.traits.get(node)?.zone ?? node)).size
}

/** Whether one more move would bring two nodes closer together without crowding a zone. */
function isBalanced(layout: Layout, holders: ReadonlyMap<string, ReadonlySet<string>>): boolean {
  const copies = loads(layout, holders)
  const before = imbalance(layout, copies)
  for (const unit of layout.units) {
    const held = holders.get(unit.name) ?? new Set()
    for (const from of held) {
      for (const to of layout.nodes) {
        if (held.has(to) || layout.leaving.has(to)) continue
        const changed = new Set([...held].filter((node) => node !== from)).add(to)
        if (zoneCount(layout, changed) < zoneCount(layout, held)) continue
        const moved = new Map(copies)
        moved.set(from, (moved.get(from) ?? 0) - unit.copies)
        moved.set(to, (moved.get(to) ?? 0) + unit.copies)
        if (imbalance(layout, moved) < before - 1e-6) return false
      }
    }
  }
  return true
}

function copiesMoved(layout: Layout, moves: readonly Move[]): number {
  return moves.reduce(
    (sum, { unit }) => sum + (layout.units.find(({ name }) => name === unit)?.copies ?? 0),
    0,
  )
}

/** The fewest copies whose move balances, by trying all; null when it takes more than `limit` moves. */
function fewestCopies(layout: Layout, limit: number): number | null {
  let best: number | null = null
  const seen = new Map<string, number>()
  const visit = (holders: Map<string, Set<string>>, moved: number, depth: number): void => {
    const key = [...holders].map(([unit, set]) => `${unit}=${[...set].toSorted().join(',')}`).join(' ')
    if ((seen.get(key) ?? Number.POSITIVE_INFINITY) <= moved || (best !== null && moved >= best)) return
    seen.set(key, moved)
    if (isBalanced(layout, holders)) {
      best = moved
      return
    }
    if (depth === limit) return
    for (const unit of layout.units) {
      const held = holders.get(unit.name) ?? new Set()
      for (const from of held) {
        // A copy that has moved already does not move on: one move to its last place is cheaper.
        if (!unit.holders.includes(from)) continue
        for (const to of layout.nodes) {
          if (held.has(to)) continue
          const next = new Map(holders)
          next.set(unit.name, new Set([...held].filter((node) => node !== from)).add(to))
          visit(next, moved + unit.copies, depth + 1)
        }
      }
    }
  }
  visit(new Map(layout.units.map(({ name, holders }) => [name, new Set(holders)])), 0, 0)
  return best
}

describe('balancing', () => {
  it('leaves nothing that one more move would improve, whatever the layout', () => {
    assert(
      property(anyShape, (shape) => {
        const layout = layoutFrom(shape)
        const { moves } = planMoves(layout, { balance: true })
        const holders = after(layout, moves)
        expect(isBalanced(layout, holders)).toBe(true)
        for (const unit of layout.units) expect(holders.get(unit.name)?.size).toBe(unit.holders.length)
        const isPlain = shape.zones === 0 && shape.weights.length === 1
        if (isPlain) {
          const copies = [...loads(layout, holders).values()]
          const share = Math.max(...layout.units.map((unit) => unit.copies))
          expect(Math.max(...copies) - Math.min(...copies)).toBeLessThanOrEqual(share)
        }
      }),
      { numRuns: 10_000, seed: SEED },
    )
  })

  it('never moves a copy twice, and gives the same plan for the same layout', () => {
    assert(
      property(anyShape, (shape) => {
        const layout = layoutFrom(shape)
        const { moves, notes } = planMoves(layout, { balance: true })
        const places = moves.map(({ unit, to }) => `${unit} ${to}`)
        expect(new Set(places).size).toBe(places.length)
        expect(
          moves.every(({ unit, from }) =>
            layout.units.find(({ name }) => name === unit)?.holders.includes(from),
          ),
        ).toBe(true)
        const shuffled = { ...layout, units: layout.units.toReversed() }
        expect(planMoves(shuffled, { balance: true })).toEqual({ moves, notes })
      }),
      { numRuns: 2_000, seed: SEED },
    )
  })

  it('moves no more copies than it must: against all other ways, on small layouts', () => {
    assert(
      property(
        record({
          nodes: integer({ min: 1, max: 3 }),
          rf: integer({ min: 1, max: 2 }),
          units: array(record({ at: integer({ min: 0, max: 2 }), copies: integer({ min: 1, max: 4 }) }), {
            minLength: 1,
            maxLength: 4,
          }),
          newcomers: integer({ min: 0, max: 2 }),
          equal: constantFrom(true, false),
        }),
        ({ equal, ...small }) => {
          const units = equal ? small.units.map(({ at }) => ({ at, copies: 3 })) : small.units
          const layout = layoutFrom({ ...small, units, zones: 0, weights: [1] })
          const { moves } = planMoves(layout, { balance: true })
          const fewest = fewestCopies(layout, Math.min(4, moves.length))
          const largest = Math.max(...units.map(({ copies }) => copies))
          if (fewest === null) return
          const allowed = equal ? fewest : fewest + largest
          expect(copiesMoved(layout, moves)).toBeLessThanOrEqual(allowed)
        },
      ),
      { numRuns: 600, seed: SEED },
    )
  })

  it.each([
    {
      what: '3 → 4 nodes, 12 shards with 2 copies',
      nodes: 3,
      rf: 2,
      sets: 3,
      share: 4,
      newcomers: 1,
      copies: 4,
    },
    {
      what: '5 → 6 nodes, 60 shards with 2 copies',
      nodes: 5,
      rf: 2,
      sets: 5,
      share: 12,
      newcomers: 1,
      copies: 12,
    },
    {
      what: '2 → 4 nodes, 12 shards with 2 copies',
      nodes: 2,
      rf: 2,
      sets: 2,
      share: 6,
      newcomers: 2,
      copies: 12,
    },
    {
      what: '1 → 2 nodes, 12 shards with 1 copy',
      nodes: 1,
      rf: 1,
      sets: 12,
      share: 1,
      newcomers: 1,
      copies: 6,
    },
    { what: '3 nodes that are even already', nodes: 3, rf: 2, sets: 3, share: 4, newcomers: 0, copies: 0 },
  ])('$what: $copies copies move', ({ nodes, rf, sets, share, newcomers, copies }) => {
    const units = Array.from({ length: sets }, (_, at) => ({ at, copies: share }))
    const layout = layoutFrom({ nodes, rf, units, newcomers, zones: 0, weights: [1] })
    expect(copiesMoved(layout, planMoves(layout, { balance: true }).moves)).toBe(copies)
  })

  it('gives a node of weight 2 twice as much', () => {
    const units = Array.from({ length: 12 }, (_, at) => ({ at, copies: 1 }))
    const layout = layoutFrom({ nodes: 3, rf: 1, units, newcomers: 0, zones: 0, weights: [2, 1, 1] })
    const copies = loads(layout, after(layout, planMoves(layout, { balance: true }).moves))
    expect([...copies.values()]).toEqual([6, 3, 3])
  })

  it('spreads a unit over different zones, and never crowds one for balance', () => {
    assert(
      property(anyShape, (shape) => {
        const layout = layoutFrom({ ...shape, zones: 3 })
        const holders = after(layout, planMoves(layout, { balance: true }).moves)
        const zones = zoneCount(layout, layout.nodes)
        for (const unit of layout.units) {
          const held = holders.get(unit.name) ?? new Set()
          expect(zoneCount(layout, held)).toBe(Math.min(zones, unit.holders.length))
        }
      }),
      { numRuns: 2_000, seed: SEED },
    )
  })

  it('never fills a node beyond its capacity', () => {
    assert(
      property(anyShape, integer({ min: 100, max: 2_000 }), (shape, capacityBytes) => {
        const plain = layoutFrom({ ...shape, zones: 0, weights: [1] })
        const traits = new Map(plain.nodes.map((node) => [node, { ...DEFAULT_TRAITS, capacityBytes }]))
        const layout = { ...plain, traits }
        const { moves } = planMoves(layout, { balance: true })
        const copies = loads(layout, after(layout, moves))
        for (const { to } of moves) expect((copies.get(to) ?? 0) * 100).toBeLessThanOrEqual(capacityBytes)
      }),
      { numRuns: 2_000, seed: SEED },
    )
  })
})

describe('emptying nodes', () => {
  it('moves exactly what they hold, and keeps every unit whole', () => {
    assert(
      property(anyShape, uniqueArray(integer({ min: 0, max: 11 }), { maxLength: 3 }), (shape, picked) => {
        const all = shape.nodes + shape.newcomers
        const leaving = picked.map((index) => index % all)
        const layout = layoutFrom({ ...shape, zones: 0 }, [...new Set(leaving)])
        const { moves, notes } = planMoves(layout, { balance: false })
        const holders = after(layout, moves)
        expect(moves.every(({ from, to }) => layout.leaving.has(from) && !layout.leaving.has(to))).toBe(true)
        for (const unit of layout.units) {
          const kept = [...(holders.get(unit.name) ?? [])].filter((node) => layout.leaving.has(node))
          const free = layout.nodes.filter(
            (node) => !layout.leaving.has(node) && holders.get(unit.name)?.has(node) !== true,
          )
          // A copy stays only when every other node has one already, and the notes say so.
          if (kept.length > 0) {
            expect(free).toEqual([])
            expect(notes.join('\n')).toContain(`${unit.name} stays on`)
          }
        }
      }),
      { numRuns: 3_000, seed: SEED },
    )
  })
})

describe('a large cluster', () => {
  it('of 100 nodes and 3,000 shards is planned without trying everything', () => {
    const units = Array.from({ length: 3_000 }, (_, at) => ({ at, copies: 1 }))
    const layout = layoutFrom({ nodes: 100, rf: 1, units, newcomers: 10, zones: 0, weights: [1] })
    const { moves } = planMoves(layout, { balance: true })
    const copies = [...loads(layout, after(layout, moves)).values()]
    expect(Math.max(...copies) - Math.min(...copies)).toBeLessThanOrEqual(1)
    expect(moves).toHaveLength(270)
  })
})
