import { type Command, type CommandStatus, isUndoSettled, type Phase } from '../domain/command.ts'
import { messageOf, ShardingError, unreachable } from '../domain/errors.ts'
import {
  isEnded,
  OPERATION_TRANSITIONS,
  type Operation,
  type OperationEvent,
  type OperationState,
  operationTransition,
  REQUESTS,
} from '../domain/operation.ts'
import type { Clock, Fence, NodeConnector, Random } from '../domain/ports.ts'
import type { Statement } from '../domain/statement.ts'
import type { NodeId } from '../domain/words.ts'
import { type AttemptContext, attemptForward, type Guard } from './attempt.ts'
import { attemptUndo } from './attempt-undo.ts'
import { DependencyGraph } from './dependency-graph.ts'
import { drive, type DriveResult, type Stepper } from './drive.ts'
import { countByStatus, type ProgressListener } from './events.ts'
import type { Journal } from './journal.ts'
import type { JournalWriter } from './journal-writer.ts'
import type { Lanes } from './lanes.ts'
import { LiveCommand } from './live-command.ts'
import type { Probe } from './probe.ts'
import { type Touched, touchedBy } from './touched.ts'
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
  readonly guard: Guard
  readonly isGone: (node: NodeId) => Promise<boolean>
  readonly otherNode: (node: NodeId) => Promise<NodeId | undefined>
  readonly membersOf: (node: NodeId, set: string) => Promise<readonly NodeId[]>
  readonly onProgress: ProgressListener
  /** Told, and waited for, when an operation has reached a state. */
  readonly onState: (operation: Operation, touched: Touched) => Promise<void>
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
  /** Aborted to end copies that are in flight. */
  #hurry = new AbortController()
  /** Resolved when somebody has changed the state. */
  #changed = Promise.withResolvers<void>()
  #operation: Operation
  #touched: Touched | undefined

  constructor(context: RunContext, operation: Operation, commands: readonly Command[]) {
    this.#context = context
    this.#operation = operation
    this.#counts = countByStatus(commands)
    this.#commands = new Map(
      commands.map((command) => {
        let status = command.status
        const live = new LiveCommand(command, context.writer, (changed, cause) => {
          this.#counts[status]--
          this.#counts[changed.status]++
          status = changed.status
          this.#report(changed, live.statements, cause)
        })
        return [command.id, live]
      }),
    )
  }

  get operation(): Operation {
    return this.#operation
  }

  /** Tables and replica sets that it works on. */
  get touched(): Touched {
    this.#touched ??= touchedBy([...this.#commands.values()].flatMap(({ statements }) => statements))
    return this.#touched
  }

  get makesReplicaSets(): boolean {
    return this.#list(() => true).some(({ statements }) =>
      statements.some(({ kind }) => kind === 'create_cluster'),
    )
  }

  commands(): Command[] {
    return [...this.#commands.values()].map(({ command }) => command)
  }

  /**
   * Resolves with the operation when it has ended, or is `held`: nothing needs a process then. Rejects when
   * leadership was lost on the way.
   */
  async run(): Promise<Operation> {
    while (!isEnded(this.#operation.state) && this.#operation.state !== 'held') await this.#step()
    return this.#operation
  }

  /**
   * Takes note of what somebody has asked for in the journal: a pause, an end, to go on. What is in flight is
   * waited for, except when it is to be undone at once.
   */
  observe(found: Operation): void {
    const { state } = this.#operation
    if (found.state === state || !isRequest(state, found.state)) return
    this.#operation = found
    if (found.state === 'reverting') this.#hurry.abort(brokenOff(found))
    this.#halt.abort()
    this.#changed.resolve()
  }

  /** Savepoints of the operation that are reached: everything up to them is done. */
  finishedSavepoint(): number {
    const open = this.#list(({ phase, status }) => phase === 'before_pivot' && status !== 'processed')
    const all = this.#list(() => true).map(({ command }) => command.savepoint)
    const firstOpen = Math.min(...open.map(({ command }) => command.savepoint))
    return Math.min(Math.max(0, ...all), Math.max(0, firstOpen - 1))
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
        return await this.#untilChanged()
      case 'held':
      case 'refused':
      case 'rolled_back':
      case 'succeeded':
        return
      default:
        return unreachable(state)
    }
  }

  async #runForward(phase: Phase): Promise<void> {
    const failedBefore = this.#find((command) => command.status === 'failed' && command.phase === phase)
    const result: DriveResult =
      failedBefore === undefined
        ? await this.#driveForward(phase)
        : { kind: 'failed', id: failedBefore.command.id, error: new Error(failedBefore.command.lastError) }
    this.#halt = new AbortController()
    // Whoever has changed the state meanwhile decides how it goes on.
    if (this.#operation.state !== (phase === 'before_pivot' ? 'running' : 'finishing')) return
    switch (result.kind) {
      case 'done':
        return await this.#move(this.#eventAfter(phase))
      case 'failed': {
        const keepTo = this.#operation.keepFinished ? this.finishedSavepoint() : 0
        return await this.#move('revert', { error: this.#failureText(result.id, result.error), keepTo })
      }
      case 'halted':
        this.#context.fence.lost.throwIfAborted()
        return
      default:
        return unreachable(result)
    }
  }

  #eventAfter(phase: Phase): OperationEvent {
    if (phase === 'after_pivot' || !this.#operation.hasPivot) return 'complete'
    return this.#operation.holdUntil > this.#context.clock.now() ? 'hold' : 'pivot'
  }

  async #untilChanged(): Promise<void> {
    const { lost } = this.#context.fence
    lost.throwIfAborted()
    const onLost = () => this.#changed.resolve()
    lost.addEventListener('abort', onLost, { once: true })
    await this.#changed.promise
    lost.removeEventListener('abort', onLost)
    this.#changed = Promise.withResolvers()
    lost.throwIfAborted()
    this.#halt = new AbortController()
  }

  async #driveForward(phase: Phase): Promise<DriveResult> {
    const open = this.#list(
      ({ phase: found, status }) => found === phase && status !== 'processed' && status !== 'skipped',
    )
    const graph = new DependencyGraph(
      open.map(({ command }) => command.id),
      (id) => this.#live(id).command.waitFor,
    )
    const halt = AbortSignal.any([this.#halt.signal, this.#context.fence.lost])
    return await drive(graph, this.#forwardStepper(), this.#context.lanes, halt)
  }

  #forwardStepper(): Stepper {
    const { clock, random } = this.#context
    const attemptContext = this.#attemptContext(this.#hurry.signal)
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
        await live.change('retry', { lastError: 'not sent: the operation was halted' })
      },
      backoff: async (attempt, stop) => await clock.sleep(backoffMs(attempt, random), stop),
    }
  }

  async #runUndo(): Promise<void> {
    const { keepTo } = this.#operation
    const goes = ({ savepoint }: Command) => keepTo === 0 || savepoint > keepTo
    const neverBegun = this.#list((command) => goes(command) && command.status === 'created')
    await Promise.all(neverBegun.map(async (live) => await live.change('skip')))
    const open = this.#list((command) => goes(command) && !isUndoSettled(command))
    const graph = new DependencyGraph(
      open.map(({ command }) => command.id),
      (id) => this.#live(id).command.rollbackWaitFor,
    )
    const { lanes, fence } = this.#context
    const result = await drive(graph, this.#undoStepper(), lanes, fence.lost)
    switch (result.kind) {
      case 'done':
        // What is kept is finished without any hurry.
        this.#hurry = new AbortController()
        return await this.#move(keepTo === 0 ? 'reverted' : 'keep')
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
    const attemptContext = this.#attemptContext(NEVER)
    return {
      ...this.#places(),
      copies: () => false,
      leaves: (id) => leavesCluster(this.#live(id).rollbackStatements),
      prepare: async (id) => await this.#live(id).change('undo'),
      run: async (id, attempt) => await attemptUndo(this.#live(id), attemptContext, attempt),
      // Only lost leadership stops an undo; the next coordinator goes on with it.
      abandon: async () => await Promise.resolve(),
      backoff: async (attempt, stop) =>
        await clock.sleep(backoffMs(attempt, random, MAX_UNDO_BACKOFF_MS), stop),
    }
  }

  #places(): Pick<Stepper, 'group' | 'node' | 'heavy' | 'copies' | 'leaves'> {
    return {
      group: this.#operation.group,
      node: (id) => this.#live(id).command.node,
      heavy: (id) => this.#live(id).heavy,
      copies: (id) => this.#live(id).copies,
      leaves: (id) => leavesCluster(this.#live(id).statements),
    }
  }

  #attemptContext(hurry: AbortSignal): AttemptContext {
    const { connector, probe, clock, guard, isGone, otherNode, membersOf, fence } = this.#context
    const signal = fence.lost
    const { deadlineAt, type: operationType } = this.#operation
    return {
      connector,
      probe,
      clock,
      guard,
      isGone,
      otherNode,
      membersOf,
      isAnyGone: async () => await this.#isAnyNodeGone(),
      isLeftTo: (command) => command.phase === 'after_pivot' && this.#waitsForNodeGone(command),
      deadlineAt,
      operationType,
      signal,
      hurry,
    }
  }

  async #isAnyNodeGone(): Promise<boolean> {
    const nodes = new Set(this.#list(() => true).map(({ command }) => command.node))
    for (const node of nodes) if (await this.#context.isGone(node)) return true
    return false
  }

  #waitsForNodeGone({ waitFor }: Command): boolean {
    return waitFor.some((id) => this.#commands.get(id)?.command.outcome === 'node gone')
  }

  /** Writes the new state to the journal, then takes it on. */
  async #move(event: OperationEvent, values: { error?: string; keepTo?: number } = {}): Promise<void> {
    const { journal, fence, clock, onProgress, onState } = this.#context
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
    const { error: why = from.error, keepTo = from.keepTo } = values
    this.#operation = { ...from, state, endedAt, error: why, keepTo }
    await onState(this.#operation, this.touched)
    const { group, type, table, error } = this.#operation
    onProgress({ kind: 'operation', group, type, table, state, commands: this.#commands.size, error })
  }

  #failureText(id: number, error: unknown): string {
    const { node, query } = this.#live(id).command
    const text = query.length > 120 ? `${query.slice(0, 119)}…` : query
    return `command ${id} on ${node} failed: ${messageOf(error)} [${text}]`
  }

  #report(command: Command, statements: readonly Statement[], cause: unknown): void {
    this.#context.onProgress({
      kind: 'command',
      group: this.#operation.group,
      command,
      statements,
      failure: cause instanceof ShardingError ? cause.code : '',
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

/** Why a copy that was in flight has ended: what it did is to be found out. */
function brokenOff({ group }: Operation): ShardingError {
  return new ShardingError(
    'outcome_unknown',
    `broken off, because operation ${group} is to be undone at once`,
  )
}

function leavesCluster(statements: readonly Statement[]): boolean {
  return statements.some(({ kind }) => kind === 'exit_cluster' || kind === 'delete_cluster')
}

/** Nobody is in a hurry with an undo. */
const NEVER = new AbortController().signal

/** Whether somebody outside the run may have made `to` out of `from`. */
function isRequest(from: OperationState, to: OperationState): boolean {
  return REQUESTS.some((event) => OPERATION_TRANSITIONS[from][event] === to)
}
