import type { Command } from '../domain/command.ts'
import { ShardingError } from '../domain/errors.ts'
import {
  isEnded,
  isParked,
  OPERATION_STATES,
  type Operation,
  operationTransition,
} from '../domain/operation.ts'
import type { Clock, Fence, NodeCatalog, NodeConnector, Random } from '../domain/ports.ts'
import type { NodeId } from '../domain/words.ts'
import type { Guard } from './attempt.ts'
import type { ProgressListener } from './events.ts'
import { fenced } from './fenced-connector.ts'
import type { Journal } from './journal.ts'
import { JournalWriter } from './journal-writer.ts'
import { Lanes } from './lanes.ts'
import { OperationRun, type RunContext } from './operation-run.ts'
import { Probe } from './probe.ts'
import type { Throttle } from './throttle.ts'
import type { Touched } from './touched.ts'

export interface EngineParts {
  readonly journal: Journal
  readonly connector: NodeConnector
  readonly catalog: NodeCatalog
  readonly clock: Clock
  readonly random: Random
  readonly fence: Fence
  readonly guard: Guard
  /** How much of the cluster moving copies may take now. */
  readonly throttle: () => Promise<Throttle>
  /** Whether the cluster of all nodes goes on without this node. */
  readonly isGone: (node: NodeId) => Promise<boolean>
  /** Another node that serves in that cluster, if one answers. */
  readonly otherNode: (node: NodeId) => Promise<NodeId | undefined>
  readonly onProgress: ProgressListener
  /** Told, and waited for, when an operation has reached a state. */
  readonly onState: (operation: Operation, touched: Touched) => Promise<void>
}

/** How an operation ended, with its commands as they are in the journal. */
export interface EndedOperation {
  readonly operation: Operation
  readonly commands: readonly Command[]
}

/** What the journal holds that has not ended. */
export interface OpenOperations {
  /** Those that go on here, each with a promise that resolves when it has ended. */
  readonly resumed: readonly { readonly group: string; readonly ended: Promise<EndedOperation> }[]
  /** Those that have to be planned first. */
  readonly planned: readonly Operation[]
}

interface LiveRun {
  readonly run: OperationRun
  readonly ended: Promise<EndedOperation>
}

/** Runs operations side by side for as long as one term of leadership lasts. */
export class Engine {
  readonly #context: RunContext
  readonly #throttle: () => Promise<Throttle>
  readonly #live = new Map<string, LiveRun>()

  constructor(parts: EngineParts) {
    const { catalog, throttle, ...rest } = parts
    const membersOf = async (node: NodeId, set: string) => (await catalog.cluster(node, set))?.nodesSet ?? []
    this.#throttle = throttle
    this.#context = {
      ...rest,
      connector: fenced(parts.connector, parts.fence),
      membersOf,
      writer: new JournalWriter(parts.journal, parts.fence),
      probe: new Probe(catalog, parts.connector),
      lanes: new Lanes(),
    }
  }

  /** Operations that have not ended. */
  live(): Operation[] {
    return [...this.#live.values()].map(({ run }) => run.operation)
  }

  /** Resolves when the operation has ended, whichever way. Runs it if it does not run yet. */
  async run(operation: Operation, commands: readonly Command[]): Promise<EndedOperation> {
    const running = this.#live.get(operation.group)
    if (running !== undefined) return await running.ended
    const run = new OperationRun(this.#context, operation, commands)
    const ended = this.#runToEnd(run)
    this.#live.set(operation.group, { run, ended })
    return await ended
  }

  /**
   * Takes over everything that the journal says is not ended: half-stored operations are purged, all others go
   * on where they stopped.
   *
   */
  async recover(): Promise<OpenOperations> {
    const [open] = await Promise.all([this.#open(), this.#purge(), this.#goByThrottle()])
    return await this.#takeUp(open)
  }

  async #purge(): Promise<void> {
    const { journal, fence } = this.#context
    for (const group of await journal.uncommittedGroups(fence.epoch)) await journal.deleteCommands(group)
  }

  /**
   * Looks at the journal for what others have asked of operations: tells those that run, and takes up those that
   * nobody runs. One that is paused or held waits until somebody, or the time, releases it.
   */
  async watchOnce(): Promise<OpenOperations> {
    const [open] = await Promise.all([this.#open(), this.#goByThrottle()])
    return await this.#takeUp(open)
  }

  async #open(): Promise<Operation[]> {
    return await this.#context.journal.operations(OPERATION_STATES.filter((state) => !isEnded(state)))
  }

  async #goByThrottle(): Promise<void> {
    const { movesPerNode, movesInAll } = await this.#throttle()
    this.#context.lanes.limitCopies(movesPerNode, movesInAll)
  }

  async #takeUp(open: readonly Operation[]): Promise<OpenOperations> {
    const resumed = []
    for (const operation of open) {
      const { group, state, holdUntil } = operation
      const live = this.#live.get(group)
      if (state === 'planned') continue
      if (live !== undefined) live.run.observe(operation)
      else if (!isParked(state) || (state === 'held' && holdUntil <= this.#context.clock.now())) {
        if (state === 'held') await this.#release(group)
        resumed.push({ group, ended: this.resume(group) })
      }
    }
    return { resumed, planned: open.filter(({ state }) => state === 'planned') }
  }

  async #release(group: string): Promise<void> {
    await this.#context.journal.requestState(group, 'held', operationTransition('held', 'release'), {})
  }

  /**
   * Runs what the journal holds of an operation to its end; joins it when it runs already.
   *
   * @throws ShardingError `operation_missing`
   */
  async resume(group: string): Promise<EndedOperation> {
    const running = this.#live.get(group)
    if (running !== undefined) return await running.ended
    const { operation, commands } = await this.#adopt(group)
    return await this.run(operation, commands)
  }

  /** Tables and replica sets that each running operation works on. */
  touched(): Map<string, Touched> {
    return new Map([...this.#live].map(([group, { run }]) => [group, run.touched]))
  }

  /**
   * Waits until no running operation makes replica sets. A plan must not build on a set that may still be undone
   * with the operation that makes it.
   */
  async replicaSetsSettled(): Promise<void> {
    const makers = [...this.#live.values()].filter(({ run }) => run.makesReplicaSets)
    await Promise.allSettled(makers.map(({ ended }) => ended))
  }

  async #adopt(group: string): Promise<EndedOperation> {
    const { journal, fence } = this.#context
    await journal.adopt(group, fence.epoch)
    const operation = await journal.operation(group)
    if (operation === undefined) {
      throw new ShardingError('operation_missing', `there is no operation '${group}' in the journal`)
    }
    return { operation, commands: await journal.commands(group) }
  }

  async #runToEnd(run: OperationRun): Promise<EndedOperation> {
    try {
      const operation = await run.run()
      return { operation, commands: run.commands() }
    } finally {
      this.#live.delete(run.operation.group)
    }
  }
}
