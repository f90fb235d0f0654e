import { describe, expect, it } from 'vitest'
import {
  everything,
  expectWhole,
  LOOP_TIMEOUT_MS,
  memberWithTrouble,
  REBALANCE,
  SCENARIOS,
  stageFor,
  summaryOf,
} from '../support/moves.ts'
import { againstRealNodes } from '../support/nodes.ts'

const isJournal = (sql: string) => /system\.sharding_(queue|operation|state)/.test(sql)
const isRefusable = (sql: string) =>
  !isJournal(sql) && !sql.startsWith('CREATE TABLE IF NOT EXISTS system.sharding')

describe.each(SCENARIOS)('$name', (scenario) => {
  it(
    'is put back whole when any statement fails for good before the point of no return, and succeeds behind it',
    async () => {
      let rolledBack = 0
      // Real daemons are slow: there, some of the statements are tried.
      for (let n = 1; ; n += againstRealNodes ? 7 : 1) {
        await using stage = await stageFor(scenario)
        const { member, hit } = memberWithTrouble(stage, n, 'refused', isRefusable)
        const { state } = await summaryOf(scenario.move(member, stage.nodes))
        await member.close()
        const what = `refused statement ${n}: ${hit()?.node} ${hit()?.sql}`
        if (state === 'rolled_back') {
          rolledBack++
          expect(await everything(stage.observer, stage.nodes), what).toEqual(stage.before)
        } else expect(state, what).toBe('succeeded')
        await expectWhole(stage, what)
        if (hit() === undefined) break
      }
      expect(rolledBack).toBeGreaterThan(againstRealNodes ? 0 : 8)
    },
    LOOP_TIMEOUT_MS,
  )

  it.each(['lost request', 'lost reply'] as const)(
    'succeeds when there is a %s with any statement, journal included',
    async (trouble) => {
      // Every statement once with the first scenario, which has most kinds of them.
      const stride = againstRealNodes ? 11 : scenario === REBALANCE ? 1 : 4
      for (let n = 1; ; n += stride) {
        await using stage = await stageFor(scenario)
        const { member, hit } = memberWithTrouble(stage, n, trouble, () => true)
        const { state, error } = await summaryOf(scenario.move(member, stage.nodes))
        await member.close()
        const what = `${trouble} of statement ${n}: ${hit()?.node} ${hit()?.sql}`
        expect(`${state} ${error}`, what).toBe('succeeded ')
        await expectWhole(stage, what)
        if (hit() === undefined) break
      }
    },
    LOOP_TIMEOUT_MS,
  )
})
