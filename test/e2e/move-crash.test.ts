import { describe, expect, it } from 'vitest'
import { fastClock, openMember } from '../support/member.ts'
import {
  expectWhole,
  LOOP_TIMEOUT_MS,
  memberWithTrouble,
  REBALANCE,
  SCENARIOS,
  SPEED,
  stageFor,
} from '../support/moves.ts'
import { againstRealNodes } from '../support/nodes.ts'

describe.each(SCENARIOS)('$name', (scenario) => {
  it.each(['death before', 'death after'] as const)(
    'is finished or undone by the next process, %s any statement',
    async (how) => {
      const stride = againstRealNodes ? 11 : scenario === REBALANCE ? 1 : 4
      for (let n = 1; ; n += stride) {
        await using stage = await stageFor(scenario)
        const { member, hit, died } = memberWithTrouble(stage, n, how, () => true)
        const moved = scenario.move(member, stage.nodes).then(() => 'alive' as const)
        const ended = await Promise.race([moved, died.then(() => 'died' as const)])
        if (ended === 'alive') await member.close()
        const what = `${how} statement ${n}: ${hit()?.node} ${hit()?.sql}`
        const next = openMember(stage.nodes.ids, { clock: fastClock(SPEED) })
        await next.cluster.recover()
        expect(await next.cluster.openOperations(), what).toEqual([])
        await next.close()
        await expectWhole(stage, what)
        if (ended === 'alive') break
      }
    },
    LOOP_TIMEOUT_MS,
  )
})
