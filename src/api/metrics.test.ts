import { describe, expect, it } from 'vitest'
import { commandOf } from '../../test/support/engine-doubles.ts'
import type { Command } from '../domain/command.ts'
import type { OperationState } from '../domain/operation.ts'
import type { Backlog } from '../engine/backlog.ts'
import type { CommandCounts, ProgressEvent } from '../engine/events.ts'
import { parseScript } from '../sql/index.ts'
import { METRICS } from './metric-definitions.ts'
import { Metrics } from './metrics.ts'

const NO_COUNTS: CommandCounts = {
  created: 0,
  processing: 0,
  processed: 0,
  error: 0,
  failed: 0,
  rolling_back: 0,
  rollback_error: 0,
  rolled_back: 0,
  skipped: 0,
}

/** A clock that stands still until it is told. */
function clockAt(now: number) {
  return { at: now, now: () => clock.at, sleep: async () => await Promise.reject(new Error('never')) }
}
let clock = clockAt(1_000_000)

function metricsWith(backlog?: (signal: AbortSignal) => Promise<Backlog>): Metrics {
  clock = clockAt(1_000_000)
  return new Metrics({ clock, version: '1.2.3', ...(backlog === undefined ? {} : { backlog }) })
}

function became(state: OperationState, group = 'create-users-1'): ProgressEvent {
  return { kind: 'operation', group, type: 'create', table: 'users', state, commands: 1, error: '' }
}

function command(
  given: Partial<Command>,
  failure: Extract<ProgressEvent, { kind: 'command' }>['failure'] = '',
): ProgressEvent {
  const stored = commandOf(given)
  const statements = parseScript(stored.query)
  const group = stored.operationGroup
  return { kind: 'command', group, command: stored, statements, failure, commands: 1, counts: NO_COUNTS }
}

