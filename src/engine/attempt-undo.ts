import { messageOf, NodeError } from '../domain/errors.ts'
import type { Statement, StatementKind } from '../domain/statement.ts'
import { renderStatement } from '../sql/index.ts'
import { type AttemptContext, type AttemptResult, look, send, STATEMENT_TIMEOUT_MS } from './attempt.ts'
import type { LiveCommand } from './live-command.ts'
import { isTransient } from './retry.ts'

/** So often nothing must be found before an undo takes it that a command in doubt had no effect. */
const LOOKS_AT_NOTHING = 3
/** After so many looks at something that is still in progress, its undo is tried all the same. */
const MAX_LOOKS_AT_PROGRESS = 20

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
    await send(live, live.rollbackStatements, context)
  } catch (error) {
    if (!(error instanceof NodeError)) throw error
    if (await isNodeGone(live, error, context)) return await undoWithoutNode(live, error, context)
    if (error.code === 'not_primary' && (await context.isAnyGone())) await reviveSet(live, context)
    // Refused because it is gone already, or done without an answer: a look tells.
    if (isTransient(error) || (await look(live, context)) !== 'absent') {
      await live.change('undo_retry', { lastError: messageOf(error), cause: error })
      return { kind: 'again' }
    }
  }
  await live.change('undone')
  return { kind: 'settled' }
}

/**
 * What is left on the node is found when it returns. Rows that all nodes share are put back through another one:
 * doing so changes nothing where nothing had happened.
 */
async function undoWithoutNode(
  live: LiveCommand,
  error: unknown,
  context: AttemptContext,
): Promise<AttemptResult> {
  if (!isShared(live.rollbackStatements)) {
    await live.change('undone', { outcome: 'node gone', lastError: messageOf(error) })
    return { kind: 'settled' }
  }
  try {
    const other = await context.otherNode(live.command.node)
    if (other === undefined) throw error
    await send(live, live.rollbackStatements, context, other)
  } catch (failure) {
    if (!(failure instanceof NodeError)) throw failure
    await live.change('undo_retry', { lastError: messageOf(failure), cause: failure })
    return { kind: 'again' }
  }
  await live.change('undone')
  return { kind: 'settled' }
}

/**
 * Makes a replica set primary again whose other members are gone, so that it can be taken apart. Safe, because the
 * cluster of all nodes is primary without them: they cannot be serving writes.
 */
async function reviveSet({ command, statements }: LiveCommand, context: AttemptContext): Promise<void> {
  const connection = context.connector.connection(command.node)
  for (const statement of statements) {
    if (!('cluster' in statement)) continue
    for (const member of await context.membersOf(command.node, statement.cluster)) {
      if (member !== command.node && !(await context.isGone(member))) return
    }
    const bootstrap = {
      kind: 'set_cluster',
      cluster: statement.cluster,
      variable: 'pc.bootstrap',
      value: 1,
    } as const
    try {
      await connection.execute(renderStatement(bootstrap), {
        timeoutMs: STATEMENT_TIMEOUT_MS,
        signal: context.signal,
      })
    } catch (error) {
      // The undo itself is tried again and says what is wrong.
      if (!(error instanceof NodeError)) throw error
    }
  }
}

/** Whether it changes nothing but rows of tables in the cluster of all nodes. */
function isShared(statements: readonly Statement[]): boolean {
  return (
    statements.length > 0 &&
    statements.every(
      (statement) =>
        ROW_WRITES.has(statement.kind) && 'table' in statement && statement.table.cluster !== null,
    )
  )
}

const ROW_WRITES: ReadonlySet<StatementKind> = new Set<StatementKind>([
  'insert',
  'replace',
  'update',
  'delete',
])

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
      if (attempt >= LOOKS_AT_NOTHING) return false
      throw new NodeError('busy', {
        node,
        sql: live.command.query,
        message: `${node} shows nothing of it yet; looking again, as it may still come`,
      })
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

/** Whether the command's own node does not answer because the cluster goes on without it. */
async function isNodeGone(live: LiveCommand, error: unknown, context: AttemptContext): Promise<boolean> {
  return (
    error instanceof NodeError &&
    error.code === 'unreachable' &&
    error.node === live.command.node &&
    (await context.isGone(live.command.node))
  )
}
