import type { NodeId } from '../domain/words.ts'
import type { AttemptResult } from './attempt.ts'
import type { DependencyGraph } from './dependency-graph.ts'
import type { Lanes } from './lanes.ts'

/** What {@link drive} does with each item of its graph. */
export interface Stepper {
  readonly group: string
  node(id: number): NodeId
  heavy(id: number): boolean
  copies(id: number): boolean
  leaves(id: number): boolean
  /** Announces the step in the journal. */
  prepare(id: number): Promise<void>
  /** One try; `attempt` counts from 1. */
  run(id: number, attempt: number): Promise<AttemptResult>
  /** It was announced, but nothing was sent, and nothing will be. */
  abandon(id: number): Promise<void>
  /** Waits before the next try; rejects when `halt` is aborted. */
  backoff(attempt: number, halt: AbortSignal): Promise<void>
}

export type DriveResult =
  /** Every item is settled. */
  | { readonly kind: 'done' }
  /** Halted from outside; nothing is in flight any more. */
  | { readonly kind: 'halted' }
  /** An item failed for good; nothing is in flight any more. */
  | { readonly kind: 'failed'; readonly id: number; readonly error: unknown }

/**
 * Takes every item of the graph through prepare and run, each as soon as what it waits for is settled, as
 * parallel as the lanes allow. Stops starting at the first failure or when `halt` is aborted, and resolves only
 * when nothing is in flight any more.
 *
 * Rejects when the journal cannot be written: then the outcome of what was in flight is unknown, and whoever
 * leads next finds out. Rejects with a TypeError when items wait for each other in a circle.
 */
export async function drive(
  graph: DependencyGraph,
  stepper: Stepper,
  lanes: Lanes,
  halt: AbortSignal,
): Promise<DriveResult> {
  const run = new Drive(graph, stepper, lanes, halt)
  return await run.result
}

class Drive {
  readonly #graph: DependencyGraph
  readonly #stepper: Stepper
  readonly #lanes: Lanes
  readonly #stop = new AbortController()
  readonly #result = Promise.withResolvers<DriveResult>()
  /** Items that are with a lane or wait for their next try. */
  #busy = 0
  #outcome: DriveResult | undefined
  #fault: { readonly reason: unknown } | undefined

  constructor(graph: DependencyGraph, stepper: Stepper, lanes: Lanes, halt: AbortSignal) {
    this.#graph = graph
    this.#stepper = stepper
    this.#lanes = lanes
    const onHalt = () => {
      this.#outcome ??= { kind: 'halted' }
      this.#stopStarting()
      this.#settleWhenIdle()
    }
    if (halt.aborted) onHalt()
    else halt.addEventListener('abort', onHalt, { once: true, signal: this.#stop.signal })
    for (const id of graph.ready()) this.#submit(id, 1)
    this.#settleWhenIdle()
  }

  get result(): Promise<DriveResult> {
    return this.#result.promise
  }

  #submit(id: number, attempt: number): void {
    if (this.#stop.signal.aborted) return
    this.#busy++
    this.#lanes.submit(this.#stepper.node(id), {
      group: this.#stepper.group,
      heavy: this.#stepper.heavy(id),
      copies: this.#stepper.copies(id),
      leaves: this.#stepper.leaves(id),
      isWanted: () => !this.#stop.signal.aborted,
      prepare: async () => await this.#prepare(id),
      run: async () => await this.#run(id, attempt),
    })
  }

  async #prepare(id: number): Promise<boolean> {
    if (!this.#stop.signal.aborted) {
      try {
        await this.#stepper.prepare(id)
        return true
      } catch (reason) {
        this.#abort(reason)
      }
    }
    this.#finished()
    return false
  }

  async #run(id: number, attempt: number): Promise<void> {
    try {
      if (this.#stop.signal.aborted) await this.#stepper.abandon(id)
      else this.#next(id, attempt, await this.#stepper.run(id, attempt))
    } catch (reason) {
      this.#abort(reason)
    }
    this.#finished()
  }

  #next(id: number, attempt: number, result: AttemptResult): void {
    switch (result.kind) {
      case 'settled':
        if (result.recorded !== undefined) void this.#record(result.recorded)
        for (const ready of this.#graph.complete(id)) this.#submit(ready, 1)
        break
      case 'again':
        void this.#again(id, attempt)
        break
      case 'failed':
        this.#outcome ??= { kind: 'failed', id, error: result.error }
        this.#stopStarting()
        break
    }
  }

  /** Its lane is free already, but the drive has not ended before the journal knows. */
  async #record(recorded: Promise<void>): Promise<void> {
    this.#busy++
    try {
      await recorded
    } catch (reason) {
      this.#abort(reason)
    }
    this.#finished()
  }

  async #again(id: number, attempt: number): Promise<void> {
    this.#busy++
    try {
      await this.#stepper.backoff(attempt, this.#stop.signal)
      this.#submit(id, attempt + 1)
    } catch (reason) {
      // An aborted wait is the normal end of a drive that was stopped.
      if (!this.#stop.signal.aborted) this.#abort(reason)
    }
    this.#finished()
  }

  #abort(reason: unknown): void {
    this.#fault ??= { reason }
    this.#stopStarting()
  }

  /** What is announced and held up on a lane is abandoned at once. */
  #stopStarting(): void {
    this.#stop.abort()
    this.#lanes.pump()
  }

  #finished(): void {
    this.#busy--
    this.#settleWhenIdle()
  }

  #settleWhenIdle(): void {
    if (this.#busy > 0) return
    // Nothing is left that could be stopped, so nobody needs to listen any more.
    this.#stop.abort()
    if (this.#fault !== undefined) this.#result.reject(this.#fault.reason)
    else if (this.#outcome !== undefined) this.#result.resolve(this.#outcome)
    else if (this.#graph.size === 0) this.#result.resolve({ kind: 'done' })
    else this.#result.reject(new TypeError(`${this.#graph.size} commands wait for each other`))
  }
}
