import { ShardingError } from './errors.ts'
import type { NodeId } from './words.ts'

/**
 * The states of a command.
 *
 * `created → processing → processed`; from `processing` also `error` (to be tried again) and `failed`.
 * Undo: `processed | error | failed | processing → rolling_back → rolled_back`, with `rollback_error` between
 * tries. What never began is `skipped`.
 */
export const COMMAND_STATUSES = [
  'created',
  'processing',
  'processed',
  'error',
  'failed',
  'rolling_back',
  'rollback_error',
  'rolled_back',
  'skipped',
] as const
export type CommandStatus = (typeof COMMAND_STATUSES)[number]

export type CommandEvent =
  /** It is about to be sent. Written before the SQL leaves. */
  | 'start'
  /** Its effect is there. */
  | 'succeed'
  /** It did not work now and is tried again. */
  | 'retry'
  /** It will not work. */
  | 'fail'
  /** It never began and never will. */
  | 'skip'
  /** Its rollback is about to be sent. Also after a crash, when the rollback's own outcome is unknown. */
  | 'undo'
  /** The rollback did not work now and is tried again, without end. */
  | 'undo_retry'
  /** Its effect is gone. */
  | 'undone'

/** State × event → state. What is not listed is illegal. */
export const COMMAND_TRANSITIONS: Record<CommandStatus, Partial<Record<CommandEvent, CommandStatus>>> = {
  created: { start: 'processing', skip: 'skipped' },
  processing: { succeed: 'processed', retry: 'error', fail: 'failed', undo: 'rolling_back' },
  processed: { undo: 'rolling_back' },
  error: { start: 'processing', fail: 'failed', undo: 'rolling_back' },
  failed: { undo: 'rolling_back' },
  rolling_back: { undo: 'rolling_back', undo_retry: 'rollback_error', undone: 'rolled_back' },
  rollback_error: { undo: 'rolling_back' },
  rolled_back: {},
  skipped: {},
}

/** The one way a command changes state. Throws `illegal_transition` for what the table does not list. */
export function commandTransition(from: CommandStatus, event: CommandEvent): CommandStatus {
  const to = COMMAND_TRANSITIONS[from][event]
  if (to === undefined) {
    throw new ShardingError('illegal_transition', `a command that is '${from}' cannot '${event}'`)
  }
  return to
}

/** Before the pivot a command can be undone; after it, it is retried until done. */
export type Phase = 'before_pivot' | 'after_pivot'

/**
 * What is known about a command's effect.
 * - `''`: nothing yet, or unknown after a lost reply.
 * - `applied`: it happened through us, so undo applies.
 * - `already there`: it was there before our first try; undo leaves it alone.
 * - `no effect`: the daemon refused it and nothing of it is there.
 * - `node gone`: its node left the cluster of all nodes before the command, or its undo, could be done there.
 *   What is left on that node is cleaned up when it returns.
 */
export const COMMAND_OUTCOMES = ['', 'applied', 'already there', 'no effect', 'node gone'] as const
export type CommandOutcome = (typeof COMMAND_OUTCOMES)[number]

/** What to do when the effect is there before the first try. */
export type OnExisting =
  /** Take it as done, and never undo it. */
  | 'accept'
  /** Fail the operation: going on could destroy what somebody else made. */
  | 'fail'

/** A row of `system.sharding_queue`. */
export interface Command {
  readonly id: number
  readonly node: NodeId
  readonly query: string
  readonly rollbackQuery: string
  /** Ids of the commands that must be processed before this one starts. */
  readonly waitFor: readonly number[]
  /** Ids of the commands whose undo must be finished before this one's undo starts. */
  readonly rollbackWaitFor: readonly number[]
  readonly operationGroup: string
  /** How often it was sent, or at least about to be. */
  readonly tries: number
  readonly status: CommandStatus
  /** Milliseconds since 1970-01-01 UTC. */
  readonly createdAt: number
  /** Milliseconds since 1970-01-01 UTC. */
  readonly updatedAt: number
  /** How long the last try took, in milliseconds. */
  readonly duration: number
  readonly outcome: CommandOutcome
  readonly lastError: string
  readonly phase: Phase
  /** The part of its operation that it belongs to, from 1; 0 when the operation has no parts. */
  readonly savepoint: number
  /** What it makes nodes copy from each other, in bytes, as far as it is known. */
  readonly copyBytes: number
  readonly onExisting: OnExisting
  /** Whether the effect was there when the command was stored; settles what a crash left in doubt. */
  readonly existedBefore: boolean
  /** Of the coordinator that changed it last. */
  readonly epoch: number
}

/** Whether nothing more will happen to a command of an operation that is being undone. */
export function isUndoSettled(command: Command): boolean {
  switch (command.status) {
    case 'skipped':
    case 'rolled_back':
      return true
    case 'processed':
    case 'failed':
      return command.outcome === 'already there' || command.outcome === 'no effect'
    case 'created':
    case 'processing':
    case 'error':
    case 'rolling_back':
    case 'rollback_error':
      return false
  }
}
