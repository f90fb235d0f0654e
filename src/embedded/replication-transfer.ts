import type { NodeId } from '../domain/words.ts'
import type { NodeProcess } from './embedded-node-process.ts'
import type { Membership } from './replication-membership.ts'
import type { Replication } from './replication.ts'
import { DaemonError } from './store.ts'

/** Pause after a state transfer that failed for no outside reason, in milliseconds: long enough not to spin. */
const FAILED_TRANSFER_PAUSE_MS = 500

/**
 * Copies one table as it is now.
 *
 * The step is atomic: writes before it are in the copy, writes after it are repeated on the receiver.
 */
export function copyTable(from: NodeProcess, to: NodeProcess, table: string): void {
  const definition = from.store.table(table)
  if (definition === undefined) return
  to.store.replaceTable(definition, from.store.scan(table, null))
  to.tableChanged(table)
}

/** Brings members into their clusters: JOIN, and the return of nodes that were down or cut off. */
export class StateTransfers {
  readonly #replication: Replication

  constructor(replication: Replication) {
    this.#replication = replication
  }

  /** Runs JOIN CLUSTER for a new membership. On failure the node is as before, save for tables already replaced. */
  async join(membership: Membership, at: NodeId): Promise<void> {
    const { process, cluster } = membership
    const { network } = this.#replication
    membership.state = 'joining'
    process.memberships.set(cluster, membership)
    try {
      await process.pause(network.latency.joinMs / 2)
      if (!(await this.#receive(membership, [at], network.latency.joinMs / 2))) {
        throw new DaemonError(`cluster '${cluster}', failed to fetch donor user from any node`)
      }
    } catch (error) {
      if (process.alive) {
        this.#replication.leave(membership)
        if (process.memberships.get(cluster) === membership) membership.forget()
      }
      throw error
    }
  }

  /** Whether a member that could let this one in can be reached. */
  hasPrimaryInReach(membership: Membership): boolean {
    const { network } = this.#replication
    return membership.nodesSet.some((node) => {
      const donor = network.process(node)?.memberships.get(membership.cluster)
      return donor !== undefined && donor !== membership && this.#mayJoin(membership, donor)
    })
  }

  /**
   * Lets the node's members back into their clusters whenever a primary part can be reached. Runs until the
   * process ends.
   */
  async keepReturning(process: NodeProcess): Promise<void> {
    const { network } = this.#replication
    while (process.alive) {
      const change = network.nextChange(process.signal).catch(() => undefined)
      await Promise.all(
        [...process.memberships.values()].map((membership) => this.#returnToCluster(membership)),
      )
      await change
    }
  }

  async #returnToCluster(membership: Membership): Promise<void> {
    const { process } = membership
    if (membership.receiving || membership.status === 'primary') return
    membership.receiving = true
    try {
      await this.#receive(membership, membership.nodesSet, 0)
    } catch (error) {
      if (!process.alive) return
      membership.lastError = error instanceof Error ? error.message : String(error)
      await process.pause(FAILED_TRANSFER_PAUSE_MS).catch(() => undefined)
    } finally {
      membership.receiving = false
    }
  }

  /** False when no primary part could be reached. */
  async #receive(membership: Membership, nodes: readonly NodeId[], copyMs: number): Promise<boolean> {
    if (!(await this.#findDonorAndEnter(membership, nodes))) return false
    try {
      await this.#copyTables(membership, copyMs)
    } catch (error) {
      if (membership.process.alive) this.#replication.leave(membership)
      throw error
    }
    this.#complete(membership)
    return true
  }

  async #findDonorAndEnter(membership: Membership, nodes: readonly NodeId[]): Promise<boolean> {
    const { network } = this.#replication
    for (const node of nodes) {
      if (node === membership.node) continue
      let donor = network.process(node)?.memberships.get(membership.cluster)
      while (donor !== undefined && this.#mayJoin(membership, donor)) {
        if (donor.view.brokenSinceMs === null && !donor.view.members.includes(membership.node)) {
          this.#enter(membership, donor)
          return true
        }
        // Somebody of the donor's view is gone, maybe the joiner's own former process: it must be out first.
        await this.#replication.awaitDetection(membership.process, donor.view)
        donor = network.process(node)?.memberships.get(membership.cluster)
      }
    }
    return false
  }

  #mayJoin(joiner: Membership, donor: Membership): boolean {
    this.#replication.settle()
    return (
      joiner.process.memberships.get(joiner.cluster) === joiner &&
      donor.writable &&
      this.#replication.network.connected(donor.node, joiner.node) &&
      !joiner.view.primary
    )
  }

