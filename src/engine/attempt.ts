import type { Command } from '../domain/command.ts'
import { messageOf, NodeError, ShardingError } from '../domain/errors.ts'
import type { OperationType } from '../domain/operation.ts'
import type { Clock, NodeConnector } from '../domain/ports.ts'
import type { Statement, StatementKind } from '../domain/statement.ts'
import type { NodeId } from '../domain/words.ts'
import { renderStatement } from '../sql/index.ts'
import type { LiveCommand } from './live-command.ts'
import type { Presence, Probe } from './probe.ts'
import { isOutcomeUnknown, isTransient } from './retry.ts'

/** How long a statement may take before its outcome counts as unknown, in milliseconds. */
export const STATEMENT_TIMEOUT_MS = 30_000
/** The same for statements that copy tables. When it is over, the node is asked how far it is. */
const COPY_TIMEOUT_MS = 120_000
/**
 * The same for EXIT CLUSTER. It takes five seconds on the node that made the cluster, but when members of several
 * sets leave at once its answer may never come although the node has left; a look tells.
 */
const EXIT_TIMEOUT_MS = 15_000

/** What came of one try. */
export type AttemptResult =
  /**
   * Nothing more to do with this command. What waits for it may be announced at once: the journal writes both in
   * this order. Nothing has ended before `recorded` is.
   */
  | { readonly kind: 'settled'; readonly recorded?: Promise<void> }
  /** Try again after a while. */
  | { readonly kind: 'again' }
  /** It failed for good. */
  | { readonly kind: 'failed'; readonly error: unknown }

export interface AttemptContext {
  readonly connector: NodeConnector
  readonly probe: Probe
  readonly clock: Clock
  /** Transient failures are retried until then; milliseconds since 1970-01-01 UTC. */
  readonly deadlineAt: number
  /** Ends statements in flight; what they did is unknown then. */
  readonly signal: AbortSignal
  /** Ends statements in flight that copy or compare; all others take so little time that they are waited for. */
  readonly hurry: AbortSignal
  /** What is to be known before a statement may be sent; rejects when it may not. */
  readonly guard: Guard
  readonly operationType: OperationType
  /** Whether the cluster of all nodes goes on without this node. */
  readonly isGone: (node: NodeId) => Promise<boolean>
  /** Whether any node that the operation works on is gone: then it does not come to its end as planned. */
  readonly isAnyGone: () => Promise<boolean>
  /**
   * Whether a command behind the pivot waits for one that could not be done because a node is gone: then nothing is
   * freed. A copy must not go while the one that took its place cannot be asked.
   */
  readonly isLeftTo: (command: Command) => boolean
  /** Configured members of a replica set, as one of them says; none when it does not know the set. */
  readonly membersOf: (node: NodeId, set: string) => Promise<readonly NodeId[]>
  /** A node that serves in that cluster, for rows that all its nodes share; undefined: none answers. */
  readonly otherNode: (node: NodeId) => Promise<NodeId | undefined>
}

/** The command that a statement belongs to. */
export interface GuardedCommand extends Pick<Command, 'node' | 'phase'> {
  readonly operationType: OperationType
}

/** Statements that only we know are done by it, and those that must not be sent now are refused. */
export interface Guard {
  /**
   * @returns whether the statement is done with that, and is not to be sent
   * @throws ShardingError `copies_differ` or `copy_needed`
   */
  before(about: GuardedCommand, statement: Statement, signal: AbortSignal): Promise<boolean>
}

/**
 * One try of a command that is `processing`. Ends it as `processed`, `error` (to be tried again) or `failed`,
 * always by what is known and never by a guess. A plain success does not wait for the journal.
 */
export async function attemptForward(live: LiveCommand, context: AttemptContext): Promise<AttemptResult> {
  if (live.inDoubt) return await settleDoubt(live, context)
  if (context.isLeftTo(live.command)) {
    await live.change('succeed', { outcome: 'node gone', lastError: 'what it waits for was left undone' })
    return { kind: 'settled' }
  }
  const startedAt = context.clock.now()
  try {
    await send(live, live.statements, context)
  } catch (error) {
    return await forwardFailed(live, error, context)
  }
  const duration = context.clock.now() - startedAt
  return {
    kind: 'settled',
    recorded: live.change('succeed', { outcome: 'applied', lastError: '', duration }),
  }
}

/** One request a statement. */
export async function send(
  live: LiveCommand,
  statements: readonly Statement[],
  { connector, guard, signal, hurry, operationType }: AttemptContext,
  node = live.command.node,
): Promise<void> {
  const { phase } = live.command
  const connection = connector.connection(node)
  for (const statement of statements) {
    const long = AbortSignal.any([signal, hurry])
    if (await guard.before({ node, phase, operationType }, statement, long)) continue
    const timeoutMs = TIMEOUTS_MS.get(statement.kind) ?? STATEMENT_TIMEOUT_MS
    const ends = timeoutMs === COPY_TIMEOUT_MS ? long : signal
    await connection.execute(renderStatement(statement), { timeoutMs, signal: ends })
  }
}

const TIMEOUTS_MS: ReadonlyMap<StatementKind, number> = new Map<StatementKind, number>([
  ['join_cluster', COPY_TIMEOUT_MS],
  ['alter_cluster', COPY_TIMEOUT_MS],
  ['exit_cluster', EXIT_TIMEOUT_MS],
])

