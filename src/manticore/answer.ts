import type { NodeError, NodeErrorCode } from '../domain/errors.ts'
import type { Reply } from '../domain/values.ts'
import type { NodeId } from '../domain/words.ts'
import { classifyFailure } from './failure-classes.ts'
import type { HttpAnswer } from './http-exchange.ts'
import { decodeBody } from './reply.ts'
import { statementError } from './statement-error.ts'

/** Whether a statement is without effect (`read`) or with one (`execute`). */
export type StatementKind = 'read' | 'execute'

/** How much of a stranger's answer a message shows. */
const SHOWN_BODY_LENGTH = 80

const UNAUTHORIZED = [401, 403]
/** What the daemon itself answers a failed statement with. */
const DAEMON_FAILURES = [400, 409, 500, 503]
/** What a proxy in between answers when the node behind it is away, or was lost half-way. */
const GATEWAY_FAILURES = [502, 503, 504]

/**
 * Turns an HTTP answer into the reply of a statement.
 *
 * @throws NodeError with the class of the failure.
 */
export function interpretAnswer(node: NodeId, kind: StatementKind, sql: string, answer: HttpAnswer): Reply {
  const decoded = decodeBody(answer.body)
  if (UNAUTHORIZED.includes(answer.status)) {
    const daemonText = decoded.kind === 'failure' ? decoded.text : ''
    const text = daemonText === '' ? `HTTP ${answer.status}` : daemonText
    throw statementError('unauthorized', node, sql, text, daemonText)
  }
  if (decoded.kind === 'reply' && answer.status === 200) return decoded.reply
  if (decoded.kind === 'failure' && mayBeDaemonFailure(answer.status)) {
    throw statementError(failureCode(kind, decoded.text), node, sql, decoded.text, decoded.text)
  }
  throw strangeAnswer(node, kind, sql, answer)
}

/** With 200 a failure is told inside of a result set. */
function mayBeDaemonFailure(status: number): boolean {
  return status === 200 || DAEMON_FAILURES.includes(status)
}

function failureCode(kind: StatementKind, daemonText: string): NodeErrorCode {
  const code = classifyFailure(daemonText)
  return code === 'outcome_unknown' && kind === 'read' ? 'unreachable' : code
}

function strangeAnswer(node: NodeId, kind: StatementKind, sql: string, answer: HttpAnswer): NodeError {
  const shown = answer.body.slice(0, SHOWN_BODY_LENGTH).replace(/\s+/g, ' ').trim()
  const what = `HTTP ${answer.status}, ${answer.contentType || 'no content type'}: ${shown}`
  if (GATEWAY_FAILURES.includes(answer.status)) {
    const code = kind === 'read' ? 'unreachable' : 'outcome_unknown'
    return statementError(code, node, sql, `a gateway answered in place of the node: ${what}`)
  }
  return statementError('not_manticore', node, sql, `this is no Manticore answer: ${what}`)
}
