import {
  type Command,
  type CommandStatus,
  COMMAND_STATUSES,
  isUndoSettled,
  type Phase,
} from '../domain/command.ts'
import { messageOf, ShardingError, unreachable } from '../domain/errors.ts'
import { isEnded, type Operation, type OperationEvent, operationTransition } from '../domain/operation.ts'
import type { Clock, Fence, NodeConnector, Random } from '../domain/ports.ts'
import { type AttemptContext, attemptForward, attemptUndo } from './attempt.ts'
import { DependencyGraph } from './dependency-graph.ts'
import { drive, type DriveResult, type Stepper } from './drive.ts'
import type { ProgressListener } from './events.ts'
import type { Journal } from './journal.ts'
import type { JournalWriter } from './journal-writer.ts'
import type { Lanes } from './lanes.ts'
import { LiveCommand } from './live-command.ts'
import type { Probe } from './probe.ts'
import { backoffMs, MAX_UNDO_BACKOFF_MS } from './retry.ts'

export interface RunContext {
  readonly journal: Journal
  readonly writer: JournalWriter
  readonly connector: NodeConnector
  readonly probe: Probe
  readonly lanes: Lanes
  readonly clock: Clock
  readonly random: Random
  readonly fence: Fence
  readonly onProgress: ProgressListener
}

/**
 * Takes one operation from the state it is in to its end. Everything it decides it first writes to the journal,
 * so a new run in another process goes on where this one stopped.
 */
export class OperationRun {
  readonly #context: RunContext
  readonly #commands: ReadonlyMap<number, LiveCommand>
  readonly #counts: Record<CommandStatus, number>
  /** Aborted to leave the forward direction. */
  #halt = new AbortController()
  #operation: Operation

