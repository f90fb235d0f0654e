import { readFile } from 'node:fs/promises'
import type { CoordinatorSettings } from '../coordination/coordinator.ts'
import { InputError, messageOf } from '../domain/errors.ts'
import type { Throttle } from '../engine/throttle.ts'
import type { HttpConnectionOptions, NodeAuth } from '../manticore/index.ts'
import type { Config } from './config-schema.ts'
import type { ConnectOptions } from './connect.ts'

/** The configuration in the words of those who use it. */

/**
 * How to connect to the nodes.
 *
 * @throws InputError when a file with certificates or keys cannot be read
 */
export async function connectOptionsOf(config: Config): Promise<ConnectOptions> {
  const { nodes, cluster } = config
  const { leaseTtlMs } = config.coordination
  const auth = authOf(config)
  const tls = await tlsOf(config)
  return {
    nodes,
    leaseTtlMs,
    ...(cluster === null ? {} : { cluster }),
    connection: { ...(auth === undefined ? {} : { auth }), ...(tls === undefined ? {} : { tls }) },
  }
}

function authOf({ auth: { user, password, token } }: Config): NodeAuth | undefined {
  if (token !== null) return { kind: 'bearer', token }
  return user === null ? undefined : { kind: 'basic', user, password: password ?? '' }
}

async function tlsOf({ tls }: Config): Promise<HttpConnectionOptions['tls'] | undefined> {
  if (tls.ca === null && tls.cert === null && tls.key === null && !tls.insecure) return undefined
  const read = async (name: string, path: string) => {
    try {
      return await readFile(path, 'utf8')
    } catch (error) {
      throw new InputError(name, `'${name}' cannot be read: ${messageOf(error)}`)
    }
  }
  return {
    ...(tls.ca === null ? {} : { ca: await read('tls.ca', tls.ca) }),
    ...(tls.cert === null ? {} : { cert: await read('tls.cert', tls.cert) }),
    ...(tls.key === null ? {} : { key: await read('tls.key', tls.key) }),
    ...(tls.insecure ? { rejectUnauthorized: false } : {}),
  }
}

/** How the coordinator watches the nodes and what it does by itself. */
export function coordinatorSettingsOf({ coordination }: Config): CoordinatorSettings {
  const { leaseTtlMs: _, ...settings } = coordination
  return settings
}

/** What the configuration says about moving copies; what it leaves out stays as the cluster has it. */
export function throttleChangeOf({ throttle }: Config): Partial<Throttle> {
  const { movesPerNode, movesInAll, maxLatencyMs } = throttle
  return {
    ...(movesPerNode === null ? {} : { movesPerNode }),
    ...(movesInAll === null ? {} : { movesInAll }),
    ...(maxLatencyMs === null ? {} : { maxLatencyMs: maxLatencyMs === 0 ? null : maxLatencyMs }),
  }
}
