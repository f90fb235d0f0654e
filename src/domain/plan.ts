import type { OnExisting, Phase } from './command.ts'
import type { OperationType } from './operation.ts'
import type { Statement } from './statement.ts'
import type { NodeId } from './words.ts'

/** A command before it is queued. `key` names it within its plan, readable and stable. */
export interface PlannedCommand {
  readonly key: string
  readonly node: NodeId
  readonly statement: Statement
  /** What undoes it, on the same node. After the pivot it may be null: it only frees what nobody uses. */
  readonly rollback: Statement | null
  /** Keys of the commands that must be processed first. They stand earlier in the plan. */
  readonly dependsOn: readonly string[]
  readonly phase: Phase
  readonly onExisting: OnExisting
  /** Why it is there; one short sentence. */
  readonly why: string
}

/** An operation before it is queued: a value that can be printed, compared and run. */
export interface Plan {
  readonly type: OperationType
  readonly table: string
  readonly summary: string
  /** In an order in which running them one by one would be right. */
  readonly commands: readonly PlannedCommand[]
}
