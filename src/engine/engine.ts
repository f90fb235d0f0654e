import type { Command } from '../domain/command.ts'
import { ShardingError } from '../domain/errors.ts'
import { isEnded, OPERATION_STATES, type Operation } from '../domain/operation.ts'
import type { Clock, Fence, NodeCatalog, NodeConnector, Random } from '../domain/ports.ts'
import type { ProgressListener } from './events.ts'
import type { Journal } from './journal.ts'
import { JournalWriter } from './journal-writer.ts'
import { Lanes } from './lanes.ts'
import { OperationRun, type RunContext } from './operation-run.ts'
import { Probe } from './probe.ts'

export interface EngineParts {
  readonly journal: Journal
  readonly connector: NodeConnector
  readonly catalog: NodeCatalog
  readonly clock: Clock
  readonly random: Random
  readonly fence: Fence
  readonly onProgress: ProgressListener
}

/** How an operation ended, with its commands as they are in the journal. */
export interface EndedOperation {
  readonly operation: Operation
  readonly commands: readonly Command[]
}

interface LiveRun {
  readonly run: OperationRun
  readonly ended: Promise<EndedOperation>
}

/** Runs operations side by side for as long as one term of leadership lasts. */
export class Engine {
  readonly #context: RunContext
  readonly #live = new Map<string, LiveRun>()

  constructor(parts: EngineParts) {
    this.#context = {
      journal: parts.journal,
      writer: new JournalWriter(parts.journal, parts.fence),
      connector: parts.connector,
      probe: new Probe(parts.catalog, parts.connector),
      lanes: new Lanes(),
      clock: parts.clock,
      random: parts.random,
      fence: parts.fence,
      onProgress: parts.onProgress,
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
   * @returns one promise an operation, which resolves when it has ended
   */
  async recover(): Promise<{
    purged: string[]
    resumed: { group: string; ended: Promise<EndedOperation> }[]
  }> {
    const { journal, fence } = this.#context
    const purged = await journal.uncommittedGroups(fence.epoch)
    for (const group of purged) await journal.deleteCommands(group)
    const open = await journal.operations(OPERATION_STATES.filter((state) => !isEnded(state)))
    const resumed = []
    for (const { group } of open) {
      if (!this.#live.has(group)) resumed.push({ group, ended: this.resume(group) })
    }
    return { purged, resumed }
  }

  /**
   * Undoes an operation: one that runs, or a group without a pivot that has succeeded. Resolves when all of it
   * is undone.
   *
   * @throws ShardingError `operation_missing`, or `illegal_transition` past the pivot
   */
  async revert(group: string, reason: string): Promise<EndedOperation> {
    const running = this.#live.get(group)
    if (running !== undefined) {
      await running.run.revert(reason)
      return await running.ended
    }
    const { operation, commands } = await this.#adopt(group)
    if (operation.state === 'rolled_back') return { operation, commands }
    const run = new OperationRun(this.#context, operation, commands)
    await run.revert(reason)
    const ended = this.#runToEnd(run)
    this.#live.set(group, { run, ended })
    return await ended
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
