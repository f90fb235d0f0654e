import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fixedRandom } from '../../test/support/engine-doubles.ts'
import { JournalNodes } from '../../test/support/journal-nodes.ts'
import { PLACEMENT_TABLE } from '../domain/system-tables.ts'
import { JournalConnection } from '../engine/journal-connection.ts'
import { PlacementStore } from './placement-store.ts'

/** Rows read at once. */
const PAGE = 1_000

let nodes: JournalNodes
let store: PlacementStore

beforeAll(async () => {
  nodes = await JournalNodes.start(1)
  store = new PlacementStore(nodes.connection())
})
afterAll(async () => {
  await nodes.close()
})

/** Writes these rows and no others, in the order given. */
async function fill(ids: readonly number[]): Promise<void> {
  await nodes.sql(`DELETE FROM c:${PLACEMENT_TABLE} WHERE id > 0`)
  for (let start = 0; start < ids.length; start += 500) {
    const rows = ids
      .slice(start, start + 500)
      .map((id) => `(${id}, 'r1', '10.0.0.1:9312', 't${id}', (0,${id % 7}))`)
    await nodes.sql(
      `INSERT INTO c:${PLACEMENT_TABLE} (id, cluster, node, table, shards) VALUES ${rows.join(', ')}`,
    )
  }
}

describe('the placement in force', () => {
  it('is nothing when nothing is placed', async () => {
    await fill([])
    expect(await store.all()).toEqual([])
  })

  it('is what stands in the table, shards as numbers', async () => {
    await fill([])
    await nodes.sql(
      `INSERT INTO c:${PLACEMENT_TABLE} (id, cluster, node, table, shards) VALUES (9, 'r1', '10.0.0.2:9312', 'users', (2,0,10)), (4, '', '10.0.0.1:9312', 'users', (1))`,
    )
    expect(await store.all()).toEqual([
      { id: 4, table: 'users', node: '10.0.0.1:9312', replicaSet: '', shards: [1] },
      { id: 9, table: 'users', node: '10.0.0.2:9312', replicaSet: 'r1', shards: [0, 2, 10] },
    ])
  })

  it.each([PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 2 * PAGE + 1])(
    'is read to its end, every row once: %i rows',
    async (count) => {
      // Ids as they are given out: far apart, and not stored in their order.
      const ids = Array.from({ length: count }, (_, index) => 7_000_000_000_000_000 + 4_096 * index)
      await fill(ids.toReversed())
      const placements = await store.all()
      expect(placements.map(({ id }) => id)).toEqual(ids)
      expect(placements.at(-1)).toMatchObject({ table: `t${ids.at(-1)}` })
    },
  )

  it('is asked for no more often than it takes', async () => {
    let reads = 0
    const { connector } = nodes
    const counting = {
      connection: (node: string) => {
        const inner = connector.connection(node)
        return {
          node,
          read: async (sql: string) => {
            reads++
            return await inner.read(sql)
          },
          execute: inner.execute.bind(inner),
          close: inner.close.bind(inner),
        }
      },
      close: async () => await Promise.resolve(),
    }
    await fill(Array.from({ length: PAGE + 1 }, (_, index) => index + 1))
    await new PlacementStore(
      new JournalConnection(counting, () => nodes.ids, nodes.clock, fixedRandom()),
    ).all()
    expect(reads).toBe(2)
  })
})
