/** What stands for all values beyond the limit. */
const OTHER = 'other'

/** Keeps the number of time series bounded: after so many different values of a label the rest is one. */
export class LabelValues {
  readonly #limit: number
  readonly #known = new Set<string>()

  constructor(limit: number) {
    this.#limit = limit
  }

  of(value: string): string {
    if (this.#known.has(value)) return value
    if (this.#known.size >= this.#limit) return OTHER
    this.#known.add(value)
    return value
  }
}
