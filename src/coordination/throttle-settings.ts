import { InputError } from '../domain/errors.ts'
import type { StateStore } from '../engine/state-store.ts'
import { DEFAULT_THROTTLE, type Throttle } from '../engine/throttle.ts'

/** Under this key in `system.sharding_state`, so that whoever leads goes by it. */
const KEY = 'throttle'

/** How much of the cluster moving copies may take, for all processes. */
export class ThrottleSettings {
  readonly #state: StateStore

  constructor(state: StateStore) {
    this.#state = state
  }

  async get(): Promise<Throttle> {
    const { value } = await this.#state.get(KEY)
    return throttleFrom(value)
  }

  /** @throws InputError for limits below 1 */
  async set(change: Partial<Throttle>): Promise<Throttle> {
    for (;;) {
      const { value, version } = await this.#state.get(KEY)
      const throttle = { ...throttleFrom(value), ...change }
      check('movesPerNode', throttle.movesPerNode)
      check('movesInAll', throttle.movesInAll)
      if (throttle.maxLatencyMs !== null) check('maxLatencyMs', throttle.maxLatencyMs)
      const { movesPerNode, movesInAll, maxLatencyMs } = throttle
      const stored = { moves_per_node: movesPerNode, moves_in_all: movesInAll, max_latency_ms: maxLatencyMs }
      if (await this.#state.compareAndSet(KEY, version, stored)) return throttle
    }
  }
}

function check(field: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 1) return
  throw new InputError(field, `${field} must be a whole number of at least 1, not ${value}`)
}

function throttleFrom(value: unknown): Throttle {
  if (typeof value !== 'object' || value === null) return DEFAULT_THROTTLE
  const fields = new Map(Object.entries(value))
  const number = (name: string) => {
    const found: unknown = fields.get(name)
    return typeof found === 'number' ? found : undefined
  }
  return {
    movesPerNode: number('moves_per_node') ?? DEFAULT_THROTTLE.movesPerNode,
    movesInAll: number('moves_in_all') ?? DEFAULT_THROTTLE.movesInAll,
    maxLatencyMs: number('max_latency_ms') ?? DEFAULT_THROTTLE.maxLatencyMs,
  }
}
