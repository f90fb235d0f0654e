/** Every metric of the service, in the order in which they are documented. */

export interface MetricDefinition<L extends string = string> {
  readonly kind: 'counter' | 'gauge' | 'histogram'
  readonly name: string
  /** One sentence, for the metrics themselves and for the documentation. */
  readonly help: string
  readonly labels: readonly L[]
  /** Upper bounds of a histogram's buckets, in seconds. */
  readonly buckets?: readonly number[]
}

/** Most statements take milliseconds, a JOIN seconds, a large copy minutes. */
const COMMAND_BUCKETS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300]
const GAP_BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
const REQUEST_BUCKETS_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const ROLLBACK_BUCKETS_S = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800]
const STATEMENT_BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

function counter<const L extends string = never>(
  name: string,
  help: string,
  ...labels: L[]
): MetricDefinition<L> {
  return { kind: 'counter', name, help, labels }
}

function gauge<const L extends string = never>(
  name: string,
  help: string,
  ...labels: L[]
): MetricDefinition<L> {
  return { kind: 'gauge', name, help, labels }
}

function histogram<const L extends string = never>(
  name: string,
  help: string,
  buckets: readonly number[],
  ...labels: L[]
): MetricDefinition<L> {
  return { kind: 'histogram', name, help, labels, buckets }
}

export const METRICS = {
  build: gauge('mshard_build_info', 'Always 1; the label tells the version that runs.', 'version'),
  leader: gauge('mshard_leader', '1 while this process leads, 0 otherwise.'),
  epoch: gauge(
    'mshard_epoch',
    'Fencing number of this term of leadership; 0 while this process does not lead.',
  ),
  nodes: gauge(
    'mshard_nodes',
    'Nodes of the cluster by what is known of them; only where it leads.',
    'state',
  ),
  operations: counter(
    'mshard_operations_total',
    'Operations that have reached a state, in this process.',
    'type',
    'state',
  ),
  openOperations: gauge(
    'mshard_open_operations',
    'Operations in the journal that have not ended, by state.',
    'state',
  ),
  oldestOperation: gauge(
    'mshard_oldest_open_operation_age_seconds',
    'Time since the oldest operation in a state was asked for; absent when there is none.',
    'state',
  ),
  openCommands: gauge(
    'mshard_open_commands',
    'Commands in the journal that wait, are under way, or are to be tried again, by status.',
    'status',
  ),
  backlogUp: gauge(
    'mshard_journal_up',
    '1 when the journal could be read for these metrics, 0 when not; what is counted in it is absent then.',
  ),
  commands: counter(
    'mshard_commands_total',
    'Commands that were processed, failed, were skipped, or were rolled back, with what is known of their effect.',
    'kind',
    'status',
    'outcome',
  ),
  commandDuration: histogram(
    'mshard_command_duration_seconds',
    'Time that the successful try of a command took on its node.',
    COMMAND_BUCKETS_S,
    'kind',
  ),
  retries: counter(
    'mshard_retries_total',
    'Tries of commands and of rollbacks that failed and are repeated, by class of the failure.',
    'class',
    'step',
  ),
  rollbacks: counter(
    'mshard_rollbacks_total',
    'Operations that were undone: completely, or up to a savepoint that is kept.',
    'result',
  ),
  rollbackDuration: histogram(
    'mshard_rollback_duration_seconds',
    'Time from the decision to undo an operation until all of it was undone.',
    ROLLBACK_BUCKETS_S,
  ),
  rollingBack: gauge('mshard_rollbacks_in_progress', 'Operations that are being undone by this process.'),
  moves: counter('mshard_moves_total', 'Replica sets that have got a copy on another node.'),
  movedBytes: counter(
    'mshard_moved_bytes_total',
    'Bytes that nodes have copied from each other for moves, as estimated when they were planned.',
  ),
  gaps: histogram(
    'mshard_gaps_seconds',
    'Time for which a sharded table was absent on one node, because it was replaced there.',
    GAP_BUCKETS_S,
  ),
  requests: histogram(
    'mshard_request_duration_seconds',
    'Time until a node has answered a statement of ours, successful or not.',
    REQUEST_BUCKETS_S,
    'node',
    'kind',
  ),
  requestFailures: counter(
    'mshard_request_failures_total',
    'Statements of ours that failed on a node, by class of the failure.',
    'node',
    'kind',
    'class',
  ),
  statements: counter(
    'mshard_statements_total',
    'Statements of clients that were answered by this process, by kind and outcome.',
    'kind',
    'outcome',
  ),
  statementDuration: histogram(
    'mshard_statement_duration_seconds',
    'Time until a statement of a client was answered.',
    STATEMENT_BUCKETS_S,
    'kind',
  ),
} as const satisfies Record<string, MetricDefinition>