  #enter(membership: Membership, donor: Membership): void {
    const { process } = membership
    for (const table of donor.tables) {
      const other = process.clusterOfTable(table)
      if (other !== undefined && other.cluster !== membership.cluster) {
        throw new DaemonError(`table '${table}' is already part of cluster '${other.cluster}'`)
      }
    }
    const holdsAll = membership.stateUuid === donor.stateUuid && membership.seqno === donor.seqno
    membership.missing.clear()
    for (const table of donor.tables) {
      if (!holdsAll || !membership.tables.has(table)) membership.missing.add(table)
    }
    if (membership.missing.size > 0 && membership.remembered) membership.invalidate()
    membership.stateUuid = donor.stateUuid
    membership.seqno = donor.seqno
    membership.tables.clear()
    for (const table of donor.tables) membership.tables.add(table)
    membership.state = 'joining'
    this.#replication.admit(membership, donor)
  }

  async #copyTables(membership: Membership, copyMs: number): Promise<void> {
    const { process } = membership
    const tables = [...membership.missing]
    const progress = { tablesTotal: tables.length, tablesDone: 0, table: '' }
    const pauseMs = copyMs / Math.max(1, tables.length)
    membership.transfer = progress
    if (tables.length === 0) await process.pause(pauseMs)
    for (const table of tables) {
      progress.table = table
      const donor = await this.#donor(membership)
      donor.donations += 1
      donor.transfer = progress
      try {
        await process.pause(pauseMs)
      } finally {
        donor.donations -= 1
        donor.transfer = null
      }
      await this.#copyOne(membership, table)
      progress.tablesDone += 1
    }
    membership.transfer = null
  }

  async #copyOne(membership: Membership, table: string): Promise<void> {
    while (membership.missing.has(table)) {
      const donor = this.#donorNow(membership)
      if (donor === null) {
        await this.#replication.awaitDetection(membership.process, membership.view)
        continue
      }
      copyTable(donor.process, membership.process, table)
      membership.missing.delete(table)
    }
  }

  async #donor(membership: Membership): Promise<Membership> {
    for (;;) {
      const donor = this.#donorNow(membership)
      if (donor !== null) return donor
      await this.#replication.awaitDetection(membership.process, membership.view)
    }
  }

  /** A member that can give state right now; null while the view is broken. */
  #donorNow(membership: Membership): Membership | null {
    const { process, cluster, view } = membership
    process.ensureAlive()
    this.#replication.settle()
    if (process.memberships.get(cluster) !== membership || !membership.view.primary) {
      throw new DaemonError(`cluster '${cluster}', state transfer failed: no primary component`)
    }
    if (view.brokenSinceMs !== null) return null
    const donor = this.#replication.peers(membership).find((peer) => peer !== membership && peer.writable)
    if (donor !== undefined) return donor
    throw new DaemonError(`cluster '${cluster}', state transfer failed: no donor`)
  }

  #complete(membership: Membership): void {
    const { network } = this.#replication
    if (!membership.view.primary) {
      this.#replication.leave(membership)
      throw new DaemonError(`cluster '${membership.cluster}' is not ready, not primary state`)
    }
    membership.state = 'synced'
    membership.lastError = ''
    const peers = this.#replication.peers(membership)
    const known = peers.flatMap((peer) => (peer === membership ? [] : peer.nodesSet))
    const nodesSet = [...new Set([...known, ...membership.view.members])]
    for (const peer of peers) {
      peer.nodesSet = nodesSet
      peer.save()
    }
    network.changed()
  }
}
