import type { OnExisting, Phase } from './command.ts'
import type { OperationType } from './operation.ts'
import type { Statement } from './statement.ts'
import type { NodeId } from './words.ts'

/** A command before it is queued. `key` names it within its plan, readable and stable. */
export interface PlannedCommand {
  readonly key: string
  readonly node: NodeId
  /** Sent one after the other; together they have one effect. */
  readonly statements: readonly Statement[]
  /**
   * What undoes it, on the same node. Empty for what has nothing to undo, and after the pivot, where commands
   * only free what nobody uses.
   */
  readonly rollback: readonly Statement[]
  /** Keys of the commands that must be processed first. They stand earlier in the plan. */
  readonly dependsOn: readonly string[]
  readonly phase: Phase
  readonly onExisting: OnExisting
  /** The part of the operation that it belongs to: those up to a savepoint can stay when later ones are undone. */
  readonly savepoint: number
  /** What it makes nodes copy from each other, in bytes, as far as it is known. */
  readonly copyBytes: number
  /** Why it is there; one short sentence. */
  readonly why: string
}

/** An operation before it is queued: a value that can be printed, compared and run. */
export interface Plan {
  readonly type: OperationType
  readonly table: string
  readonly summary: string
  /** Why it does what it does, and why it does no more; one sentence each. */
  readonly reasons: readonly string[]
  /** Bytes that nodes copy from each other, as far as sizes are known. */
  readonly copyBytes: number
  /** In an order in which running them one by one would be right. */
  readonly commands: readonly PlannedCommand[]
}
