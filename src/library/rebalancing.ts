import { isUndoSettled } from '../domain/command.ts'
import { ShardingError } from '../domain/errors.ts'
import {
  isEnded,
  OPERATION_TRANSITIONS,
  type Operation,
  type OperationState,
  type OperationType,
} from '../domain/operation.ts'
import type { Command } from '../domain/command.ts'
import { parseScript } from '../sql/index.ts'
import type { Cluster } from './cluster.ts'

/** How far an operation that moves copies has come. */
export interface RebalancingProgress {
  /** `idle` when no copies of the table have ever been moved, or the state was reset. */
  readonly status: OperationState | 'idle'
  /** `operation_group` of the operation, or `''`. */
  readonly operation: string
  readonly type: OperationType | null
  /** 0 to 100. While it is undone, of the undoing. */
  readonly percentage: number
  readonly commands: {
    readonly total: number
    readonly processed: number
    readonly running: number
    readonly failed: number
    readonly rolledBack: number
  }
  /** What nodes copy from each other, as far as sizes are known. */
  readonly bytes: { readonly total: number; readonly copied: number }
  /** The last savepoint whose commands are all done, and how many there are. */
  readonly savepoint: { readonly finished: number; readonly total: number }
  /** Milliseconds since it was asked for. */
  readonly elapsedMs: number
  /** Milliseconds that the rest will take at the pace so far; null while there is nothing to go by. */
  readonly remainingMs: number | null
  readonly canStop: boolean
  readonly canPause: boolean
  readonly canResume: boolean
  /** Why it is or was undone, or `''`. */
  readonly error: string
}

const IDLE: RebalancingProgress = {
  status: 'idle',
  operation: '',
  type: null,
  percentage: 0,
  commands: { total: 0, processed: 0, running: 0, failed: 0, rolledBack: 0 },
  bytes: { total: 0, copied: 0 },
  savepoint: { finished: 0, total: 0 },
  elapsedMs: 0,
  remainingMs: null,
  canStop: false,
  canPause: false,
  canResume: false,
  error: '',
}

/** Watches and steers the operation that moves the copies of one table, whichever process runs it. */
export class Rebalancing {
  readonly #cluster: Cluster
  readonly #table: string

  constructor(cluster: Cluster, table: string) {
    this.#cluster = cluster
    this.#table = table
  }

  /** @param now milliseconds since 1970-01-01 UTC */
  async progress(now: number): Promise<RebalancingProgress> {
    const operation = await this.#last()
    if (operation === undefined) return IDLE
    const commands = await this.#cluster.journal.commands(operation.group)
    return progressOf(operation, commands, now, await this.#bytesUnderWay(commands))
  }

  /** Resolves when nothing of it is in flight any more; no new command starts until it is resumed. */
  async pause(): Promise<Operation> {
    const { group, state } = await this.#current()
    if (state === 'paused') throw illegal(state, 'pause')
    return await this.#cluster.operations.steering.request(
      group,
      'pause',
      (found) => found.state === 'paused' || isEnded(found.state),
    )
  }

  async resume(): Promise<Operation> {
    const { group } = await this.#current()
    return await this.#cluster.operations.steering.request(group, 'resume', ({ state }) => state !== 'paused')
  }

  /**
   * Undoes it.
   *
   * @param graceful let what is in flight finish first; otherwise it is broken off
   */
  async stop(graceful: boolean): Promise<Operation> {
    const { group } = await this.#current()
    const event = graceful ? 'stop' : 'revert'
    const error = graceful ? 'stopped on request' : 'stopped at once on request'
    const { steering } = this.#cluster.operations
    const signals = this.#cluster.stopSignals
    const stopped = await steering.request(
      group,
      event,
      ({ state }) => isEnded(state),
      { error },
      // For those who look there; the request itself stands in the operation's row.
      async () => await signals.give(this.#table, { operation: group, graceful }),
    )
    await signals.clear(this.#table, group)
    return stopped
  }

  /** Undoes the parts behind a savepoint and finishes what stands before it. */
  async rollbackTo(savepoint: number): Promise<Operation> {
    const operation = await this.#current()
    const commands = await this.#cluster.journal.commands(operation.group)
    const finished = finishedSavepoint(commands)
    if (!Number.isInteger(savepoint) || savepoint < 1 || savepoint > finished) {
      throw new ShardingError(
        'invalid_input',
        `operation ${operation.group} can be rolled back to a savepoint from 1 to ${finished}, not to ${savepoint}`,
      )
    }
    return await this.#cluster.operations.steering.rollBack(operation, {
      error: `rolled back to savepoint ${savepoint} on request`,
      keepTo: savepoint,
    })
  }

