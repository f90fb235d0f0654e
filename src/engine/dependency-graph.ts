/**
 * What may start now, when every item waits for others. Used forward with "waits for", and backward with
 * "its undo waits for the undo of".
 */
export class DependencyGraph {
  readonly #open = new Map<number, number>()
  readonly #dependents = new Map<number, number[]>()

  /**
   * @param ids what is to be done
   * @param waitFor for each id, what it waits for; ids that are not to be done count as done
   */
  constructor(ids: readonly number[], waitFor: (id: number) => readonly number[]) {
    const todo = new Set(ids)
    for (const id of ids) {
      const waits = new Set(waitFor(id).filter((other) => todo.has(other)))
      this.#open.set(id, waits.size)
      for (const other of waits) {
        const dependents = this.#dependents.get(other)
        if (dependents === undefined) this.#dependents.set(other, [id])
        else dependents.push(id)
      }
    }
  }

  /** Those that wait for nothing. */
  ready(): number[] {
    return [...this.#open].filter(([, waits]) => waits === 0).map(([id]) => id)
  }

  get size(): number {
    return this.#open.size
  }

  /** Marks one as done; returns those that wait for nothing more. */
  complete(id: number): number[] {
    this.#open.delete(id)
    const ready: number[] = []
    for (const dependent of this.#dependents.get(id) ?? []) {
      const waits = (this.#open.get(dependent) ?? 0) - 1
      this.#open.set(dependent, waits)
      if (waits === 0) ready.push(dependent)
    }
    this.#dependents.delete(id)
    return ready
  }
}
