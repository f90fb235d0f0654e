import type { NodeId } from '../domain/words.ts'

/** Kinds of failures that are listed. More of them would say no more. */
const MAX_FAILURE_KINDS = 100
/** Wrong counts that are listed, the first ones: those after them mostly have the same cause. */
const MAX_WRONG_COUNTS = 100
/** Characters of an error text that are kept. */
const MAX_TEXT_LENGTH = 500

export interface LoadFailure {
  readonly node: NodeId
  readonly text: string
  readonly count: number
  readonly firstAt: number
  readonly lastAt: number
}

export interface WrongCount {
  readonly node: NodeId
  /** When the answer came. */
  readonly at: number
  readonly expectedMin: number
  readonly expectedMax: number
  readonly found: number
}

/** A time during which a node answers nothing; open until it does. */
interface Gap {
  readonly since: number
  readonly lastFailureAt: number
}

/** What the clients of a load saw that an application would not like to see. */
export class LoadFindings {
  readonly #failures = new Map<string, LoadFailure>()
  readonly #wrongCounts: WrongCount[] = []
  /** When each node answered last. */
  readonly #answeredAt = new Map<NodeId, number>()
  readonly #gaps = new Map<NodeId, Gap>()
  #asked: readonly NodeId[]
  #failedRequests = 0
  #longestClosedGapMs = 0

  constructor(asked: readonly NodeId[]) {
    this.#asked = asked
  }

  get failedRequests(): number {
    return this.#failedRequests
  }

  get failures(): readonly LoadFailure[] {
    return [...this.#failures.values()]
  }

  get wrongCounts(): readonly WrongCount[] {
    return [...this.#wrongCounts]
  }

  /** A gap that is still open lasts up to the last failure in it: nothing was asked of the node since. */
  get longestGapMs(): number {
    return Math.max(this.#longestClosedGapMs, ...[...this.#gaps.values()].map(lengthMs))
  }

  /** A node answered as it should. */
  answered(node: NodeId, at: number): void {
    if (this.#asked.includes(node)) this.#answeredAt.set(node, at)
    const gap = this.#gaps.get(node)
    if (gap !== undefined) this.#close(node, { ...gap, lastFailureAt: at })
  }

  /** A request that was sent at `begunAt` has failed. */
  failed(node: NodeId, text: string, begunAt: number, at: number): void {
    this.#failedRequests += 1
    if (this.#asked.includes(node)) {
      // While this request waited another client may have had its answer.
      const since = Math.max(begunAt, this.#answeredAt.get(node) ?? begunAt)
      this.#gaps.set(node, { since: this.#gaps.get(node)?.since ?? since, lastFailureAt: at })
    }
    const shown = text.slice(0, MAX_TEXT_LENGTH)
    const kind = `${node} ${shown}`
    const known = this.#failures.get(kind)
    if (known === undefined && this.#failures.size >= MAX_FAILURE_KINDS) return
    const { count, firstAt } = known ?? { count: 0, firstAt: at }
    this.#failures.set(kind, { node, text: shown, count: count + 1, firstAt, lastAt: at })
  }

  counted(count: WrongCount): void {
    const { expectedMin, expectedMax, found } = count
    const isRight = found >= expectedMin && found <= expectedMax
    if (!isRight && this.#wrongCounts.length < MAX_WRONG_COUNTS) this.#wrongCounts.push(count)
  }

  /** Only these are asked from now on. How long another one is silent is not known any more. */
  askedFromNowOn(nodes: readonly NodeId[]): void {
    this.#asked = nodes
    for (const [node, gap] of this.#gaps) if (!nodes.includes(node)) this.#close(node, gap)
    for (const node of this.#answeredAt.keys()) if (!nodes.includes(node)) this.#answeredAt.delete(node)
  }

  #close(node: NodeId, gap: Gap): void {
    this.#gaps.delete(node)
    this.#longestClosedGapMs = Math.max(this.#longestClosedGapMs, lengthMs(gap))
  }
}

function lengthMs({ since, lastFailureAt }: Gap): number {
  return lastFailureAt - since
}
