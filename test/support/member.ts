import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemRandom } from '../../src/app/runtime.ts'
import { TimeOrderedIds } from '../../src/domain/ids.ts'
import type { Clock, NodeConnector } from '../../src/domain/ports.ts'
import { Client } from '../../src/library/client.ts'
import { Cluster } from '../../src/library/cluster.ts'
import { Queue } from '../../src/library/queue.ts'
import { ConnectedCatalog, HttpNodeConnector } from '../../src/manticore/index.ts'

/** One process's view of a cluster, as an application has it. */
export interface Member {
  readonly client: Client
  readonly cluster: Cluster
  readonly queue: Queue
  close(): Promise<void>
}

/** Time that runs faster, so that leases expire and waits end soon. */
export function fastClock(factor: number): Clock {
  const start = Date.now()
  return {
    now: () => start + (Date.now() - start) * factor,
    sleep: async (ms, signal) => {
      try {
        await sleep(ms / factor, undefined, signal === undefined ? {} : { signal })
      } catch (error) {
        signal?.throwIfAborted()
        throw error
      }
    },
  }
}

/** Opens a member as {@link connect} does, over a connector and clock of the test's own. */
export function openMember(
  ids: readonly string[],
  options: {
    readonly cluster?: string | null
    readonly clock?: Clock
    readonly wrap?: (connector: NodeConnector) => NodeConnector
  } = {},
): Member {
  const http = new HttpNodeConnector()
  const connector = options.wrap?.(http) ?? http
  const clock = options.clock ?? fastClock(1)
  const client = new Client({
    connector,
    catalog: new ConnectedCatalog(connector),
    clock,
    random: systemRandom,
    ids: new TimeOrderedIds(clock, systemRandom),
    owner: `test:${process.pid}:${randomBytes(4).toString('hex')}`,
  })
  const cluster = new Cluster(client, options.cluster === undefined ? 'c' : options.cluster, ids)
  return { client, cluster, queue: new Queue(cluster, client), close: async () => await client.close() }
}
