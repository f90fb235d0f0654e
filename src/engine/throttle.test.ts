import { describe, expect, it } from 'vitest'
import { JumpingClock, NODE } from '../../test/support/engine-doubles.ts'
import type { NodeCatalog, NodeConnector } from '../domain/ports.ts'
import { Lanes } from './lanes.ts'
import { assertMayCopy } from './throttle.ts'

/** A node that answers after so many milliseconds, question by question, and holds tables of these sizes. */
function nodeWith(latenciesMs: readonly number[], bytes: Readonly<Record<string, number>> = {}) {
  const clock = new JumpingClock()
  const waits = [...latenciesMs]
  const reply = async () => {
    await clock.sleep(waits.shift() ?? 0)
    return { columns: [], rows: [], total: 0, warning: '' }
  }
  const close = async () => await Promise.resolve()
  const connector: NodeConnector = {
    connection: (node) => ({ node, read: reply, execute: reply, close }),
    close,
  }
  const catalog = {
    tables: async () => await Promise.resolve(new Map(Object.keys(bytes).map((name) => [name, 'rt']))),
    tableSize: async (_node, name) => await Promise.resolve({ rows: 1, bytes: bytes[name] ?? 0 }),
  } as Pick<NodeCatalog, 'tables' | 'tableSize'> as NodeCatalog
  return { clock, connector, catalog }
}

const unlimited = { maxLatencyMs: null, capacityBytes: null }

describe('whether a node may take a copy', () => {
  it('depends on how fast it answers at its best', async () => {
    const limits = { ...unlimited, maxLatencyMs: 50 }
    await assertMayCopy(nodeWith([400, 20, 400]), NODE, limits)
    await expect(assertMayCopy(nodeWith([400, 51, 60]), NODE, limits)).rejects.toThrow(
      /busy|answers in 51 ms, the limit for taking copies is 50 ms/,
    )
  })

  it('depends on what its shards take, not on other tables', async () => {
    const node = nodeWith([], { 'system.a_s0': 600, 'system.a_s1': 399, products: 5_000 })
    await assertMayCopy(node, NODE, { ...unlimited, capacityBytes: 1_000 })
    await expect(assertMayCopy(node, NODE, { ...unlimited, capacityBytes: 999 })).rejects.toThrow(
      'holds 999 bytes, its capacity is 999',
    )
  })

  it('asks nothing of a node without limits', async () => {
    const node = nodeWith([1_000, 1_000, 1_000])
    const before = node.clock.now()
    await assertMayCopy(node, NODE, unlimited)
    expect(node.clock.now()).toBe(before)
  })
})

describe('limits of copies', () => {
  /** Copies of nodes `a` and `b`, three each, that end when they are told to. */
  function started(lanes: Lanes) {
    const running: { node: string; end: () => void }[] = []
    for (const node of ['a', 'b']) {
      for (let copy = 0; copy < 3; copy++) {
        lanes.submit(node, {
          group: `g${copy}`,
          heavy: false,
          copies: true,
          leaves: false,
          isWanted: () => true,
          prepare: async () => await Promise.resolve(true),
          run: async () =>
            await new Promise<void>((resolve) => {
              const entry = { node, end: resolve }
              running.push(entry)
              const remove = () => running.splice(running.indexOf(entry), 1)
              entry.end = () => {
                remove()
                resolve()
              }
            }),
        })
      }
    }
    return running
  }
  const settle = async () => {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve()
  }

  it('hold while copies run, and take effect when they are changed', async () => {
    const lanes = new Lanes({ maxInFlight: 8, maxPrepared: 8 })
    lanes.limitCopies(1, 1)
    const running = started(lanes)
    await settle()
    expect(running.length).toBe(1)
    lanes.limitCopies(1, 4)
    await settle()
    expect(running.map(({ node }) => node).toSorted()).toEqual(['a', 'b'])
    lanes.limitCopies(3, 4)
    await settle()
    expect(running.length).toBe(4)
    lanes.limitCopies(1, 1)
    while (running.length > 1) running[0]?.end()
    await settle()
    // Fewer than are under way: those end, and none begins before.
    expect(running.length).toBe(1)
    running[0]?.end()
    await settle()
    expect(running.length).toBe(1)
  })
})
