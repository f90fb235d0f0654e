import { InputError } from '../domain/errors.ts'
import type { NodeId } from '../domain/words.ts'
import { NODE_STATES, type NodeView } from './node-watch.ts'
import type { StateStore } from '../engine/state-store.ts'
import { DEFAULT_TRAITS, type NodeTraits } from '../planning/layout.ts'

/** What stands under `node:<id>` in `system.sharding_state`. */
export interface NodeRecord extends NodeTraits {
  /** It takes no copies any more. */
  readonly drained: boolean
}

const DEFAULT_RECORD: NodeRecord = { ...DEFAULT_TRAITS, drained: false }

/** What operators say about nodes. */
export class NodeRecords {
  readonly #state: StateStore

  constructor(state: StateStore) {
    this.#state = state
  }

  async get(node: NodeId): Promise<NodeRecord> {
    const { value } = await this.#state.get(key(node))
    return recordFrom(value)
  }

  async all(nodes: readonly NodeId[]): Promise<Map<NodeId, NodeRecord>> {
    const entries = await this.#state.getAll(nodes.map(key))
    return new Map(nodes.map((node) => [node, recordFrom(entries.get(key(node))?.value)]))
  }

  /** What a coordinator wrote down last of these nodes. */
  async seen(nodes: readonly NodeId[], now: number): Promise<NodeView[]> {
    const entries = await this.#state.getAll(nodes.map(key))
    return nodes.flatMap((node) => viewFrom(node, entries.get(key(node))?.value, now) ?? [])
  }

  /** Writes down when a node was seen last, and what it is since when. */
  async markSeen({ node, state, since, seenAt }: NodeView): Promise<void> {
    for (;;) {
      const { value, version } = await this.#state.get(key(node))
      const others = typeof value === 'object' && value !== null ? value : {}
      const stored = { ...others, state, since, seen_at: seenAt }
      if (await this.#state.compareAndSet(key(node), version, stored)) return
    }
  }

  /** @throws InputError for a weight or capacity that is not positive */
  async set(node: NodeId, change: Partial<NodeRecord>): Promise<NodeRecord> {
    for (;;) {
      const { value, version } = await this.#state.get(key(node))
      const record = { ...recordFrom(value), ...change }
      checkRecord(record)
      const { zone, weight, capacityBytes, drained } = record
      // Whatever else stands there, such as when the node was seen last, stays.
      const others = typeof value === 'object' && value !== null ? value : {}
      const stored = { ...others, zone, weight: exact(weight), capacity_bytes: capacityBytes, drained }
      if (await this.#state.compareAndSet(key(node), version, stored)) return record
    }
  }
}

function checkRecord({ weight, capacityBytes }: NodeRecord): void {
  if (!(Number.isFinite(weight) && weight > 0)) {
    throw new InputError('weight', `the weight of a node must be a number above 0, not ${weight}`)
  }
  if (capacityBytes !== null && !(Number.isFinite(capacityBytes) && capacityBytes > 0)) {
    throw new InputError(
      'capacityBytes',
      `the capacity of a node must be bytes above 0, not ${capacityBytes}`,
    )
  }
}

function recordFrom(value: unknown): NodeRecord {
  if (typeof value !== 'object' || value === null) return DEFAULT_RECORD
  const fields = new Map(Object.entries(value))
  const [zone, weight, capacity] = [fields.get('zone'), fields.get('weight'), fields.get('capacity_bytes')]
  return {
    zone: typeof zone === 'string' ? zone : null,
    weight: weightFrom(weight),
    capacityBytes: typeof capacity === 'number' ? capacity : null,
    drained: fields.get('drained') === true,
  }
}

/** The daemon keeps six digits of a fraction in JSON, but all of a text. */
function exact(value: number): number | string {
  return Number.isInteger(value) ? value : String(value)
}

function weightFrom(stored: unknown): number {
  const weight = typeof stored === 'string' ? Number(stored) : stored
  return typeof weight === 'number' && weight > 0 ? weight : DEFAULT_RECORD.weight
}

function viewFrom(node: NodeId, value: unknown, now: number): NodeView | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const fields = new Map(Object.entries(value))
  const state = NODE_STATES.find((found) => found === fields.get('state'))
  const [since, seenAt] = [fields.get('since'), fields.get('seen_at')]
  if (state === undefined || typeof since !== 'number' || typeof seenAt !== 'number') return undefined
  // Another machine's clock may be ahead of ours.
  return { node, state, since: Math.min(since, now), seenAt: Math.min(seenAt, now) }
}

function key(node: NodeId): string {
  return `node:${node}`
}
