/** How long things take on an embedded node, in milliseconds. */
export interface LatencyProfile {
  /** One message between two nodes. */
  readonly hopMs: number
  readonly readMs: number
  readonly writeMs: number
  readonly createTableMs: number
  readonly dropTableMs: number
  readonly createClusterMs: number
  /** JOINs run by one node queue behind each other. */
  readonly joinMs: number
  /** EXIT and DELETE CLUSTER. */
  readonly leaveMs: number
  /** ALTER CLUSTER ADD, for each table. */
  readonly addTableMs: number
}

/** Everything takes only as long as it takes. */
export const NO_LATENCY: LatencyProfile = {
  hopMs: 0,
  readMs: 0,
  writeMs: 0,
  createTableMs: 0,
  dropTableMs: 0,
  createClusterMs: 0,
  joinMs: 0,
  leaveMs: 0,
  addTableMs: 0,
}

/** Medians measured on real daemons that share one machine; what a JOIN costs dwarfs all else. */
export const MEASURED_LATENCY: LatencyProfile = {
  hopMs: 0,
  readMs: 0.8,
  writeMs: 1.2,
  createTableMs: 4,
  dropTableMs: 2,
  createClusterMs: 30,
  joinMs: 1_030,
  leaveMs: 100,
  addTableMs: 17,
}
