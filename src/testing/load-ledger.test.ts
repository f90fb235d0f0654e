import { describe, expect, it } from 'vitest'
import { LoadLedger } from './load-ledger.ts'
import { loadNumber, loadTitle } from './load-rows.ts'

const versionsThatMayBe = (ledger: LoadLedger, id: number) =>
  [0, 1, 2, 3].filter((version) => ledger.mayHave(id, loadTitle(id), loadNumber(id, version)))

describe('the ledger of a load', () => {
  it('knows what must be there, what may be and what must not', () => {
    const ledger = new LoadLedger(100)
    const [acknowledged, refused, unanswered] = [
      ledger.beginInsert(),
      ledger.beginInsert(),
      ledger.beginInsert(),
    ]
    ledger.acknowledgeInsert(acknowledged)
    ledger.refuseInsert(refused)
    expect([acknowledged, refused, unanswered]).toEqual([100, 101, 102])
    const ids = [99, 100, 101, 102, 103]
    expect(ids.filter((id) => ledger.mustBeThere(id))).toEqual([100])
    expect(ids.filter((id) => ledger.mayBeThere(id))).toEqual([100, 102])
    expect(ledger).toMatchObject({ begun: 3, acknowledged: 1, possible: 2 })
  })

  it('allows the version that was acknowledged, and both when one is in doubt', () => {
    const ledger = new LoadLedger(1)
    const id = ledger.beginInsert()
    expect(ledger.beginUpdate(id)).toBeNull()
    ledger.acknowledgeInsert(id)
    expect(versionsThatMayBe(ledger, id)).toEqual([0])
    expect(ledger.beginUpdate(id)).toBe(1)
    ledger.acknowledgeUpdate(id)
    expect(versionsThatMayBe(ledger, id)).toEqual([1])
    expect(ledger.beginUpdate(id)).toBe(2)
    ledger.forgetUpdate(id)
    expect(versionsThatMayBe(ledger, id)).toEqual([1])
    expect(ledger.beginUpdate(id)).toBe(3)
    expect(versionsThatMayBe(ledger, id)).toEqual([1, 3])
  })

  it('updates no row again whose last update is in doubt: that one may take effect later', () => {
    const ledger = new LoadLedger(1)
    const id = ledger.beginInsert()
    ledger.acknowledgeInsert(id)
    ledger.beginUpdate(id)
    expect(ledger.beginUpdate(id)).toBeNull()
    expect(ledger.mustBeThere(id)).toBe(true)
  })

  it('tells a changed title', () => {
    const ledger = new LoadLedger(1)
    const id = ledger.beginInsert()
    ledger.acknowledgeInsert(id)
    expect(ledger.mayHave(id, loadTitle(id + 1), loadNumber(id, 0))).toBe(false)
  })

  it('forgets nothing when it grows', () => {
    const ledger = new LoadLedger(1)
    for (let row = 0; row < 5_000; row++) {
      const id = ledger.beginInsert()
      if (id % 3 === 0) ledger.refuseInsert(id)
      else ledger.acknowledgeInsert(id)
      if (id % 3 === 1 && ledger.beginUpdate(id) === 1) ledger.acknowledgeUpdate(id)
    }
    for (const id of [1, 2, 3, 1_024, 1_025, 2_048, 2_049, 5_000]) {
      expect(ledger.mayBeThere(id), String(id)).toBe(id % 3 !== 0)
      if (id % 3 > 0) expect(versionsThatMayBe(ledger, id), String(id)).toEqual([id % 3 === 1 ? 1 : 0])
    }
  })
})
