import type {
  AlterCluster,
  CreateCluster,
  DeleteCluster,
  ExitCluster,
  JoinCluster,
  SetCluster,
} from '../domain/statement.ts'
import type { NodeProcess } from './embedded-node-process.ts'
import { Membership } from './replication-membership.ts'
import { copyTable, type StateTransfers } from './replication-transfer.ts'
import type { Replication } from './replication.ts'
import { DaemonError, type StatementResult } from './store.ts'

export type ClusterStatement =
  | CreateCluster
  | JoinCluster
  | ExitCluster
  | DeleteCluster
  | AlterCluster
  | SetCluster

const DONE: StatementResult = { columns: [], rows: [], total: 0, warning: '' }

/** Executes the statements that make, change and end replication clusters. */
export class ClusterStatements {
  readonly #replication: Replication
  readonly #transfers: StateTransfers

  constructor(replication: Replication, transfers: StateTransfers) {
    this.#replication = replication
    this.#transfers = transfers
  }

  /** Rejects with {@link DaemonError} in the daemon's words. */
  async execute(process: NodeProcess, statement: ClusterStatement): Promise<StatementResult> {
    switch (statement.kind) {
      case 'create_cluster':
        await this.#create(process, statement)
        break
      case 'join_cluster':
        await process.joinInTurn(() => this.#join(process, statement))
        break
      case 'exit_cluster':
        await this.#exit(process, statement.cluster)
        break
      case 'delete_cluster':
        await this.#delete(process, statement.cluster)
        break
      case 'alter_cluster':
        await this.#alter(process, statement)
        break
      case 'set_cluster':
        this.#set(process, statement)
        break
    }
    return DONE
  }

  async #create(process: NodeProcess, statement: CreateCluster): Promise<void> {
    const refusal = refusalOfNewCluster(process, statement.cluster, statement.path)
    if (refusal !== null) throw new DaemonError(`failed to create desc: ${refusal}`)
    const { network } = this.#replication
    const membership = new Membership({
      process,
      cluster: statement.cluster,
      stateUuid: network.nextUuid(),
      path: statement.path ?? '',
      options: statement.options ?? '',
    })
    process.memberships.set(statement.cluster, membership)
    try {
      await process.pause(network.latency.createClusterMs)
    } catch (error) {
      process.memberships.delete(statement.cluster)
      throw error
    }
    this.#replication.found(membership)
    membership.save()
  }

