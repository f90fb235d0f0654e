import type { Command, CommandStatus } from '../domain/command.ts'
import { ShardingError } from '../domain/errors.ts'
import type { OperationState, OperationType } from '../domain/operation.ts'
import type { EndedOperation } from '../engine/engine.ts'

/** How an operation ended, in numbers. */
export interface OperationSummary {
  /** `operation_group` of its commands in the journal. */
  readonly group: string
  readonly type: OperationType
  readonly table: string
  readonly state: OperationState
  /** Commands in all. */
  readonly commands: number
  /** Commands whose effect was undone. */
  readonly rolledBack: number
  /** Commands that had never begun. */
  readonly skipped: number
  /** Commands whose effect was there before, and was left alone. */
  readonly alreadyThere: number
  /** From being stored to its end, in milliseconds. */
  readonly durationMs: number
  /** Why it was undone, or `''`. */
  readonly error: string
}

/** The command that made an operation fail. */
export interface FailedCommand {
  readonly id: number
  readonly node: string
  readonly query: string
  /** The daemon's own text. */
  readonly error: string
}

/** An operation failed and everything it had done was undone. */
export class OperationError extends ShardingError {
  readonly summary: OperationSummary
  /** Null when it was undone because somebody asked for it. */
  readonly failed: FailedCommand | null
  constructor(summary: OperationSummary, failed: FailedCommand | null) {
    super('operation_failed', failureMessage(summary))
    this.name = 'OperationError'
    this.summary = summary
    this.failed = failed
  }
}

export function summarize({ operation, commands }: EndedOperation): OperationSummary {
  const count = (status: CommandStatus) => commands.filter((command) => command.status === status).length
  return {
    group: operation.group,
    type: operation.type,
    table: operation.table,
    state: operation.state,
    commands: commands.length,
    rolledBack: count('rolled_back'),
    skipped: count('skipped'),
    alreadyThere: commands.filter(({ outcome }) => outcome === 'already there').length,
    durationMs: operation.endedAt - operation.createdAt,
    error: operation.error,
  }
}

/** @throws OperationError when the operation did not succeed */
export function succeededOrThrow(ended: EndedOperation): OperationSummary {
  const summary = summarize(ended)
  if (summary.state === 'succeeded' || summary.state === 'held') return summary
  throw new OperationError(summary, failedCommand(ended.commands))
}

function failedCommand(commands: readonly Command[]): FailedCommand | null {
  const failed =
    commands.find(({ status }) => status === 'failed') ?? commands.find(({ lastError }) => lastError !== '')
  if (failed === undefined) return null
  return { id: failed.id, node: failed.node, query: failed.query, error: failed.lastError }
}

function failureMessage(summary: OperationSummary): string {
  const what =
    summary.table === '' ? `operation ${summary.group}` : `${summary.type} of table '${summary.table}'`
  const undone = `${summary.rolledBack} of its ${summary.commands} commands were rolled back, ${summary.skipped} had never begun`
  return `${what} failed and was rolled back: ${summary.error} (${undone}; operation ${summary.group})`
}
