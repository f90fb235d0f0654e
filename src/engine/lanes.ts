import type { NodeId } from '../domain/words.ts'

/** Something to run on a node, in two steps. */
export interface LaneTask {
  /** Tasks of different groups take turns, so that a long operation holds up no short one. */
  readonly group: string
  /** Long-running on the node's side, such as a JOIN; one at a time, because nodes queue them anyway. */
  readonly heavy: boolean
  /** It makes the node take in copies; {@link Lanes.limitCopies} says how many of these at a time. */
  readonly copies: boolean
  /**
   * It makes the node leave a cluster. One at a time over all nodes: two that leave clusters which they share with each
   * other may wait for each other without end.
   */
  readonly leaves: boolean
  /** False: it will do nothing when it runs, so it waits for none of its kind. Whoever changes that calls {@link Lanes.pump}. */
  isWanted(): boolean
  /** Writes to the journal that it is about to begin. False: it is not wanted any more. */
  prepare(): Promise<boolean>
  /** Never rejects. */
  run(): Promise<void>
}

export interface LaneLimits {
  /** Statements in flight to one node. More than a few only slow the daemon down. */
  readonly maxInFlight: number
  /** Tasks of a group announced in the journal ahead of their turn, so that one journal write serves several. */
  readonly maxPrepared: number
}

export const DEFAULT_LANE_LIMITS: LaneLimits = { maxInFlight: 3, maxPrepared: 16 }

/** One queue per node. Nodes work side by side; within a node few statements are in flight. */
export class Lanes {
  readonly #limits: LaneLimits
  readonly #lanes = new Map<NodeId, Lane>()
  readonly #shared = new SharedCounts()

  constructor(limits: LaneLimits = DEFAULT_LANE_LIMITS) {
    this.#limits = limits
  }

  /** Holds from now on; what is under way goes on. */
  limitCopies(perNode: number, inAll: number): void {
    this.#shared.perNode = perNode
    this.#shared.inAll = inAll
    this.pump()
  }

  /** Starts what may start now. */
  pump(): void {
    for (const lane of this.#lanes.values()) lane.pump()
  }

  submit(node: NodeId, task: LaneTask): void {
    let lane = this.#lanes.get(node)
    if (lane === undefined) {
      lane = new Lane(this.#limits, this.#shared, () => this.pump())
      this.#lanes.set(node, lane)
    }
    lane.submit(task)
  }
}

/** What all lanes share: copies under way and how many there may be, and whether a node is leaving a cluster. */
class SharedCounts {
  perNode = Number.POSITIVE_INFINITY
  inAll = Number.POSITIVE_INFINITY
  inFlight = 0
  leaving = 0
}

class Lane {
  readonly #limits: LaneLimits
  readonly #shared: SharedCounts
  readonly #onFreed: () => void
  /** Waiting tasks by group; groups take turns in the order of this map. */
  readonly #waiting = new Map<string, LaneTask[]>()
  readonly #prepared: LaneTask[] = []
  /** By group, how many are being prepared or are prepared: what may not run yet must hold up no other group. */
  readonly #ahead = new Map<string, number>()
  #inFlight = 0
  #heavyInFlight = 0
  #copiesInFlight = 0

  constructor(limits: LaneLimits, shared: SharedCounts, onFreed: () => void) {
    this.#limits = limits
    this.#shared = shared
    this.#onFreed = onFreed
  }

  submit(task: LaneTask): void {
    const waiting = this.#waiting.get(task.group)
    if (waiting === undefined) this.#waiting.set(task.group, [task])
    else waiting.push(task)
    this.pump()
  }

  pump(): void {
    while (this.#inFlight < this.#limits.maxInFlight) {
      const task = this.#takePrepared()
      if (task === undefined) break
      void this.#run(task)
    }
    for (let task = this.#takeWaiting(); task !== undefined; task = this.#takeWaiting()) {
      void this.#prepare(task)
    }
  }

  #takePrepared(): LaneTask | undefined {
    const index = this.#prepared.findIndex(
      (task) =>
        !task.isWanted() ||
        ((!task.heavy || this.#heavyInFlight === 0) &&
          (!task.copies || this.#mayCopy()) &&
          (!task.leaves || this.#shared.leaving === 0)),
    )
    const [task] = index < 0 ? [] : this.#prepared.splice(index, 1)
    if (task !== undefined) this.#countAhead(task.group, -1)
    return task
  }

  #mayCopy(): boolean {
    const { perNode, inAll, inFlight } = this.#shared
    return this.#copiesInFlight < perNode && inFlight < inAll
  }

  #takeWaiting(): LaneTask | undefined {
    for (const [group, tasks] of this.#waiting) {
      if ((this.#ahead.get(group) ?? 0) >= this.#limits.maxPrepared) continue
      const task = tasks.shift()
      this.#waiting.delete(group)
      if (tasks.length > 0) this.#waiting.set(group, tasks)
      return task
    }
    return undefined
  }

  #countAhead(group: string, change: 1 | -1): void {
    const count = (this.#ahead.get(group) ?? 0) + change
    if (count === 0) this.#ahead.delete(group)
    else this.#ahead.set(group, count)
  }

  #countCopy(change: 1 | -1): void {
    this.#copiesInFlight += change
    this.#shared.inFlight += change
  }

  async #prepare(task: LaneTask): Promise<void> {
    this.#countAhead(task.group, 1)
    const wanted = await task.prepare()
    if (wanted) this.#prepared.push(task)
    else this.#countAhead(task.group, -1)
    this.pump()
  }

  async #run(task: LaneTask): Promise<void> {
    this.#inFlight++
    if (task.heavy) this.#heavyInFlight++
    if (task.copies) this.#countCopy(1)
    if (task.leaves) this.#shared.leaving++
    await task.run()
    this.#inFlight--
    if (task.heavy) this.#heavyInFlight--
    if (task.copies) this.#countCopy(-1)
    if (task.leaves) this.#shared.leaving--
    if (task.copies || task.leaves) this.#onFreed()
    this.pump()
  }
}
