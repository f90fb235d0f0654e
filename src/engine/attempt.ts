import { messageOf, NodeError } from '../domain/errors.ts'
import type { Clock, NodeConnector } from '../domain/ports.ts'
import type { StatementKind } from '../domain/statement.ts'
import type { LiveCommand } from './live-command.ts'
import type { Presence, Probe } from './probe.ts'
import { isOutcomeUnknown, isTransient } from './retry.ts'

/** How long a statement may take before its outcome counts as unknown, in milliseconds. */
const STATEMENT_TIMEOUT_MS = 30_000
/** The same for statements that copy tables. When it is over, the node is asked how far it is. */
const COPY_TIMEOUT_MS = 120_000
/** After so many looks at something that is still in progress, its undo is tried all the same. */
const MAX_LOOKS_AT_PROGRESS = 20

/** What came of one try. */
export type AttemptResult =
  /** Nothing more to do with this command. */
  | { readonly kind: 'settled' }
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
}

/**
 * One try of a command that is `processing`. Ends it as `processed`, `error` (to be tried again) or `failed`,
 * always by what is known and never by a guess.
 */
export async function attemptForward(live: LiveCommand, context: AttemptContext): Promise<AttemptResult> {
  if (live.inDoubt) return await settleDoubt(live, context)
  const startedAt = context.clock.now()
  try {
    await send(live, live.sql(), context)
  } catch (error) {
    return await forwardFailed(live, error, context)
  }
  await live.change('succeed', {
    outcome: 'applied',
    lastError: '',
    duration: context.clock.now() - startedAt,
  })
  return { kind: 'settled' }
}

async function send(live: LiveCommand, texts: readonly string[], context: AttemptContext): Promise<void> {
  const connection = context.connector.connection(live.command.node)
  for (const [index, sql] of texts.entries()) {
    const timeoutMs = COPYING.has(live.statements[index]?.kind ?? 'begin')
      ? COPY_TIMEOUT_MS
      : STATEMENT_TIMEOUT_MS
    await connection.execute(sql, { timeoutMs, signal: context.signal })
  }
}

const COPYING: ReadonlySet<StatementKind> = new Set<StatementKind>(['join_cluster', 'alter_cluster'])

async function forwardFailed(
  live: LiveCommand,
  error: unknown,
  context: AttemptContext,
): Promise<AttemptResult> {
  if (isOutcomeUnknown(error)) {
    live.doubt()
    return await settleDoubt(live, context, error)
  }
  if (isTransient(error)) return await tryLater(live, error, context)
  if (live.command.phase === 'after_pivot') return await failedBehindPivot(live, error, context)
  return await failedForGood(live, error, context)
}

/** The daemon refused it. What it found in its way, or left behind half-done, decides about the undo. */
async function failedForGood(
  live: LiveCommand,
  error: unknown,
  context: AttemptContext,
): Promise<AttemptResult> {
  if (!(error instanceof NodeError)) throw error
  switch (await look(live, context)) {
    case undefined:
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
  await live.change('retry', { lastError: messageOf(error) })
  return { kind: 'again' }
}

/** Finds out by looking what came of a try without an answer. */
async function settleDoubt(
  live: LiveCommand,
  context: AttemptContext,
  error: unknown = new Error('its coordinator was interrupted'),
): Promise<AttemptResult> {
  const presence = await look(live, context)
  switch (presence) {
    case 'present':
      return await foundPresent(live, error)
    case 'different':
      return await giveUp(live, error, 'no effect')
    case 'absent':
      live.doubtSettled()
      return await tryLater(live, error, context)
    case 'partial':
    case 'in_progress':
    case undefined:
      return await waitForAnswer(live, error, context)
  }
}

/** The node does not answer, or is still at it: keep the doubt and look again, until the deadline. */
async function waitForAnswer(
  live: LiveCommand,
  error: unknown,
  context: AttemptContext,
): Promise<AttemptResult> {
  if (live.command.phase === 'before_pivot' && isOver(context)) {
    return await giveUp(live, error, '')
  }
  return { kind: 'again' }
}

async function tryLater(live: LiveCommand, error: unknown, context: AttemptContext): Promise<AttemptResult> {
  if (live.command.phase === 'before_pivot' && isOver(context)) return await giveUp(live, error, 'no effect')
  await live.change('retry', { lastError: messageOf(error) })
  return { kind: 'again' }
}

function isOver({ clock, deadlineAt, signal }: AttemptContext): boolean {
  return signal.aborted || clock.now() >= deadlineAt
}

async function giveUp(live: LiveCommand, error: unknown, outcome: 'no effect' | ''): Promise<AttemptResult> {
  await live.change('fail', { outcome, lastError: messageOf(error) })
  return { kind: 'failed', error }
}

/** Undefined: the node does not answer, so nothing is known. */
async function look(live: LiveCommand, context: AttemptContext): Promise<Presence | undefined> {
  try {
    return await context.probe.lookAll(live.command.node, live.statements)
  } catch (error) {
    if (error instanceof NodeError) return undefined
    throw error
  }
}

/**
 * One try of the undo of a command that is `rolling_back`. Ends it as `rolled_back` or `rollback_error`; it
 * never gives up.
 */
export async function attemptUndo(
  live: LiveCommand,
  context: AttemptContext,
  attempt: number,
): Promise<AttemptResult> {
  try {
    if (live.command.outcome !== 'applied' && !(await hasSomethingToUndo(live, context, attempt))) {
      await live.change('undone')
      return { kind: 'settled' }
    }
    await send(live, live.rollbackSql(), context)
  } catch (error) {
    if (!(error instanceof NodeError)) throw error
    // Refused because it is gone already, or done without an answer: a look tells.
    if (isTransient(error) || (await look(live, context)) !== 'absent') {
      await live.change('undo_retry', { lastError: messageOf(error) })
      return { kind: 'again' }
    }
  }
  await live.change('undone')
  return { kind: 'settled' }
}

/** Throws NodeError while the node does not say. */
async function hasSomethingToUndo(
  live: LiveCommand,
  context: AttemptContext,
  attempt: number,
): Promise<boolean> {
  const { node, existedBefore } = live.command
  const presence = await context.probe.lookAll(node, live.statements)
  switch (presence) {
    case 'absent':
    case 'different':
      return false
    case 'present':
      return !existedBefore
    case 'partial':
      return true
    case 'in_progress':
      if (attempt >= MAX_LOOKS_AT_PROGRESS) return true
      throw new NodeError('busy', {
        node,
        sql: live.command.query,
        message: `${node} is still busy with it; undoing it as soon as it is done`,
      })
  }
}
