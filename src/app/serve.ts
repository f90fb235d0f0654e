import { Metrics } from '../api/metrics.ts'
import { observabilityApp } from '../api/observability.ts'
import { startObservability } from '../api/observability-server.ts'
import { readinessOf } from '../api/readiness.ts'
import { messageOf, ShardingError } from '../domain/errors.ts'
import type { Clock, Log } from '../domain/ports.ts'
import type { ProgressEvent } from '../engine/events.ts'
import type { Client } from '../library/client.ts'
import type { Cluster } from '../library/cluster.ts'
import type { Config } from './config-schema.ts'
import { connectOptionsOf, coordinatorSettingsOf, throttleChangeOf } from './config-use.ts'
import { connect } from './connect.ts'
import { packageVersion } from './package-version.ts'
import { systemRuntime } from './runtime.ts'

/** Nodes may come up after us: connecting is tried again, at first after this long, in milliseconds. */
const FIRST_RETRY_MS = 500
const MAX_RETRY_MS = 10_000
/** What passes when nodes come up, or make their cluster. Everything else is a mistake in the configuration. */
const PASSING: ReadonlySet<string> = new Set([
  'unreachable',
  'timeout',
  'cluster_missing',
  'cluster_unhealthy',
  'not_primary',
])

export interface ServeParts {
  readonly config: Config
  readonly log: Log
  /** Aborted to stop in good order: what is in flight ends or stays in the journal, leadership is given back. */
  readonly signal: AbortSignal
}

/**
 * The service: a coordinator that leads whenever it can, with metrics and health over HTTP. Resolves when it was
 * stopped.
 *
 * @throws InputError for a configuration that cannot be right
 */
export async function serve({ config, log, signal }: ServeParts): Promise<void> {
  const runtime = systemRuntime()
  const { clock } = runtime
  let cluster: Cluster | undefined
  const opened = () => {
    if (cluster === undefined) throw new ShardingError('unreachable', 'no node has answered yet')
    return cluster
  }
  const metrics = new Metrics({
    clock,
    version: await packageVersion(),
    backlog: async (ends) => await opened().journal.backlog(ends),
    ofProcess: true,
  })
  const ready = async (ends: AbortSignal) => await readinessOf(opened())(ends)
  const server = await startObservability(observabilityApp({ metrics, ready }), config.listen)
  let client: Client | undefined
  try {
    log.info('started', { listen: server.url, nodes: config.nodes, cluster: config.cluster })
    const options = {
      ...(await connectOptionsOf(config)),
      runtime,
      onRequest: metrics.observeRequest.bind(metrics),
    }
    const connected = await untilConnected(async () => await connect(options), { log, clock, signal })
    if (connected === undefined) return
    client = connected.client
    cluster = connected.cluster
    await lead(cluster, metrics, { config, log, signal })
  } finally {
    await client?.close()
    await server.close()
    log.info('stopped')
  }
}

async function lead(cluster: Cluster, metrics: Metrics, { config, log, signal }: ServeParts): Promise<void> {
  const throttle = throttleChangeOf(config)
  if (Object.keys(throttle).length > 0) await cluster.setThrottle(throttle)
  cluster.progress.subscribe((event) => {
    metrics.observe(event)
    logOperation(log, event)
  })
  const coordinator = cluster.coordinator(coordinatorSettingsOf(config), {
    log,
    onStatus: (status) => {
      metrics.setLeadership(status)
      metrics.setNodes(status.nodes)
    },
  })
  coordinator.start()
  await aborted(signal)
  log.info('stopping', { reason: messageOf(signal.reason) })
  await coordinator.stop()
}

function logOperation(log: Log, event: ProgressEvent): void {
  if (event.kind !== 'operation') return
  const { group, type, table, state, commands, error } = event
  const fields = { operation: group, type, table, commands, ...(error === '' ? {} : { why: error }) }
  if (state === 'rolled_back' || state === 'reverting') log.warn(`operation is ${state}`, fields)
  else log.info(`operation is ${state}`, fields)
}

/** Undefined when it was stopped before. */
async function untilConnected<T>(
  open: () => Promise<T>,
  { log, clock, signal }: { readonly log: Log; readonly clock: Clock; readonly signal: AbortSignal },
): Promise<T | undefined> {
  for (let retryMs = FIRST_RETRY_MS; !signal.aborted; retryMs = Math.min(2 * retryMs, MAX_RETRY_MS)) {
    try {
      return await open()
    } catch (error) {
      if (!(error instanceof ShardingError && PASSING.has(error.code))) throw error
      log.warn('not connected', { reason: error.message, retryMs })
    }
    await clock.sleep(retryMs, signal).catch(() => undefined)
  }
  return undefined
}

async function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  if (signal.aborted) resolve()
  else signal.addEventListener('abort', () => resolve(), { once: true })
  await promise
}