async function forwardFailed(
  live: LiveCommand,
  error: unknown,
  context: AttemptContext,
): Promise<AttemptResult> {
  if (isOutcomeUnknown(error)) {
    live.doubt(error)
    return await settleDoubt(live, context)
  }
  if (isTransient(error) && (await context.isAnyGone())) return await withoutNode(live, error)
  if (isTransient(error)) return await tryLater(live, error, context)
  if (live.command.phase === 'after_pivot') return await failedBehindPivot(live, error, context)
  return await failedForGood(live, error, context)
}

/** Nobody knows whether it ever returns: what cannot be done without it fails, what only frees is left to later. */
async function withoutNode(live: LiveCommand, error: unknown): Promise<AttemptResult> {
  if (live.command.phase === 'before_pivot') return await giveUp(live, error, '')
  await live.change('succeed', { outcome: 'node gone', lastError: messageOf(error) })
  return { kind: 'settled' }
}

/** The daemon refused it. What it found in its way, or left behind half-done, decides about the undo. */
async function failedForGood(
  live: LiveCommand,
  error: unknown,
  context: AttemptContext,
): Promise<AttemptResult> {
  if (!(error instanceof ShardingError)) throw error
  switch (await look(live, context)) {
    case undefined:
      // What may be there by the time of the undo is somebody else's then.
      return await giveUp(live, error, live.mayBeOurs || !live.isAtomic ? '' : 'no effect')
    case 'partial':
    case 'in_progress':
      return await giveUp(live, error, '')
    case 'absent':
    case 'different':
      return await giveUp(live, error, 'no effect')
    case 'present':
      return await foundPresent(live, error)
  }
}

/** Its effect is there: through an earlier try of ours, or through somebody else. */
async function foundPresent(live: LiveCommand, error: unknown): Promise<AttemptResult> {
  if (live.mayBeOurs) {
    await live.change('succeed', { outcome: 'applied', lastError: '' })
    return { kind: 'settled' }
  }
  if (live.command.onExisting === 'fail') return await giveUp(live, error, 'no effect')
  await live.change('succeed', { outcome: 'already there', lastError: '' })
  return { kind: 'settled' }
}

/** Behind the pivot nothing fails: what is already gone is done, all else is tried again. */
async function failedBehindPivot(
  live: LiveCommand,
  error: unknown,
  context: AttemptContext,
): Promise<AttemptResult> {
  if ((await look(live, context)) === 'present') {
    await live.change('succeed', { outcome: 'already there', lastError: '' })
    return { kind: 'settled' }
  }
  await live.change('retry', { lastError: messageOf(error), cause: error })
  return { kind: 'again' }
}

/** Finds out by looking what came of a try without an answer. */
async function settleDoubt(live: LiveCommand, context: AttemptContext): Promise<AttemptResult> {
  const error = live.causeOfDoubt
  const presence = await look(live, context)
  const isFinal = live.command.phase === 'before_pivot'
  switch (presence) {
    case 'present':
      return isFinal ? await foundPresent(live, error) : await doneBehindPivot(live)
    case 'different':
      return isFinal ? await giveUp(live, error, 'no effect') : await sendAgain(live, error, context)
    case 'absent':
      // Its time is over, but the node may still be about to do it: the undo looks again.
      return isFinal && isOver(context)
        ? await giveUp(live, error, '')
        : await sendAgain(live, error, context)
    case 'partial':
      return live.replaces ? await sendAgain(live, error, context) : await waitForAnswer(live, error, context)
    case 'in_progress':
    case undefined:
      return await waitForAnswer(live, error, context)
  }
}

async function sendAgain(live: LiveCommand, error: unknown, context: AttemptContext): Promise<AttemptResult> {
  live.doubtSettled()
  return await tryLater(live, error, context)
}

async function doneBehindPivot(live: LiveCommand): Promise<AttemptResult> {
  const outcome = live.mayBeOurs ? 'applied' : 'already there'
  await live.change('succeed', { outcome, lastError: '' })
  return { kind: 'settled' }
}

/** The node does not answer, or is still at it: keep the doubt and look again, until the deadline. */
async function waitForAnswer(
  live: LiveCommand,
  error: unknown,
  context: AttemptContext,
): Promise<AttemptResult> {
  const gone = await context.isAnyGone()
  if (live.command.phase === 'before_pivot' && (gone || isOver(context))) {
    return await giveUp(live, error, '')
  }
  return gone ? await withoutNode(live, error) : { kind: 'again' }
}

async function tryLater(live: LiveCommand, error: unknown, context: AttemptContext): Promise<AttemptResult> {
  if (live.command.phase === 'before_pivot' && isOver(context)) {
    // A table that was dropped to be made anew is a half-done effect.
    return await giveUp(live, error, live.replaces ? '' : 'no effect')
  }
  await live.change('retry', { lastError: messageOf(error), cause: error })
  return { kind: 'again' }
}

function isOver({ clock, deadlineAt, signal, hurry }: AttemptContext): boolean {
  return signal.aborted || hurry.aborted || clock.now() >= deadlineAt
}

async function giveUp(live: LiveCommand, error: unknown, outcome: 'no effect' | ''): Promise<AttemptResult> {
  await live.change('fail', { outcome, lastError: messageOf(error), cause: error })
  return { kind: 'failed', error }
}

/** Undefined: the node does not answer, so nothing is known. */
export async function look(live: LiveCommand, context: AttemptContext): Promise<Presence | undefined> {
  try {
    return await context.probe.lookAll(live.command.node, live.statements)
  } catch (error) {
    if (error instanceof NodeError) return undefined
    throw error
  }
}
