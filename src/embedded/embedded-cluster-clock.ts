import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../domain/ports.ts'

interface Sleeper {
  readonly dueMs: number
  readonly wake: () => void
}

/**
 * Time that passes only when told to: everything that would take minutes is tested in milliseconds, and happens
 * in the same order every time.
 */
export class VirtualClock implements Clock {
  #nowMs: number
  readonly #sleepers = new Set<Sleeper>()

  constructor(startMs = 1_800_000_000_000) {
    this.#nowMs = startMs
  }

  now(): number {
    return this.#nowMs
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        this.#sleepers.delete(sleeper)
        const reason: unknown = signal?.reason
        reject(reason instanceof Error ? reason : new Error(String(reason)))
      }
      const sleeper: Sleeper = {
        dueMs: this.#nowMs + Math.max(0, ms),
        wake: () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        },
      }
      this.#sleepers.add(sleeper)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** Lets `ms` pass, and everything happen that is due meanwhile. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms
    await nextTurn()
    for (let next = this.#next(); next !== null && next.dueMs <= endMs; next = this.#next()) {
      this.#wake(next)
      await nextTurn()
    }
    this.#nowMs = endMs
    await nextTurn()
  }

  /** Lets time pass until `work` is done. Rejects when it waits for something that time does not bring. */
  async run<T>(work: Promise<T>): Promise<T> {
    const progress = { isDone: false }
    const done = work.finally(() => {
      progress.isDone = true
    })
    done.catch(() => undefined)
    let idleTurns = 0
    await nextTurn()
    while (!progress.isDone) {
      const next = this.#next()
      if (next !== null) this.#wake(next)
      idleTurns = next === null ? idleTurns + 1 : 0
      if (idleTurns > MAX_IDLE_TURNS) throw new Error('nobody sleeps, and the work is not done')
      await nextTurn()
    }
    return await done
  }

  #next(): Sleeper | null {
    let next: Sleeper | null = null
    for (const sleeper of this.#sleepers) if (next === null || sleeper.dueMs < next.dueMs) next = sleeper
    return next
  }

  #wake(sleeper: Sleeper): void {
    this.#sleepers.delete(sleeper)
    this.#nowMs = Math.max(this.#nowMs, sleeper.dueMs)
    sleeper.wake()
  }
}

/** Turns of the event loop that work may take without sleeping, e.g. for files; then it is taken for stuck. */
const MAX_IDLE_TURNS = 100_000
