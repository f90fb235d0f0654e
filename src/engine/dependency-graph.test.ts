import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DependencyGraph } from './dependency-graph.ts'

const SEED = 20_251_124

function graphOf(waits: Readonly<Record<number, readonly number[]>>): DependencyGraph {
  return new DependencyGraph(Object.keys(waits).map(Number), (id) => waits[id] ?? [])
}

describe('a dependency graph', () => {
  it('of nothing is done', () => {
    const graph = graphOf({})
    expect(graph.ready()).toEqual([])
    expect(graph.size).toBe(0)
  })

  it('lets each go when all that it waits for is done', () => {
    const graph = graphOf({ 1: [], 2: [], 3: [1, 2], 4: [3] })
    expect(graph.ready()).toEqual([1, 2])
    expect(graph.complete(1)).toEqual([])
    expect(graph.complete(2)).toEqual([3])
    expect(graph.complete(3)).toEqual([4])
    expect(graph.complete(4)).toEqual([])
    expect(graph.size).toBe(0)
  })

  it('counts what is not to be done as done', () => {
    expect(graphOf({ 3: [1, 2] }).ready()).toEqual([3])
  })

  it('waits once for what is named twice', () => {
    const graph = graphOf({ 1: [], 2: [1, 1] })
    expect(graph.ready()).toEqual([1])
    expect(graph.complete(1)).toEqual([2])
  })

  it('lets nothing go twice', () => {
    const graph = graphOf({ 1: [], 2: [1] })
    expect(graph.complete(1)).toEqual([2])
    expect(graph.complete(1)).toEqual([])
  })

  it('lets none of a circle go', () => {
    const graph = graphOf({ 1: [2], 2: [1], 3: [3], 4: [] })
    expect(graph.ready()).toEqual([4])
    expect(graph.complete(4)).toEqual([])
    expect(graph.size).toBe(3)
  })

  it('lets all go exactly once, none before what it waits for, in whatever order they are done', () => {
    const anyGraph = fc
      .integer({ min: 1, max: 25 })
      .chain((count) =>
        fc.tuple(
          ...Array.from({ length: count }, (_, id) =>
            id === 0 ? fc.constant<number[]>([]) : fc.array(fc.nat(id - 1), { maxLength: 4 }),
          ),
        ),
      )
    fc.assert(
      fc.property(anyGraph, fc.infiniteStream(fc.nat()), (waits, choices) => {
        const graph = new DependencyGraph([...waits.keys()], (id) => waits[id] ?? [])
        const done = new Set<number>()
        const ready = graph.ready()
        while (ready.length > 0) {
          const choice = choices.next().value ?? 0
          const [id = 0] = ready.splice(choice % ready.length, 1)
          expect(done.has(id)).toBe(false)
          for (const other of waits[id] ?? []) expect(done.has(other)).toBe(true)
          done.add(id)
          ready.push(...graph.complete(id))
        }
        expect(done.size).toBe(waits.length)
        expect(graph.size).toBe(0)
      }),
      { seed: SEED, numRuns: 2_000 },
    )
  })
})
