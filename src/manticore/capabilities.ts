import { errorRule, NodeError, ShardingError } from '../domain/errors.ts'
import type { CallOptions, NodeConnection } from '../domain/ports.ts'
import { readVersion } from './catalog.ts'

/** A name that nobody gives to a table or cluster of their own. */
const PROBE_NAME = 'mshard_capability_probe'

/** What a daemon that knows the feature answers to a sharded table without any shard. */
const NO_SHARDS = 'no valid local/remote tables in shard table'

/**
 * Makes sure that the daemon has sharded tables and `EXIT CLUSTER`, by asking for things that cannot be done.
 * Nothing is changed on the node.
 *
 * @throws ShardingError `unsupported_daemon` that names what is missing and the version.
 * @throws NodeError when the daemon cannot be asked.
 */
export async function checkCapabilities(connection: NodeConnection, options?: CallOptions): Promise<void> {
  const missing: string[] = []
  if (!(await hasShardTables(connection, options))) missing.push("type='shard' tables")
  if (!(await hasExitCluster(connection, options))) missing.push('EXIT CLUSTER')
  if (missing.length === 0) return
  const version = (await readVersion(connection, options)) || 'of unknown version'
  throw new ShardingError(
    'unsupported_daemon',
    `${connection.node}: Manticore ${version} does not have ${missing.join(' and ')}`,
  )
}

async function hasShardTables(connection: NodeConnection, options?: CallOptions): Promise<boolean> {
  const refusal = await refusalOf(connection, `CREATE TABLE ${PROBE_NAME} (id bigint) type='shard'`, options)
  if (refusal !== null) return refusal.daemonText.includes(NO_SHARDS)
  // A daemon that does not know the option has made a plain table.
  await connection.execute(`DROP TABLE IF EXISTS ${PROBE_NAME} OPTION force=1`, options)
  return false
}

async function hasExitCluster(connection: NodeConnection, options?: CallOptions): Promise<boolean> {
  const refusal = await refusalOf(connection, `EXIT CLUSTER ${PROBE_NAME}`, options)
  return refusal === null || refusal.code === 'missing'
}

/** How the daemon refused a statement, or null when it did not. What says nothing about the daemon is thrown. */
async function refusalOf(
  connection: NodeConnection,
  sql: string,
  options?: CallOptions,
): Promise<NodeError | null> {
  try {
    await connection.execute(sql, options)
    return null
  } catch (error) {
    if (error instanceof NodeError && error.daemonText !== '' && saysSomething(error)) return error
    throw error
  }
}

function saysSomething(error: NodeError): boolean {
  return (
    error.code !== 'unauthorized' && error.code !== 'duplicate' && errorRule(error.code).retry === 'never'
  )
}
