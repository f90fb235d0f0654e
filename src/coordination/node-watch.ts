import type { NodeId } from '../domain/words.ts'

/**
 * What is known of a node of the cluster. `silent`: it gives no answer, but the cluster of all nodes still counts on
 * it. `down`: that cluster goes on without it. `gone`: it has been down for so long that its copies are made anew.
 */
export const NODE_STATES = ['serving', 'silent', 'down', 'gone'] as const
export type NodeState = (typeof NODE_STATES)[number]

/** What was seen of a node at one look. */
export type Sighting = 'serving' | 'silent' | 'absent'

export interface NodeView {
  readonly node: NodeId
  readonly state: NodeState
  /** Since when, in milliseconds since 1970-01-01 UTC. */
  readonly since: number
  /** When it was serving last, in milliseconds since 1970-01-01 UTC; 0: never as far as we know. */
  readonly seenAt: number
}

/** A node that has become something else. */
export interface NodeChange {
  readonly view: NodeView
  /** Undefined: it is new. */
  readonly before: NodeState | undefined
}

export interface NodeWatchSettings {
  /** How long a node may be down before its copies are made anew elsewhere, in milliseconds. */
  readonly graceDelayMs: number
  /** A node that has come and gone more often than {@link maxFlaps} within this time is left alone, in milliseconds. */
  readonly flapWindowMs: number
  readonly maxFlaps: number
}

/** Follows all nodes of the cluster from look to look. Pure: what was seen and the time come from outside. */
export class NodeWatch {
  readonly #settings: NodeWatchSettings
  readonly #views = new Map<NodeId, NodeView>()
  /** Times at which a node has come or gone, within the window. */
  readonly #flaps = new Map<NodeId, number[]>()

  /** @param known as a former coordinator has written it down, so that its delays go on */
  constructor(settings: NodeWatchSettings, known: readonly NodeView[] = []) {
    this.#settings = settings
    for (const view of known) this.#views.set(view.node, view)
  }

  /**
   * Takes note of one look at all nodes.
   *
   * @returns what has changed; a node that is no member any more is forgotten
   */
  look(sightings: ReadonlyMap<NodeId, Sighting>, now: number): NodeChange[] {
    for (const node of this.#views.keys()) if (!sightings.has(node)) this.#forget(node)
    const changes: NodeChange[] = []
    for (const [node, sighting] of sightings) {
      const before = this.#views.get(node)
      const state = this.#next(before, sighting, now)
      const seenAt = sighting === 'serving' ? now : (before?.seenAt ?? 0)
      const since = before?.state === state ? before.since : this.#sinceOf(before, state, now)
      const view = { node, state, since, seenAt }
      this.#views.set(node, view)
      if (before?.state === state) continue
      if (comesOrGoes(before?.state, state)) this.#flaps.set(node, [...this.#recentFlaps(node, now), now])
      changes.push({ view, before: before?.state })
    }
    return changes
  }

  views(): NodeView[] {
    return [...this.#views.values()]
  }

  nodesIn(state: NodeState): NodeId[] {
    return this.views()
      .filter((view) => view.state === state)
      .map(({ node }) => node)
  }

  /** Whether it comes and goes so often that moving copies to or from it would do more harm than good. */
  flaps(node: NodeId, now: number): boolean {
    return this.#recentFlaps(node, now).length > this.#settings.maxFlaps
  }

  #next(before: NodeView | undefined, sighting: Sighting, now: number): NodeState {
    if (sighting === 'serving') return 'serving'
    const wasDown = before?.state === 'down' || before?.state === 'gone'
    if (sighting === 'silent') return wasDown ? before.state : 'silent'
    const since = wasDown ? before.since : now
    return now - since >= this.#settings.graceDelayMs || before?.state === 'gone' ? 'gone' : 'down'
  }

  /** Being gone counts from when it went down. */
  #sinceOf(before: NodeView | undefined, state: NodeState, now: number): number {
    return state === 'gone' && before?.state === 'down' ? before.since : now
  }

  #recentFlaps(node: NodeId, now: number): number[] {
    const recent = (this.#flaps.get(node) ?? []).filter((at) => now - at < this.#settings.flapWindowMs)
    return recent.slice(-(this.#settings.maxFlaps + 1))
  }

  #forget(node: NodeId): void {
    this.#views.delete(node)
    this.#flaps.delete(node)
  }
}

function comesOrGoes(before: NodeState | undefined, state: NodeState): boolean {
  const wasThere = before === 'serving' || before === 'silent'
  if (state === 'down') return wasThere
  return state === 'serving' && (before === 'down' || before === 'gone')
}
