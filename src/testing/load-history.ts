/** Steps that the time which a history reaches back is divided into. It keeps at most two counts of each. */
const STEPS = 500

interface Step {
  readonly at: number
  readonly count: number
}

/**
 * How much a count had grown to by some time that is at most `reachMs` ago. It does not keep every count in
 * between: it says what was true then or a five-hundredth of that reach before, and never more than was true.
 */
export class CountHistory {
  readonly #reachMs: number
  readonly #stepMs: number
  /** Old ones first. The first one may be older than the history reaches: it holds until the second. */
  readonly #steps: Step[] = []
  #latest: Step = { at: -Infinity, count: 0 }

  constructor(reachMs: number) {
    this.#reachMs = reachMs
    this.#stepMs = reachMs / STEPS
  }

  /** One more, now. Time never goes backwards in here, whatever the clock says. */
  add(now: number): void {
    const at = Math.max(now, this.#latest.at)
    const lastKept = this.#steps.at(-1)
    if (lastKept === undefined || at - lastKept.at > this.#stepMs) this.#keep(at)
    this.#latest = { at, count: this.#latest.count + 1 }
  }

  /** The count at this time. */
  at(time: number): number {
    if (this.#latest.at <= time) return this.#latest.count
    return this.#steps.findLast((step) => step.at <= time)?.count ?? 0
  }

  #keep(now: number): void {
    this.#steps.push(this.#latest)
    const forgottenBefore = now - this.#reachMs
    while (this.#steps.length > 1 && (this.#steps[1]?.at ?? Infinity) <= forgottenBefore) this.#steps.shift()
  }
}
