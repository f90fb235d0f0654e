/**
 * Sharded tables over a Manticore Search cluster, with rollback.
 *
 * {@link connect} opens a cluster, {@link Table} makes and drops sharded tables, {@link Queue} runs commands of
 * your own with the same guarantees, {@link EmbeddedCluster} is a cluster to try all of it on.
 */
export { connect, type ConnectOptions } from './app/connect.ts'
export type { Runtime } from './app/runtime.ts'
export { Coordinator, type CoordinatorSettings, type CoordinatorStatus } from './coordination/coordinator.ts'
export type { NodeState, NodeView } from './coordination/node-watch.ts'
export type { Command, CommandOutcome, CommandStatus } from './domain/command.ts'
export {
  type ErrorCode,
  errorRule,
  InputError,
  NodeError,
  type NodeErrorCode,
  ShardingError,
} from './domain/errors.ts'
export type { Operation, OperationState, OperationType } from './domain/operation.ts'
export type { Plan, PlannedCommand } from './domain/plan.ts'
export type { CallOptions, Clock, IdSource, Log, NodeConnection, Random } from './domain/ports.ts'
export type { Reply, ResultColumn, Row, Value } from './domain/values.ts'
export type { NodeId, Placement } from './domain/words.ts'
export {
  EmbeddedCluster,
  type EmbeddedClusterOptions,
  type Fault,
  type FaultEffect,
  type FaultHandle,
} from './embedded/index.ts'
export type { CommandCounts, ProgressEvent, ProgressListener } from './engine/events.ts'
export type { Throttle } from './engine/throttle.ts'
export { Client } from './library/client.ts'
export { type Adoption, Cluster } from './library/cluster.ts'
export type { OperationOptions } from './coordination/operations.ts'
export { type FailedCommand, OperationError, type OperationSummary } from './library/operation-error.ts'
export type { PreparedPlan } from './coordination/prepared-plan.ts'
export type { ProgressOptions } from './library/progress.ts'
export { Queue } from './library/queue.ts'
export type { RebalancingProgress } from './library/rebalancing.ts'
export { Table } from './library/table.ts'
export type { HttpConnectionOptions, NodeAuth } from './manticore/index.ts'
export type { NodeRecord } from './coordination/node-records.ts'
export type {
  AdoptionFindings,
  AdoptionProblem,
  AdoptionProblemKind,
  FoundTable,
} from './planning/adoption.ts'
export { planText } from './planning/plan-text.ts'
export { SqlSyntaxError, validateRollback } from './sql/index.ts'
