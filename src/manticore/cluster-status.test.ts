import { describe, expect, it } from 'vitest'
import { type Counter, decodeClusters } from './cluster-status.ts'

/** The counters of one cluster, in the daemon's order. */
function block(name: string, changed: Readonly<Record<string, string>> = {}): Counter[] {
  const values: Record<string, string> = {
    state_uuid: `uuid-of-${name}`,
    state_seqno: '0',
    conf_id: '1',
    status: 'primary',
    size: '3',
    local_index: '1',
    node_state: 'synced',
    nodes_set: 'a:9312,b:9312',
    nodes_view: 'a:9312,a:9500:replication,b:9312,b:9500:replication,c:9312,c:9500:replication',
    indexes_count: '2',
    indexes: 'users,system.u_s0',
    sst_total: '-',
    sst_stage: '-',
    sst_stage_total: '-',
    sst_table: '-',
    sst_tables: '-',
    local_state_uuid: `local-uuid-of-${name}`,
    protocol_version: '9',
    ...changed,
  }
  return Object.entries(values).map(([key, value]) => ({ name: `cluster_${name}_${key}`, value }))
}

describe('decodeClusters', () => {
  it('gives everything a member tells', () => {
    expect(decodeClusters(block('c'))).toEqual([
      {
        name: 'c',
        status: 'primary',
        nodeState: 'synced',
        size: 3,
        stateUuid: 'uuid-of-c',
        localIndex: 1,
        nodesSet: ['a:9312', 'b:9312'],
        nodesView: ['a:9312', 'b:9312', 'c:9312'],
        transferPercent: null,
        tables: ['system.u_s0', 'users'],
        lastError: '',
        sst: null,
      },
    ])
  })

  it('tells clusters apart whose names look like parts of counters', () => {
    const names = ['c', 'c_local', 'c_local_local', 'rs_1', 'status', 'x_state_uuid', 'x_state_seqno', 'name']
    const decoded = decodeClusters(names.flatMap((name) => block(name)))
    expect(decoded.map(({ name, stateUuid }) => [name, stateUuid])).toEqual(
      names.map((name) => [name, `uuid-of-${name}`]),
    )
  })

  it('tells them apart in any order, also where a block is cut short', () => {
    const closed = block('c').slice(0, 11)
    const decoded = decodeClusters([...block('c_local'), ...closed, ...block('c_local_x')])
    expect(decoded.map(({ name }) => name)).toEqual(['c_local', 'c', 'c_local_x'])
  })

  it('goes by the first counter where the second is not shown', () => {
    const counters = ['c', 'c_x'].flatMap((name) => block(name).filter((one) => !/seqno/.test(one.name)))
    expect(decodeClusters(counters).map(({ name }) => name)).toEqual(['c', 'c_x'])
  })

  it('skips the counter that names the cluster, and counters of other things', () => {
    const counters = [
      { name: 'uptime', value: '7' },
      { name: 'cluster_name', value: 'c' },
      ...block('c'),
      { name: 'cluster_name', value: 'd' },
      ...block('d'),
    ]
    expect(decodeClusters(counters).map(({ name }) => name)).toEqual(['c', 'd'])
  })

  it('gives the state transfer under way', () => {
    const [cluster] = decodeClusters(
      block('c', {
        node_state: 'donor',
        sst_total: '65',
        sst_stage: 'send files',
        sst_stage_total: '78',
        sst_tables: '5',
        sst_table: '3 (products)',
      }),
    )
    expect(cluster?.sst).toEqual({
      total: 65,
      stage: 'send files',
      stageTotal: 78,
      table: '3 (products)',
      tables: 5,
    })
  })

  it('of a node without a place in its cluster has index -1 and nobody in view', () => {
    const [cluster] = decodeClusters(
      block('c', {
        status: 'closed',
        node_state: 'closed',
        local_index: '',
        nodes_view: '',
        last_error: 'gone',
      }),
    )
    expect(cluster).toMatchObject({ localIndex: -1, nodesView: [], lastError: 'gone', status: 'closed' })
  })

  it('of no counters is no cluster', () => {
    expect(decodeClusters([])).toEqual([])
  })
})
