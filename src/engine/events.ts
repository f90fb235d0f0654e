import { type Command, COMMAND_STATUSES, type CommandStatus } from '../domain/command.ts'
import type { ErrorCode } from '../domain/errors.ts'
import type { OperationState, OperationType } from '../domain/operation.ts'
import type { Statement } from '../domain/statement.ts'

/** Counts of an operation's commands by status. */
export type CommandCounts = Readonly<Record<CommandStatus, number>>

/** Something became true and stands in the journal. */
export type ProgressEvent =
  | {
      readonly kind: 'operation'
      readonly group: string
      readonly type: OperationType
      readonly table: string
      readonly state: OperationState
      /** Commands of the operation in all. */
      readonly commands: number
      readonly error: string
    }
  | {
      readonly kind: 'command'
      readonly group: string
      readonly command: Command
      /** What its query says. */
      readonly statements: readonly Statement[]
      /** Class of the failure that made it what it is, or `''`. */
      readonly failure: ErrorCode | ''
      /** Commands of the operation in all, and how many of them have the new status. */
      readonly commands: number
      readonly counts: CommandCounts
    }

export type ProgressListener = (event: ProgressEvent) => void

export function countByStatus(commands: readonly Command[]): Record<CommandStatus, number> {
  const counts = Object.fromEntries(COMMAND_STATUSES.map((status) => [status, 0])) as Record<
    CommandStatus,
    number
  >
  for (const { status } of commands) counts[status]++
  return counts
}
