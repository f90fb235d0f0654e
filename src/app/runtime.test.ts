import { describe, expect, it } from 'vitest'
import { ShardingError } from '../domain/errors.ts'
import { systemClock, systemRuntime } from './runtime.ts'

const LONG_MS = 600_000

describe('the clock of this machine', () => {
  it('tells the milliseconds since 1970', () => {
    const now = systemClock.now()
    expect(Number.isSafeInteger(now)).toBe(true)
    expect(Math.abs(now - Date.now())).toBeLessThan(60_000)
  })

  it('lets a sleep end with the very reason it was ended for', async () => {
    const reason = new ShardingError('leadership_lost', 'another process took the lease')
    const abort = new AbortController()
    const sleep = systemClock.sleep(LONG_MS, abort.signal)
    abort.abort(reason)
    await expect(sleep).rejects.toBe(reason)
    await expect(systemClock.sleep(LONG_MS, abort.signal)).rejects.toBe(reason)
  })

  it('lets a sleep pass that nobody ends', async () => {
    const before = performance.now()
    await systemClock.sleep(5, new AbortController().signal)
    await systemClock.sleep(5)
    expect(performance.now() - before).toBeGreaterThanOrEqual(9)
  })
})

it('every process is its own, and says where it runs', () => {
  const [one, other] = [systemRuntime(), systemRuntime()]
  expect(one.owner).toMatch(new RegExp(`:${process.pid}:[0-9a-f]{8}$`))
  expect(one.owner).not.toBe(other.owner)
})
