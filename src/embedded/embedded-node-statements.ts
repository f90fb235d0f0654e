import type {
  AlterTable,
  CreateTable,
  DropTable,
  Select,
  ShowStatus,
  Statement,
} from '../domain/statement.ts'
import { type ClusterStatement, ClusterStatements } from './cluster-statements.ts'
import { clusterCounters } from './cluster-status.ts'
import { executeWrite, isWrite, type WriteStatement } from './cluster-writes.ts'
import type { NodeProcess } from './embedded-node-process.ts'
import { executeLocal, likeMatcher, type NodeSession } from './local-statements.ts'
import type { EmbeddedNetwork } from './network.ts'
import type { StateTransfers } from './replication-transfer.ts'
import type { Replication } from './replication.ts'
import { checkShardDefinition, isShardDefinition } from './shard-definition.ts'
import { selectSharded } from './sharding-reads.ts'
import { writeSharded } from './sharding.ts'
import { DaemonError, type StatementResult } from './store.ts'

/** What a node does with a statement: clusters and sharded tables here, the rest in its own store. */
export class NodeStatements {
  readonly #network: EmbeddedNetwork
  readonly #replication: Replication
  readonly #clusters: ClusterStatements

  constructor(replication: Replication, transfers: StateTransfers) {
    this.#network = replication.network
    this.#replication = replication
    this.#clusters = new ClusterStatements(replication, transfers)
  }

  /** Rejects with {@link DaemonError} in the daemon's words. */
  async execute(process: NodeProcess, statement: Statement, session: NodeSession): Promise<StatementResult> {
    if (isWrite(statement)) return await this.#write(process, statement, session)
    if (isClusterStatement(statement)) return await this.#clusters.execute(process, statement)
    switch (statement.kind) {
      case 'select':
        return await this.#select(process, statement, session)
      case 'create_table':
        return await this.#createTable(process, statement, session)
      case 'drop_table':
        return await this.#dropTable(process, statement, session)
      case 'alter_table':
        return this.#alterTable(process, statement, session)
      case 'show_status':
        return this.#showStatus(process, statement, session)
      case 'show_tables':
      case 'show_table_status':
      case 'show_create_table':
      case 'show_other':
      case 'describe':
      case 'begin':
      case 'commit':
      case 'rollback':
      case 'set_variable':
      // Known to the language, but refused like everything that the daemon does not know.
      case 'verify_tables':
        return executeLocal(process.store, statement, session)
    }
  }

  async #write(
    process: NodeProcess,
    statement: WriteStatement,
    session: NodeSession,
  ): Promise<StatementResult> {
    const table = process.store.table(statement.table.name)
    if (table?.kind !== 'shard') return await executeWrite(this.#replication, process, statement, session)
    if (statement.kind === 'truncate_table') {
      throw new DaemonError('TRUNCATE RTINDEX requires an existing RT table')
    }
    return await writeSharded(this.#replication, process, table, statement, session)
  }

  async #select(process: NodeProcess, statement: Select, session: NodeSession): Promise<StatementResult> {
    await process.pause(this.#network.latency.readMs)
    const table = statement.from === null ? undefined : process.store.table(statement.from.name)
    if (table?.kind !== 'shard') return executeLocal(process.store, withoutCluster(statement), session)
    const result = await selectSharded(this.#network, process, table, statement)
    session.lastResult(result)
    return result
  }

  async #createTable(
    process: NodeProcess,
    statement: CreateTable,
    session: NodeSession,
  ): Promise<StatementResult> {
    await process.pause(this.#network.latency.createTableMs)
    const { name } = statement.table
    const isNew = process.store.table(name) === undefined
    if (isNew && isShardDefinition(statement.options)) {
      checkShardDefinition(process.store, name, statement.options)
    }
    const result = executeLocal(process.store, statement, session)
    process.tableChanged(name)
    return result
  }

  async #dropTable(
    process: NodeProcess,
    statement: DropTable,
    session: NodeSession,
  ): Promise<StatementResult> {
    await process.pause(this.#network.latency.dropTableMs)
    const { name } = statement.table
    if (process.clusterOfTable(name) !== undefined) {
      throw new DaemonError(`DROP TABLE failed: unable to drop a cluster table '${name}'`)
    }
    const result = executeLocal(process.store, statement, session)
    process.tableChanged(name)
    return result
  }

  #alterTable(process: NodeProcess, statement: AlterTable, session: NodeSession): StatementResult {
    const { name } = statement.table
    const membership = process.clusterOfTable(name)
    if (membership !== undefined) {
      throw new DaemonError(
        `table ${name}: is part of cluster ${membership.cluster}, ALTER is not supported for tables in cluster`,
      )
    }
    if (process.store.table(name)?.kind === 'shard') {
      throw new DaemonError('ALTER is only supported for local (not distributed) tables')
    }
    const result = executeLocal(process.store, statement, session)
    process.tableChanged(name)
    return result
  }

  #showStatus(process: NodeProcess, statement: ShowStatus, session: NodeSession): StatementResult {
    const local = executeLocal(process.store, statement, session)
    const matches = likeMatcher(statement.like)
    const rows = clusterCounters(this.#replication, process.memberships.values())
      .filter(([counter]) => matches(counter))
      .map(([counter, value]) => ({ Counter: counter, Value: value }))
    return { ...local, rows: [...local.rows, ...rows], total: local.total + rows.length }
  }
}

function isClusterStatement(statement: Statement): statement is ClusterStatement {
  return CLUSTER_STATEMENTS.has(statement.kind)
}

const CLUSTER_STATEMENTS: ReadonlySet<Statement['kind']> = new Set<ClusterStatement['kind']>([
  'create_cluster',
  'join_cluster',
  'exit_cluster',
  'delete_cluster',
  'alter_cluster',
  'set_cluster',
])

/** Reads need no cluster prefix and may have one. */
function withoutCluster(select: Select): Select {
  if (select.from === null || select.from.cluster === null) return select
  return { ...select, from: { cluster: null, name: select.from.name } }
}
