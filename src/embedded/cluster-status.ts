import type { Membership } from './replication-membership.ts'
import type { Replication } from './replication.ts'

/** The sixth part of `evs_repl_latency` counts samples; the rest are seconds. Nothing is measured here. */
const NO_REPLICATION_LATENCY = '0/0/0/0/0'

/** What `SHOW STATUS` says of the clusters of a node, in the daemon's order. */
export function clusterCounters(
  replication: Replication,
  memberships: Iterable<Membership>,
): readonly (readonly [counter: string, value: string])[] {
  replication.settle()
  return [...memberships].flatMap((membership) =>
    countersOf(replication, membership).map(([counter, value]): [string, string] => [
      `cluster_${membership.cluster}_${counter}`,
      value,
    ]),
  )
}

function countersOf(
  replication: Replication,
  membership: Membership,
): readonly (readonly [string, string])[] {
  return [
    ...ownCounters(membership, nodesView(replication, membership)),
    ...transferCounters(membership),
    ...GALERA_COUNTERS.map(([counter, value]): [string, string] => [
      counter,
      typeof value === 'string' ? value : value(membership, nodesView(replication, membership)),
    ]),
    ...(membership.lastError === '' ? [] : [['last_error', membership.lastError] as const]),
  ]
}

function ownCounters(membership: Membership, view: string): readonly (readonly [string, string])[] {
  return [
    ['state_uuid', membership.stateUuid],
    ['state_seqno', String(membership.seqno)],
    ['conf_id', confId(membership)],
    ['status', membership.status],
    ['size', String(membership.view.members.length)],
    ['local_index', String(membership.view.members.indexOf(membership.node))],
    ['node_state', membership.nodeState],
    ['nodes_set', membership.nodesSet.join(',')],
    ['nodes_view', view],
    ['indexes_count', String(membership.tables.size)],
    ['indexes', [...membership.tables].sort().join(',')],
  ]
}

/** Galera shows the highest number there is for a view that is not primary. */
function confId(membership: Membership): string {
  return membership.view.primary ? String(membership.view.confId) : '18446744073709551615'
}

/** Live members, each followed by its replication address. */
function nodesView(replication: Replication, membership: Membership): string {
  return membership.view.members
    .map((node) => {
      const address = replication.network.process(node)?.replicationAddress
      return address === undefined ? node : `${node},${address}:replication`
    })
    .join(',')
}

function transferCounters(membership: Membership): readonly (readonly [string, string])[] {
  const { transfer } = membership
  if (transfer === null) {
    return ['sst_total', 'sst_stage', 'sst_stage_total', 'sst_table', 'sst_tables'].map(
      (counter): [string, string] => [counter, '-'],
    )
  }
  const { tablesDone, tablesTotal } = transfer
  return [
    ['sst_total', String(Math.floor((100 * tablesDone) / Math.max(1, tablesTotal)))],
    ['sst_stage', membership.state === 'joining' ? 'receive tables' : 'send tables'],
    ['sst_stage_total', '0'],
    ['sst_table', `${Math.min(tablesDone + 1, tablesTotal)} (${transfer.table})`],
    ['sst_tables', String(tablesTotal)],
  ]
}

type CounterValue = string | ((membership: Membership, nodesView: string) => string)

const committed: CounterValue = (membership) => String(membership.seqno)
const synced = (membership: Membership): boolean => membership.writable

/** Counters of the replication library. Those that nothing here measures are constants of the right form. */
const GALERA_COUNTERS: readonly (readonly [string, CounterValue])[] = [
  ['local_state_uuid', (membership) => membership.stateUuid],
  ['protocol_version', '9'],
  ['last_committed', committed],
  ['replicated', '0'],
  ['replicated_bytes', '0'],
  ['repl_keys', '0'],
  ['repl_keys_bytes', '0'],
  ['repl_data_bytes', '0'],
  ['repl_other_bytes', '0'],
  ['received', '2'],
  ['received_bytes', '182'],
  ['local_commits', '0'],
  ['local_cert_failures', '0'],
  ['local_replays', '0'],
  ['local_send_queue', '0'],
  ['local_send_queue_max', '1'],
  ['local_send_queue_min', '0'],
  ['local_send_queue_avg', '0.000000'],
  ['local_recv_queue', '0'],
  ['local_recv_queue_max', '2'],
  ['local_recv_queue_min', '0'],
  ['local_recv_queue_avg', '0.500000'],
  ['local_cached_downto', '-1'],
  ['flow_control_paused_ns', '0'],
  ['flow_control_paused', '0.000000'],
  ['flow_control_sent', '0'],
  ['flow_control_recv', '0'],
  ['flow_control_active', 'false'],
  ['flow_control_requested', 'false'],
  ['cert_deps_distance', '0.000000'],
  ['apply_oooe', '0.000000'],
  ['apply_oool', '0.000000'],
  ['apply_window', '0.000000'],
  ['apply_waits', '0'],
  ['commit_oooe', '0.000000'],
  ['commit_oool', '0.000000'],
  ['commit_window', '0.000000'],
  ['local_state', (membership) => (synced(membership) ? '4' : '0')],
  ['local_state_comment', (membership) => (synced(membership) ? 'Synced' : 'Initialized')],
  ['cert_index_size', '0'],
  ['causal_reads', '0'],
  ['cert_interval', '0.000000'],
  ['open_transactions', '0'],
  ['open_connections', '0'],
  ['incoming_addresses', (_membership, view) => view],
  ['cluster_weight', (membership) => String(membership.view.primary ? membership.view.members.length : 0)],
  ['desync_count', '0'],
  ['evs_delayed', ''],
  ['evs_evict_list', ''],
  ['evs_repl_latency', NO_REPLICATION_LATENCY],
  ['evs_state', 'OPERATIONAL'],
  ['gcomm_uuid', (membership) => membership.stateUuid],
  ['gmcast_segment', '0'],
]
