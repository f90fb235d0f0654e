import { expect, it } from 'vitest'
import {
  expectWhole,
  LOOP_TIMEOUT_MS,
  REBALANCE,
  stageFor,
  summaryOf,
  workerThatWaitsAt,
} from '../support/moves.ts'
import { againstRealNodes } from '../support/nodes.ts'

/** Every node is killed at some statements; over all statements each of them several times. */
const STRIDE = againstRealNodes ? 9 : 1

it(
  'a node killed at any statement of a rebalance: it ends without that node, and nothing is lost',
  async () => {
    const ends = new Set<string>()
    for (let n = 1; ; n += STRIDE) {
      await using stage = await stageFor(REBALANCE)
      const { nodes, observer } = stage
      const worker = workerThatWaitsAt(stage, n)
      const moved = summaryOf(REBALANCE.move(worker.member, nodes))
      const first = await Promise.race([worker.reached.then(() => 'reached'), moved.then(() => 'over')])
      if (first === 'over') {
        await worker.member.close()
        break
      }
      const victim = nodes.ids[n % nodes.ids.length] ?? ''
      await nodes.kill(victim)
      worker.goOn()
      const { state, error } = await moved
      await worker.member.close()
      const what = `${n}: ${victim} killed at statement ${n} (${worker.sent.at(-1)}): ${state} ${error}`
      expect(['succeeded', 'rolled_back'], what).toContain(state)
      ends.add(state)
      const { cluster } = observer
      await cluster.reroute()
      await nodes.restart(victim)
      for (const node of nodes.ids) await cluster.clean(node)
      await cluster.reroute()
      await cluster.rebalance()
      await cluster.reroute()
      await expectWhole(stage, what)
    }
    expect([...ends].toSorted()).toEqual(['rolled_back', 'succeeded'])
  },
  LOOP_TIMEOUT_MS,
)
