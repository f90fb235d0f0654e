import { ShardingError } from './errors.ts'

/**
 * The states of an operation.
 *
 * `planned` is what somebody asked for; whoever leads makes it a plan (`queued`), or says why it cannot be done
 * (`refused`). `planned → queued → running → succeeded`; `pause_requested → paused → running`; `running | paused →
 * stopping` (graceful: lets what is in flight finish, starts nothing more, then undoes) or `reverting`
 * (immediately); a command that failed for good: `reverting → rolled_back`; past the pivot: `finishing →
 * succeeded`; a dropped table on hold: `held`. Requested and reached are two states.
 */
export const OPERATION_STATES = [
  'planned',
  'refused',
  'queued',
  'running',
  'pause_requested',
  'paused',
  'stopping',
  'reverting',
  'rolled_back',
  'finishing',
  'held',
  'succeeded',
] as const
export type OperationState = (typeof OPERATION_STATES)[number]

export type OperationEvent =
  /** All its rows are in the journal. */
  | 'queue'
  /** It cannot be planned; nothing was changed. */
  | 'refuse'
  /** A coordinator begins with it. */
  | 'start'
  /** Somebody wants it to pause. */
  | 'pause'
  /** Nothing of it is in flight any more. */
  | 'paused'
  | 'resume'
  /** Somebody wants it undone, once what is in flight has finished. */
  | 'stop'
  /** Undo it now: a command failed for good, or somebody asked for it. */
  | 'revert'
  /** Everything that may have happened is undone. */
  | 'reverted'
  /** Everything behind a savepoint is undone; what was finished before it stays. */
  | 'keep'
  /** The last command before the pivot is done; there is no way back. */
  | 'pivot'
  /** Past the pivot, but what would be freed is kept for a while. */
  | 'hold'
  /** The hold is over. */
  | 'release'
  /** Its last command is done. */
  | 'complete'

/** Events that anybody may cause, also processes that do not lead; all others are the run's own. */
export const REQUESTS: readonly OperationEvent[] = ['pause', 'resume', 'stop', 'revert', 'release']

/** State × event → state. What is not listed is illegal. */
export const OPERATION_TRANSITIONS: Record<
  OperationState,
  Partial<Record<OperationEvent, OperationState>>
> = {
  planned: { queue: 'queued', refuse: 'refused' },
  refused: {},
  queued: { start: 'running', revert: 'reverting' },
  running: {
    pause: 'pause_requested',
    stop: 'stopping',
    revert: 'reverting',
    pivot: 'finishing',
    hold: 'held',
    complete: 'succeeded',
  },
  pause_requested: {
    paused: 'paused',
    resume: 'running',
    stop: 'stopping',
    revert: 'reverting',
  },
  paused: { resume: 'running', stop: 'stopping', revert: 'reverting' },
  stopping: { revert: 'reverting' },
  reverting: { reverted: 'rolled_back', keep: 'finishing' },
  rolled_back: {},
  finishing: { complete: 'succeeded' },
  held: { release: 'finishing', revert: 'reverting' },
  // A group without a pivot can still be undone as a whole after it succeeded.
  succeeded: { revert: 'reverting' },
}

/** The one way an operation changes state. Throws `illegal_transition` for what the table does not list. */
export function operationTransition(from: OperationState, event: OperationEvent): OperationState {
  const to = OPERATION_TRANSITIONS[from][event]
  if (to === undefined) {
    throw new ShardingError('illegal_transition', `an operation that is '${from}' cannot '${event}'`)
  }
  return to
}

/** Nothing more happens in these states unless somebody asks for it. */
export function isEnded(state: OperationState): boolean {
  return state === 'succeeded' || state === 'rolled_back' || state === 'refused'
}

/** It waits for somebody, or for a time; no command of it starts. */
export function isParked(state: OperationState): boolean {
  return state === 'paused' || state === 'held'
}

export const OPERATION_TYPES = [
  'create',
  'drop',
  'rebalance',
  'replace',
  'drain',
  'revert',
  /** Sharded tables name the copies that serve. */
  'reroute',
  /** A node that was away drops what others have taken over. */
  'clean',
  /** Tables that Manticore Buddy made become ours. */
  'adopt',
  /** Commands that a user added one by one. */
  'custom',
] as const
export type OperationType = (typeof OPERATION_TYPES)[number]

/** A row of `system.sharding_operation`: live registry and history. */
export interface Operation {
  /** Row id. */
  readonly id: number
  /** `operation_group` of its commands; its public name. */
  readonly group: string
  readonly type: OperationType
  /** The table it works on, or `''`. */
  readonly table: string
  readonly state: OperationState
  /** Whether the operation has commands behind a pivot. */
  readonly hasPivot: boolean
  readonly epoch: number
  readonly requestedBy: string
  /** Why it is being or was undone, or was refused, or `''`. */
  readonly error: string
  /** What was asked for, as JSON; `''` for operations of older versions. */
  readonly request: string
  /** Of a refused one: the error's code, and behind a space the input that was wrong, if it was the input. */
  readonly refusal: string
  /** Milliseconds since 1970-01-01 UTC. */
  readonly createdAt: number
  readonly updatedAt: number
  /** When it ended, or 0. */
  readonly endedAt: number
  /** Transient failures are retried until then; milliseconds since 1970-01-01 UTC. */
  readonly deadlineAt: number
  /** When a command fails for good, the parts that are finished stay. */
  readonly keepFinished: boolean
  /** The savepoint up to which it stays when it is undone; 0: none of it does. */
  readonly keepTo: number
  /** Until when what it would free is kept, in milliseconds since 1970-01-01 UTC; 0: it is not kept. */
  readonly holdUntil: number
  /** One line for people. */
  readonly summary: string
}
