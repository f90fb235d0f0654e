/** Manticore daemons that run inside this process: for demo, development and tests. */
export {
  EmbeddedCluster,
  type EmbeddedClusterOptions,
} from './embedded-cluster.ts'
export { VirtualClock } from './embedded-cluster-clock.ts'
export type { NodeAnswer } from './embedded-node-front-doors.ts'
export { AnswerLost, EmbeddedNode, NodeDown, type NodeStartOptions } from './embedded-node.ts'
export { type Fault, type FaultEffect, type FaultHandle, Faults } from './faults.ts'
export { type LatencyProfile, MEASURED_LATENCY, NO_LATENCY } from './network-latency.ts'
export { DaemonError, type StatementResult } from './store.ts'
