/**
 * The system tables. They are ordinary tables in the cluster of all nodes, so every node has them. The first
 * columns of each are fixed and documented; what stands behind them may grow.
 */
export const QUEUE_TABLE = 'system.sharding_queue'
export const STATE_TABLE = 'system.sharding_state'
export const PLACEMENT_TABLE = 'system.sharding_table'
export const OPERATION_TABLE = 'system.sharding_operation'

export const SYSTEM_TABLES: ReadonlySet<string> = new Set([
  QUEUE_TABLE,
  STATE_TABLE,
  PLACEMENT_TABLE,
  OPERATION_TABLE,
])
