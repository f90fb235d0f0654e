import { NodeError, type NodeErrorCode } from '../domain/errors.ts'
import type { NodeId } from '../domain/words.ts'

/** How much of a statement a message repeats: enough to recognise it, short enough for a log line. */
const SHOWN_SQL_LENGTH = 120

/** A NodeError whose message names the node, what went wrong, and the beginning of the statement. */
export function statementError(
  code: NodeErrorCode,
  node: NodeId,
  sql: string,
  text: string,
  daemonText = '',
  options?: ErrorOptions,
): NodeError {
  const shown = sql.length > SHOWN_SQL_LENGTH ? `${sql.slice(0, SHOWN_SQL_LENGTH)}…` : sql
  return new NodeError(
    code,
    { node, sql, daemonText, message: `${node}: ${text} (statement: ${shown})` },
    options,
  )
}