  async #join(process: NodeProcess, statement: JoinCluster): Promise<void> {
    process.ensureAlive()
    const { cluster } = statement
    if (process.memberships.has(cluster)) throw new DaemonError(`cluster '${cluster}' already exists`)
    if (statement.at === null) throw new DaemonError('cannot join without either nodes list or AT node')
    const refusal = refusalOfNewCluster(process, cluster, statement.path)
    if (refusal !== null) throw new DaemonError(refusal)
    const membership = new Membership({
      process,
      cluster,
      stateUuid: '',
      path: statement.path ?? '',
      options: statement.options ?? '',
    })
    membership.receiving = true
    try {
      await this.#transfers.join(membership, statement.at)
    } finally {
      membership.receiving = false
    }
  }

  async #exit(process: NodeProcess, cluster: string): Promise<void> {
    requireMembership(process, cluster)
    await process.pause(this.#replication.network.latency.leaveMs)
    const membership = requireMembership(process, cluster)
    this.#replication.settle()
    const others = this.#reachablePeers(membership).filter((peer) => peer !== membership)
    this.#replication.leave(membership)
    membership.forget()
    for (const peer of others) {
      peer.nodesSet = peer.nodesSet.filter((node) => node !== process.node)
      peer.save()
    }
  }

  async #delete(process: NodeProcess, cluster: string): Promise<void> {
    requireMembership(process, cluster)
    await process.pause(this.#replication.network.latency.leaveMs)
    const membership = requireMembership(process, cluster)
    this.#replication.settle()
    const peers = membership.state === 'closed' ? [membership] : this.#reachablePeers(membership)
    for (const peer of peers) this.#replication.leave(peer)
    for (const peer of peers) peer.forget()
  }

  #reachablePeers(membership: Membership): readonly Membership[] {
    const { network } = this.#replication
    return this.#replication
      .peers(membership)
      .filter((peer) => peer === membership || network.connected(peer.node, membership.node))
  }

  async #alter(process: NodeProcess, statement: AlterCluster): Promise<void> {
    const membership = requireMembership(process, statement.cluster)
    switch (statement.action) {
      case 'add':
        await this.#addTables(membership, statement.tables)
        break
      case 'drop':
        await this.#dropTables(membership, statement.tables)
        break
      case 'update_nodes':
        await this.#updateNodes(membership)
        break
    }
  }

  /**
   * Copies this node's tables over all members. What an earlier step copied is copied again in the last one if
   * somebody wrote to it meanwhile, so that all members begin with the same rows.
   */
  async #addTables(membership: Membership, tables: readonly string[]): Promise<void> {
    const { process } = membership
    for (const table of tables) requireAddable(process, table)
    while (!this.#replication.writableNow(membership)) await this.#detection(membership)
    const copied = new Map<Membership, Map<string, number>>()
    for (const table of tables) {
      await process.pause(this.#replication.network.latency.addTableMs)
      while (!this.#replication.writableNow(membership)) await this.#detection(membership)
      this.#copyToPeers(membership, table, copied)
    }
    while (!this.#replication.writableNow(membership)) await this.#detection(membership)
    for (const table of tables) {
      requireAddable(process, table)
      this.#copyToPeers(membership, table, copied)
    }
    for (const peer of this.#replication.peers(membership)) {
      for (const table of tables) {
        peer.tables.add(table)
        peer.missing.delete(table)
      }
      peer.seqno += 1
      peer.save()
    }
    this.#replication.network.changed()
  }

  #copyToPeers(membership: Membership, table: string, copied: Map<Membership, Map<string, number>>): void {
    const { process } = membership
    const version = process.tableVersion(table)
    for (const peer of this.#replication.peers(membership)) {
      if (peer === membership) continue
      const other = peer.process.clusterOfTable(table)
      if (other !== undefined) {
        throw new DaemonError(`table '${table}' is already part of cluster '${other.cluster}'`)
      }
      const versions = copied.get(peer) ?? new Map<string, number>()
      copied.set(peer, versions)
      const isSame = versions.get(table) === version && peer.process.store.table(table) !== undefined
      if (!isSame) copyTable(process, peer.process, table)
      versions.set(table, version)
    }
  }

  async #dropTables(membership: Membership, tables: readonly string[]): Promise<void> {
    const { process, cluster } = membership
    const check = (): void => {
      for (const table of tables) {
        if (process.store.table(table)?.kind !== 'rt') {
          throw new DaemonError(`unknown or wrong type of table '${table}'`)
        }
        if (!membership.tables.has(table)) {
          throw new DaemonError(`table '${table}' is not in cluster '${cluster}'`)
        }
      }
    }
    check()
    await process.pause(this.#replication.network.latency.writeMs)
    while (!this.#replication.writableNow(membership)) await this.#detection(membership)
    check()
    for (const peer of this.#replication.peers(membership)) {
      for (const table of tables) {
        // A member that is still being filled keeps the table, too.
        if (peer.missing.delete(table)) copyTable(process, peer.process, table)
        peer.tables.delete(table)
      }
      peer.seqno += 1
      peer.save()
    }
    this.#replication.network.changed()
  }

  async #updateNodes(membership: Membership): Promise<void> {
    while (!this.#replication.writableNow(membership)) await this.#detection(membership)
    for (const peer of this.#replication.peers(membership)) {
      peer.nodesSet = membership.view.members
      peer.save()
    }
    this.#replication.network.changed()
  }

  async #detection(membership: Membership): Promise<void> {
    await this.#replication.awaitDetection(membership.process, membership.view)
  }

  #set(process: NodeProcess, statement: SetCluster): void {
    const membership = requireMembership(process, statement.cluster)
    if (statement.variable !== 'pc.bootstrap') {
      throw new DaemonError(`unknown variable '${statement.variable}' for cluster '${statement.cluster}'`)
    }
    if (Number(statement.value) === 1) this.#replication.bootstrap(membership)
  }
}

function requireMembership(process: NodeProcess, cluster: string): Membership {
  const membership = process.memberships.get(cluster)
  if (membership === undefined) throw new DaemonError(`unknown cluster '${cluster}'`)
  return membership
}

function requireAddable(process: NodeProcess, table: string): void {
  if (process.store.table(table)?.kind !== 'rt') {
    throw new DaemonError(`unknown or wrong type of table '${table}'`)
  }
  const cluster = process.clusterOfTable(table)
  if (cluster !== undefined) {
    throw new DaemonError(`table '${table}' is already part of cluster '${cluster.cluster}'`)
  }
}

/**
 * Why a node cannot have one more cluster of this name and folder, or null. A folder exists when the node has a table
 * of that name.
 */
function refusalOfNewCluster(process: NodeProcess, cluster: string, path: string | null): string | null {
  if (process.memberships.has(cluster)) return `cluster '${cluster}' already exists`
  const folder = path ?? ''
  for (const other of process.memberships.values()) {
    if (other.path === folder) {
      return `duplicate paths, cluster '${cluster}' has the same path as '${other.cluster}'`
    }
  }
  if (folder !== '' && process.store.table(folder) === undefined) {
    const full = `${process.dataDir}/${folder}`
    return `cluster '${cluster}', cannot access directory ${full}, cannot access ${full}`
  }
  return null
}