/** Samples that are not 0 or a bucket, by name and labels. */
async function samples(metrics: Metrics): Promise<Record<string, number>> {
  const lines = (await metrics.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  const pairs = lines.map((line): [string, number] => {
    const end = line.lastIndexOf(' ')
    return [line.slice(0, end), Number(line.slice(end + 1))]
  })
  return Object.fromEntries(pairs.filter(([name, value]) => value !== 0 && !name.includes('_bucket')))
}

const BUILD = { 'mshard_build_info{version="1.2.3"}': 1 }

describe('the metrics', () => {
  it('have these names, kinds and labels, which dashboards and alerts rely on', async () => {
    const text = await metricsWith().text()
    const exposed = text.matchAll(/^# TYPE (\S+) (\S+)$/gm)
    const lines = [...exposed].map(([, name, kind]) => {
      const definition = Object.values(METRICS).find((metric) => metric.name === name)
      return `${name} ${kind} {${definition?.labels.join(',') ?? 'unknown'}}`
    })
    expect(lines.toSorted().join('\n')).toMatchInlineSnapshot(`
      "mshard_build_info gauge {version}
      mshard_command_duration_seconds histogram {kind}
      mshard_commands_total counter {kind,status,outcome}
      mshard_epoch gauge {}
      mshard_gaps_seconds histogram {}
      mshard_journal_up gauge {}
      mshard_leader gauge {}
      mshard_moved_bytes_total counter {}
      mshard_moves_total counter {}
      mshard_nodes gauge {state}
      mshard_oldest_open_operation_age_seconds gauge {state}
      mshard_open_commands gauge {status}
      mshard_open_operations gauge {state}
      mshard_operations_total counter {type,state}
      mshard_request_duration_seconds histogram {node,kind}
      mshard_request_failures_total counter {node,kind,class}
      mshard_retries_total counter {class,step}
      mshard_rollback_duration_seconds histogram {}
      mshard_rollbacks_in_progress gauge {}
      mshard_rollbacks_total counter {result}
      mshard_statement_duration_seconds histogram {kind}
      mshard_statements_total counter {kind,outcome}"
    `)
    expect(lines).toHaveLength(Object.keys(METRICS).length)
    for (const { name, kind } of Object.values(METRICS)) {
      expect(name, 'counters end in _total, and nothing else does').toMatch(
        kind === 'counter' ? /_total$/ : /(?<!_total)$/,
      )
    }
  })

  it('count what becomes of an operation that succeeds', async () => {
    const metrics = metricsWith()
    const join = {
      query: "JOIN CLUSTER rs_1 AT '10.0.0.1:9312' 'system.rs_1' AS path",
      savepoint: 1,
      copyBytes: 4_096,
    }
    const replace = {
      query:
        "DROP TABLE IF EXISTS users OPTION force=1; CREATE TABLE users (title text) type='shard' local='system.users_s0'",
    }
    const events = [
      became('running'),
      command({ status: 'processing' }),
      command({ status: 'processed', outcome: 'applied', duration: 30 }),
      command({ status: 'error' }, 'conflict'),
      command({ ...join, status: 'processed', outcome: 'applied', duration: 2_000 }),
      command({ ...replace, status: 'processed', outcome: 'applied', duration: 4 }),
      command({ ...replace, status: 'processed', outcome: 'already there', duration: 9 }),
      became('succeeded'),
    ]
    for (const event of events) metrics.observe(event)
    expect(await samples(metrics)).toEqual({
      ...BUILD,
      'mshard_operations_total{type="create",state="running"}': 1,
      'mshard_operations_total{type="create",state="succeeded"}': 1,
      'mshard_commands_total{kind="create_table",status="processed",outcome="applied"}': 1,
      'mshard_commands_total{kind="join_cluster",status="processed",outcome="applied"}': 1,
      'mshard_commands_total{kind="replace_table",status="processed",outcome="applied"}': 1,
      'mshard_commands_total{kind="replace_table",status="processed",outcome="already there"}': 1,
      'mshard_command_duration_seconds_count{kind="create_table"}': 1,
      'mshard_command_duration_seconds_sum{kind="create_table"}': 0.03,
      'mshard_command_duration_seconds_count{kind="join_cluster"}': 1,
      'mshard_command_duration_seconds_sum{kind="join_cluster"}': 2,
      'mshard_command_duration_seconds_count{kind="replace_table"}': 1,
      'mshard_command_duration_seconds_sum{kind="replace_table"}': 0.004,
      'mshard_retries_total{class="conflict",step="command"}': 1,
      mshard_moves_total: 1,
      mshard_moved_bytes_total: 4_096,
      mshard_gaps_seconds_count: 1,
      mshard_gaps_seconds_sum: 0.004,
    })
  })

  it('count an undo, how long it took, and every try of it that failed', async () => {
    const metrics = metricsWith()
    metrics.observe(command({ status: 'failed', outcome: 'no effect' }, 'refused'))
    metrics.observe(became('reverting'))
    clock.at += 1_500
    metrics.observe(command({ status: 'rolling_back' }))
    metrics.observe(command({ status: 'rollback_error' }, 'unreachable'))
    expect(await samples(metrics)).toMatchObject({ mshard_rollbacks_in_progress: 1 })
    metrics.observe(command({ status: 'rolled_back', outcome: 'applied' }))
    metrics.observe(command({ status: 'skipped' }))
    metrics.observe(became('rolled_back'))
    expect(await samples(metrics)).toEqual({
      ...BUILD,
      'mshard_operations_total{type="create",state="reverting"}': 1,
      'mshard_operations_total{type="create",state="rolled_back"}': 1,
      'mshard_commands_total{kind="create_table",status="failed",outcome="no effect"}': 1,
      'mshard_commands_total{kind="create_table",status="rolled_back",outcome="applied"}': 1,
      'mshard_commands_total{kind="create_table",status="skipped",outcome="unknown"}': 1,
      'mshard_retries_total{class="unreachable",step="rollback"}': 1,
      'mshard_rollbacks_total{result="rolled_back"}': 1,
      mshard_rollback_duration_seconds_count: 1,
      mshard_rollback_duration_seconds_sum: 1.5,
    })
  })

  it('tell an undo up to a savepoint from an operation that went past its pivot', async () => {
    const metrics = metricsWith()
    metrics.observe(became('finishing', 'past-the-pivot'))
    expect(await samples(metrics)).not.toHaveProperty('mshard_rollbacks_total{result="kept"}')
    metrics.observe(became('reverting'))
    metrics.observe(became('finishing'))
    expect(await samples(metrics)).toMatchObject({ 'mshard_rollbacks_total{result="kept"}': 1 })
  })

  it('go on with an undo that another process began, and let go of it with leadership', async () => {
    const metrics = metricsWith()
    metrics.setLeadership({ leads: true, epoch: 7 })
    metrics.observe(command({ status: 'rolling_back' }))
    clock.at += 250
    metrics.observe(became('rolled_back'))
    metrics.observe(became('rolled_back', 'without-commands'))
    metrics.observe(became('reverting', 'left-behind'))
    const leading = await samples(metrics)
    expect(leading).toMatchObject({
      mshard_leader: 1,
      mshard_epoch: 7,
      mshard_rollbacks_in_progress: 1,
      'mshard_rollbacks_total{result="rolled_back"}': 2,
      mshard_rollback_duration_seconds_count: 1,
      mshard_rollback_duration_seconds_sum: 0.25,
    })
    metrics.setLeadership({ leads: false, epoch: 0 })
    const followed = await samples(metrics)
    for (const name of ['mshard_leader', 'mshard_epoch', 'mshard_rollbacks_in_progress']) {
      expect(followed).not.toHaveProperty(name)
    }
  })

  it('tell of all nodes by their state, and nothing where nothing is known', async () => {
    const metrics = metricsWith()
    metrics.setNodes([{ state: 'serving' }, { state: 'serving' }, { state: 'gone' }])
    const text = await metrics.text()
    expect(text).toContain('mshard_nodes{state="serving"} 2')
    expect(text).toContain('mshard_nodes{state="gone"} 1')
    expect(text).toContain('mshard_nodes{state="down"} 0')
    metrics.setNodes([])
    expect(await metrics.text()).not.toContain('mshard_nodes{')
  })

  it('tell what the journal holds, and whether it can be read', async () => {
    let reads = 0
    let failure: Error | undefined
    const metrics = metricsWith(async () => {
      reads++
      if (failure !== undefined) throw failure
      return await Promise.resolve({
        commands: new Map([['created', 3] as const]),
        operations: new Map([['running', { count: 2, oldestAt: clock.at - 90_000 }] as const]),
      })
    })
    const together = await Promise.all([metrics.text(), metrics.text()])
    expect(together[0]).toBe(together[1])
    expect(reads).toBe(1)
    expect(await samples(metrics)).toEqual({
      ...BUILD,
      mshard_journal_up: 1,
      'mshard_open_commands{status="created"}': 3,
      'mshard_open_operations{state="running"}': 2,
      'mshard_oldest_open_operation_age_seconds{state="running"}': 90,
    })
    failure = new Error('no node answers')
    expect(await samples(metrics)).toEqual(BUILD)
    expect(await metrics.text()).toContain('mshard_journal_up 0')
  })

  it('measure statements to nodes and of clients, with a bounded number of labels', async () => {
    const metrics = metricsWith()
    metrics.observeRequest({ node: 'a:1', kind: 'read', outcome: 'ok', durationMs: 2 })
    metrics.observeRequest({ node: 'a:1', kind: 'execute', outcome: 'conflict', durationMs: 3 })
    metrics.observeStatement({ kind: 'create_table', outcome: 'result', durationMs: 250 })
    expect(await samples(metrics)).toEqual({
      ...BUILD,
      'mshard_request_duration_seconds_count{node="a:1",kind="read"}': 1,
      'mshard_request_duration_seconds_sum{node="a:1",kind="read"}': 0.002,
      'mshard_request_duration_seconds_count{node="a:1",kind="execute"}': 1,
      'mshard_request_duration_seconds_sum{node="a:1",kind="execute"}': 0.003,
      'mshard_request_failures_total{node="a:1",kind="execute",class="conflict"}': 1,
      'mshard_statements_total{kind="create_table",outcome="result"}': 1,
      'mshard_statement_duration_seconds_count{kind="create_table"}': 1,
      'mshard_statement_duration_seconds_sum{kind="create_table"}': 0.25,
    })
    for (let n = 0; n < 1_000; n++) {
      metrics.observeRequest({ node: `n${n}:1`, kind: 'read', outcome: 'ok', durationMs: 1 })
      metrics.observeStatement({ kind: `k${n}`, outcome: `o${n}`, durationMs: 1 })
    }
    const names = Object.keys(await samples(metrics))
    const count = (pattern: RegExp) => names.filter((name) => pattern.test(name)).length
    expect(count(/^mshard_request_duration_seconds_count/)).toBeLessThan(300)
    expect(count(/^mshard_statements_total/)).toBeLessThan(100)
    expect(names).toContain('mshard_request_duration_seconds_count{node="other",kind="read"}')
  })
})