  /** Forgets the last operation. */
  async reset(): Promise<void> {
    const operation = await this.#last()
    if (operation !== undefined && !isEnded(operation.state)) {
      throw new ShardingError(
        'operation_busy',
        `operation ${operation.group} is '${operation.state}'; stop it before its state is reset`,
      )
    }
    await this.#cluster.rebalances.reset(this.#table)
  }

  /** What the copies that are being made now have taken in, as the nodes that take them report it. */
  async #bytesUnderWay(commands: readonly Command[]): Promise<number> {
    const copies = commands.filter(({ status, copyBytes }) => status === 'processing' && copyBytes > 0)
    const bytes = await Promise.all(
      copies.map(async ({ node, query, copyBytes }) => {
        const join = parseScript(query).find(({ kind }) => kind === 'join_cluster')
        if (join?.kind !== 'join_cluster') return 0
        const percent = await this.#cluster.transferPercent(node, join.cluster)
        return Math.floor((copyBytes * percent) / 100)
      }),
    )
    return bytes.reduce((sum, found) => sum + found, 0)
  }

  async #last(): Promise<Operation | undefined> {
    await this.#cluster.ready()
    const record = await this.#cluster.rebalances.get(this.#table)
    return record === undefined ? undefined : await this.#cluster.journal.operation(record.operation)
  }

  async #current(): Promise<Operation> {
    const operation = await this.#last()
    if (operation !== undefined && !isEnded(operation.state)) return operation
    throw new ShardingError(
      'operation_missing',
      `no copies of table '${this.#table}' are being moved now; nothing was changed`,
    )
  }
}

/** @param bytesUnderWay of copies that are being made, what is there already */
export function progressOf(
  operation: Operation,
  commands: readonly Command[],
  now: number,
  bytesUnderWay = 0,
): RebalancingProgress {
  const count = (keep: (command: Command) => boolean) => commands.filter(keep).length
  const undoing = operation.state === 'reverting' || operation.state === 'rolled_back'
  // What stays of an operation that is undone in part has nothing to be undone.
  const concerned = commands.filter(
    ({ savepoint }) => !undoing || operation.keepTo === 0 || savepoint > operation.keepTo,
  )
  const done = concerned.filter(undoing ? isUndoSettled : isDone).length
  const copied = commands
    .filter(({ status }) => status === 'processed')
    .reduce((sum, { copyBytes }) => sum + copyBytes, bytesUnderWay)
  const total = commands.reduce((sum, { copyBytes }) => sum + copyBytes, 0)
  const end = operation.endedAt > 0 ? operation.endedAt : now
  const elapsedMs = Math.max(0, end - operation.createdAt)
  const share = concerned.length === 0 ? 1 : done / concerned.length
  const toCopy = total - commands.filter(wasDropped).reduce((sum, { copyBytes }) => sum + copyBytes, 0)
  const can = (event: 'stop' | 'pause' | 'resume') =>
    OPERATION_TRANSITIONS[operation.state][event] !== undefined
  return {
    status: operation.state,
    operation: operation.group,
    type: operation.type,
    percentage: Math.floor(share * 100),
    commands: {
      total: commands.length,
      processed: count(({ status }) => status === 'processed'),
      running: count(({ status }) => status === 'processing' || status === 'rolling_back'),
      failed: count(({ status }) => status === 'failed'),
      rolledBack: count(({ status }) => status === 'rolled_back'),
    },
    bytes: { total, copied },
    savepoint: {
      finished: finishedSavepoint(commands),
      total: Math.max(0, ...commands.map(({ savepoint }) => savepoint)),
    },
    elapsedMs,
    remainingMs: isEnded(operation.state)
      ? 0
      : remaining(share, undoing || toCopy === 0 ? share : copied / toCopy, elapsedMs),
    canStop: can('stop'),
    canPause: can('pause'),
    canResume: can('resume'),
    error: operation.error,
  }
}

/** Whether a command of an operation that is not being undone needs nothing more; some may have been undone before. */
function isDone(command: Command): boolean {
  return command.status === 'processed' || wasDropped(command)
}

function wasDropped({ status }: Command): boolean {
  return status === 'skipped' || status === 'rolled_back'
}

/** Copying takes the time, so bytes count as much as commands. */
function remaining(commandShare: number, byteShare: number, elapsedMs: number): number | null {
  const share = (commandShare + byteShare) / 2
  return share <= 0 ? null : Math.round((elapsedMs * (1 - share)) / share)
}

function finishedSavepoint(commands: readonly Command[]): number {
  const total = Math.max(0, ...commands.map(({ savepoint }) => savepoint))
  const open = commands.filter(({ phase, status }) => phase === 'before_pivot' && status !== 'processed')
  return Math.min(total, ...open.map(({ savepoint }) => Math.max(0, savepoint - 1)))
}

function illegal(state: OperationState, event: string): ShardingError {
  return new ShardingError('illegal_transition', `an operation that is '${state}' cannot '${event}'`)
}
