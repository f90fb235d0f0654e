import { describe, expect, it } from 'vitest'
import { EmbeddedCluster, type EmbeddedNode, VirtualClock } from './index.ts'

/**
 * Storms of crashes, restarts, partitions and writes on virtual time. Whatever the order, a write that was
 * acknowledged is on every member when the storm is over.
 */

const NODES = 3
/** A storm comes in gusts: after each, everything comes back and goes on. */
const GUSTS = 6
const STEPS = 40
const DETECTION_MS = 1_000

/** Mulberry32: small, and the same everywhere. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

class Storm {
  readonly clock = new VirtualClock()
  readonly acknowledged = new Set<number>()
  readonly cluster: EmbeddedCluster
  readonly #next: () => number
  readonly #writes: Promise<void>[] = []
  #rows = 0

  static async start(seed: number): Promise<Storm> {
    const clock = new VirtualClock()
    const next = seeded(seed)
    const cluster = await clock.run(
      EmbeddedCluster.start({
        nodes: NODES,
        cluster: 'c',
        dataDir: ':memory:',
        listen: false,
        clock,
        random: { next },
        failureDetectionMs: DETECTION_MS,
        latency: { joinMs: 300, writeMs: 1 },
      }),
    )
    const storm = new Storm(cluster, clock, next)
    await storm.run('CREATE TABLE a (v int)')
    await storm.run('ALTER CLUSTER c ADD a')
    return storm
  }

  private constructor(cluster: EmbeddedCluster, clock: VirtualClock, next: () => number) {
    this.cluster = cluster
    this.clock = clock
    this.#next = next
  }

  async run(sql: string): Promise<void> {
    await this.clock.run(this.#node(0).query(sql))
  }

  async step(): Promise<void> {
    const node = this.#node(Math.floor(this.#next() * NODES))
    const choice = this.#next()
    if (choice < 0.6) this.#write(node)
    else if (choice < 0.68) await node.crash()
    else if (choice < 0.72) await node.stop()
    else if (choice < 0.84) {
      if (!node.running) await node.start()
    } else if (choice < 0.9) this.cluster.partition([[node.id]])
    else this.cluster.heal()
    await this.clock.advance(Math.floor(this.#next() * 600))
  }

  /** Everything runs and is connected again; the most advanced member goes on if nobody can write. */
  async calm(): Promise<void> {
    this.cluster.heal()
    for (const node of this.cluster.nodes) if (!node.running) await node.start()
    await this.clock.advance(10 * DETECTION_MS)
    const members = this.cluster.nodes.flatMap((node) => [...(node.process?.memberships.values() ?? [])])
    if (!members.some((member) => member.writable)) {
      const best = members.toSorted((a, b) => b.seqno - a.seqno)[0]
      const founder = this.cluster.nodes.find((node) => node.id === best?.node)
      await this.clock.run(
        founder?.query("SET CLUSTER c GLOBAL 'pc.bootstrap' = 1") ?? Promise.reject(new Error('no member')),
      )
    }
    await this.clock.run(this.cluster.untilSynced(AbortSignal.timeout(20_000)))
    await this.clock.run(Promise.all(this.#writes))
  }

  async rows(index: number): Promise<readonly unknown[]> {
    const result = await this.clock.run(
      this.#node(index).query('SELECT id, v FROM a ORDER BY id ASC LIMIT 10000'),
    )
    return result.rows
  }

  #write(node: EmbeddedNode): void {
    this.#rows += 1
    const row = this.#rows
    const write = node.query(`INSERT INTO c:a (id, v) VALUES (${row}, ${row})`)
    this.#writes.push(
      write.then(
        () => {
          this.acknowledged.add(row)
        },
        // Refused, or the answer was lost: nothing is promised.
        () => undefined,
      ),
    )
  }

  #node(index: number): EmbeddedNode {
    const node = this.cluster.nodes[index]
    if (node === undefined) throw new Error(`no node ${index}`)
    return node
  }
}

describe('replication in a storm', () => {
  it.each(Array.from({ length: 40 }, (_value, index) => index + 1))(
    'keeps what it acknowledged, seed %i',
    async (seed) => {
      const storm = await Storm.start(seed)
      try {
        for (let gust = 0; gust < GUSTS; gust += 1) {
          for (let step = 0; step < STEPS; step += 1) await storm.step()
          await storm.calm()
        }
        const rows = await storm.rows(0)
        const ids = new Set(
          rows.map((row) => (typeof row === 'object' && row !== null && 'id' in row ? row.id : null)),
        )
        expect([...storm.acknowledged].filter((row) => !ids.has(row))).toEqual([])
        expect(storm.acknowledged.size).toBeGreaterThan(0)
        for (let index = 1; index < NODES; index += 1) expect(await storm.rows(index)).toEqual(rows)
      } finally {
        await storm.cluster.close()
      }
    },
  )
})