  constructor(context: RunContext, operation: Operation, commands: readonly Command[]) {
    this.#context = context
    this.#operation = operation
    this.#counts = countByStatus(commands)
    this.#commands = new Map(
      commands.map((command) => {
        let status = command.status
        const live = new LiveCommand(command, context.writer, (changed) => {
          this.#counts[status]--
          this.#counts[changed.status]++
          status = changed.status
          this.#report(changed)
        })
        return [command.id, live]
      }),
    )
  }

  get operation(): Operation {
    return this.#operation
  }

  get makesReplicaSets(): boolean {
    return this.#list(() => true).some(({ statements }) =>
      statements.some(({ kind }) => kind === 'create_cluster'),
    )
  }

  commands(): Command[] {
    return [...this.#commands.values()].map(({ command }) => command)
  }

  /** Resolves with the operation when it has ended. Rejects when leadership was lost on the way. */
  async run(): Promise<Operation> {
    while (!isEnded(this.#operation.state)) await this.#step()
    return this.#operation
  }

  /**
   * Undo it now. What is in flight is waited for; nothing more is started.
   *
   * @throws ShardingError `illegal_transition` when it is past its pivot or has ended meanwhile
   */
  async revert(reason: string): Promise<void> {
    // The run itself may change the state at the same time; the journal lets one of us win.
    while (this.#operation.state !== 'reverting') await this.#move('revert', { error: reason })
    this.#halt.abort()
  }

  async #step(): Promise<void> {
    const { state } = this.#operation
    switch (state) {
      case 'planned':
        return await this.#move('queue')
      case 'queued':
        return await this.#move('start')
      case 'running':
        return await this.#runForward('before_pivot')
      case 'finishing':
        return await this.#runForward('after_pivot')
      case 'stopping':
        return await this.#move('revert')
      case 'reverting':
        return await this.#runUndo()
      case 'pause_requested':
        return await this.#move('paused')
      case 'paused':
      case 'held':
        throw new ShardingError(
          'operation_pending',
          `operation ${this.#operation.group} is '${state}' and waits to be resumed`,
        )
      case 'rolled_back':
      case 'succeeded':
        return
      default:
        return unreachable(state)
    }
  }

  async #runForward(phase: Phase): Promise<void> {
    const failedBefore = this.#find(({ status }) => status === 'failed')
    const result: DriveResult =
      failedBefore === undefined
        ? await this.#driveForward(phase)
        : { kind: 'failed', id: failedBefore.command.id, error: new Error(failedBefore.command.lastError) }
    switch (result.kind) {
      case 'done':
        return await this.#move(this.#eventAfter(phase))
      case 'failed':
        return await this.#move('revert', { error: this.#failureText(result.id, result.error) })
      case 'halted':
        // Whoever halted has changed the state, or leadership is lost.
        this.#context.fence.lost.throwIfAborted()
        this.#halt = new AbortController()
        return
      default:
        return unreachable(result)
    }
  }

  #eventAfter(phase: Phase): OperationEvent {
    return phase === 'before_pivot' && this.#operation.hasPivot ? 'pivot' : 'complete'
  }

  async #driveForward(phase: Phase): Promise<DriveResult> {
    const open = this.#list((command) => command.phase === phase && command.status !== 'processed')
    const graph = new DependencyGraph(
      open.map(({ command }) => command.id),
      (id) => this.#live(id).command.waitFor,
    )
    const halt = AbortSignal.any([this.#halt.signal, this.#context.fence.lost])
    return await drive(graph, this.#forwardStepper(), this.#context.lanes, halt)
  }

  #forwardStepper(): Stepper {
    const { clock, random } = this.#context
    const attemptContext = this.#attemptContext()
    return {
      ...this.#places(),
      prepare: async (id) => {
        const live = this.#live(id)
        if (live.command.status !== 'processing') await live.change('start')
      },
      run: async (id) => await attemptForward(this.#live(id), attemptContext),
      abandon: async (id) => {
        const live = this.#live(id)
        // Leadership is lost: whoever leads now decides. Otherwise it is known that nothing was sent.
        if (this.#context.fence.lost.aborted || live.inDoubt) return
        await live.change('fail', { outcome: 'no effect', lastError: 'not sent: the operation was stopped' })
      },
      backoff: async (attempt, stop) => await clock.sleep(backoffMs(attempt, random), stop),
    }
  }

  async #runUndo(): Promise<void> {
    const neverBegun = this.#list(({ status }) => status === 'created')
    await Promise.all(neverBegun.map(async (live) => await live.change('skip')))
    const open = this.#list((command) => !isUndoSettled(command))
    const graph = new DependencyGraph(
      open.map(({ command }) => command.id),
      (id) => this.#live(id).command.rollbackWaitFor,
    )
    const { lanes, fence } = this.#context
    const result = await drive(graph, this.#undoStepper(), lanes, fence.lost)
    switch (result.kind) {
      case 'done':
        return await this.#move('reverted')
      case 'halted':
        fence.lost.throwIfAborted()
        return
      case 'failed':
        throw new TypeError('an undo never fails for good')
      default:
        return unreachable(result)
    }
  }

  #undoStepper(): Stepper {
    const { clock, random } = this.#context
    const attemptContext = this.#attemptContext()
    return {
      ...this.#places(),
      prepare: async (id) => await this.#live(id).change('undo'),
      run: async (id, attempt) => await attemptUndo(this.#live(id), attemptContext, attempt),
      // Only lost leadership stops an undo; the next coordinator goes on with it.
      abandon: async () => await Promise.resolve(),
      backoff: async (attempt, stop) =>
        await clock.sleep(backoffMs(attempt, random, MAX_UNDO_BACKOFF_MS), stop),
    }
  }

  #places(): Pick<Stepper, 'group' | 'node' | 'heavy'> {
    return {
      group: this.#operation.group,
      node: (id) => this.#live(id).command.node,
      heavy: (id) => this.#live(id).heavy,
    }
  }

  #attemptContext(): AttemptContext {
    const { connector, probe, clock, fence } = this.#context
    return { connector, probe, clock, deadlineAt: this.#operation.deadlineAt, signal: fence.lost }
  }

  /** Writes the new state to the journal, then takes it on. */
  async #move(event: OperationEvent, values: { error?: string } = {}): Promise<void> {
    const { journal, fence, clock, onProgress } = this.#context
    const from = this.#operation
    const state = operationTransition(from.state, event)
    const endedAt = isEnded(state) ? clock.now() : 0
    const changed = await journal.changeOperation(
      from.group,
      from.state,
      state,
      { ...values, endedAt },
      fence.epoch,
      fence.lost,
    )
    if (!changed) {
      this.#operation = (await journal.operation(from.group)) ?? from
      return
    }
    this.#operation = { ...from, state, endedAt, error: values.error ?? from.error }
    const { group, type, table, error } = this.#operation
    onProgress({ kind: 'operation', group, type, table, state, commands: this.#commands.size, error })
  }

  #failureText(id: number, error: unknown): string {
    const { node, query } = this.#live(id).command
    const text = query.length > 120 ? `${query.slice(0, 119)}…` : query
    return `command ${id} on ${node} failed: ${messageOf(error)} [${text}]`
  }

  #report(command: Command): void {
    this.#context.onProgress({
      kind: 'command',
      group: this.#operation.group,
      command,
      commands: this.#commands.size,
      counts: { ...this.#counts },
    })
  }

  #live(id: number): LiveCommand {
    const live = this.#commands.get(id)
    if (live === undefined) throw new TypeError(`operation ${this.#operation.group} has no command ${id}`)
    return live
  }

  #list(keep: (command: Command) => boolean): LiveCommand[] {
    return [...this.#commands.values()].filter(({ command }) => keep(command))
  }

  #find(keep: (command: Command) => boolean): LiveCommand | undefined {
    return this.#list(keep)[0]
  }
}

function countByStatus(commands: readonly Command[]): Record<CommandStatus, number> {
  const counts = Object.fromEntries(COMMAND_STATUSES.map((status) => [status, 0])) as Record<
    CommandStatus,
    number
  >
  for (const { status } of commands) counts[status]++
  return counts
}
