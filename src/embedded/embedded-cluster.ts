import type { Clock, Random } from '../domain/ports.ts'
import type { NodeId } from '../domain/words.ts'
import {
  DEFAULT_FAILURE_DETECTION_MS,
  DEFAULT_HOST,
  DEFAULT_NODES,
  machineClock,
  machineRandom,
} from './embedded-cluster-defaults.ts'
import { ClusterFolder, type RememberedNode } from './embedded-cluster-folder.ts'
import { findFreePort } from './embedded-cluster-ports.ts'
import { NodeStatements } from './embedded-node-statements.ts'
import { EmbeddedNode, type NodeStartOptions, type NodeSurroundings } from './embedded-node.ts'
import { Faults } from './faults.ts'
import { EmbeddedNetwork } from './network.ts'
import { type LatencyProfile, NO_LATENCY } from './network-latency.ts'
import type { Membership } from './replication-membership.ts'
import { StateTransfers } from './replication-transfer.ts'
import { Replication } from './replication.ts'

export interface EmbeddedClusterOptions {
  /** How many nodes there are at least. A folder used before may hold more. */
  readonly nodes?: number
  /** Makes a replication cluster of this name out of all nodes, unless the folder already holds one. */
  readonly cluster?: string
  /** Kept and used again; a temporary folder when left out; `:memory:` for no folder at all. */
  readonly dataDir?: string
  readonly host?: string
  /** Whether the nodes also speak MySQL. */
  readonly mysql?: boolean
  /** False for nodes that are only called in this process and open no ports. */
  readonly listen?: boolean
  readonly clock?: Clock
  readonly random?: Random
  readonly latency?: Partial<LatencyProfile>
  /** How long replication takes to give up a member that is gone, in milliseconds. */
  readonly failureDetectionMs?: number
}

/** Port numbers of nodes that open none: names only. */
const FIRST_UNOPENED_PORT = 9_312
const UNOPENED_PORT_STEP = 10

/** Stand-ins for several Manticore daemons in this process, and everything that can happen to them. */
export class EmbeddedCluster {
  readonly faults = new Faults()
  readonly #options: EmbeddedClusterOptions
  readonly #folder: ClusterFolder
  readonly #network: EmbeddedNetwork
  readonly #replication: Replication
  readonly #surroundings: NodeSurroundings
  readonly #tasks = new Set<Promise<void>>()
  readonly #nodes: EmbeddedNode[] = []
  #remembered: readonly RememberedNode[] = []
  #taskFailure: Error | null = null

  private constructor(options: EmbeddedClusterOptions, folder: ClusterFolder) {
    this.#options = options
    this.#folder = folder
    this.#network = new EmbeddedNetwork({
      clock: options.clock ?? machineClock,
      random: options.random ?? machineRandom,
      latency: { ...NO_LATENCY, ...options.latency },
      failureDetectionMs: options.failureDetectionMs ?? DEFAULT_FAILURE_DETECTION_MS,
    })
    this.#replication = new Replication(this.#network)
    const transfers = new StateTransfers(this.#replication)
    this.#surroundings = {
      network: this.#network,
      replication: this.#replication,
      transfers,
      statements: new NodeStatements(this.#replication, transfers),
      faults: this.faults,
      supervise: (task) => this.#supervise(task),
    }
  }

  /**
   * Starts the nodes. On a folder used before they have the same names, and every replication cluster they
   * remember is bootstrapped from its most advanced member.
   */
  static async start(options: EmbeddedClusterOptions = {}): Promise<EmbeddedCluster> {
    const cluster = new EmbeddedCluster(options, openFolder(options.dataDir))
    try {
      await cluster.#begin()
      return cluster
    } catch (error) {
      await cluster.close()
      throw error
    }
  }

  /** All nodes, also those that are down, in the order they were added. */
  get nodes(): readonly EmbeddedNode[] {
    return this.#nodes
  }

  /** The folder of the nodes' data; null for a cluster in memory. */
  get dataDir(): string | null {
    return this.#folder.path
  }

  node(id: NodeId): EmbeddedNode {
    const found = this.#nodes.find((node) => node.id === id)
    if (found === undefined) throw new Error(`no embedded node '${id}'`)
    return found
  }

  /** Starts one more node. It joins the replication cluster of all nodes only when told so. */
  async addNode(options: { readonly join?: boolean } = {}): Promise<EmbeddedNode> {
    const node = await this.#makeNode()
    await node.start()
    const first = this.#nodes.find((other) => other !== node && other.running)
    const { cluster } = this.#options
    if (options.join === true && cluster !== undefined && first !== undefined) {
      await node.query(`JOIN CLUSTER ${cluster} AT '${first.id}'`)
    }
    return node
  }

  /** Like kill -9: open connections break, nothing more is written. */
  async crash(node: NodeId): Promise<void> {
    await this.node(node).crash()
  }

  /** Like a stop in good order: the clusters of the node keep their quorum. */
  async stop(node: NodeId): Promise<void> {
    await this.node(node).stop()
  }

  /** Starts a node that is down, on its ports and folder. It rejoins its clusters in the background. */
  async restart(node: NodeId, options: NodeStartOptions = {}): Promise<void> {
    await this.node(node).start(options)
  }

  /** Nodes of different groups cannot talk to each other; nodes named nowhere form a group of their own. */
  partition(groups: readonly (readonly NodeId[])[]): void {
    this.#network.partition(
      groups,
      this.#nodes.map((node) => node.id),
    )
  }

  /** Loses everything that one node sends to another, in this direction only. */
  blockLink(from: NodeId, to: NodeId): void {
    this.#network.block(from, to)
  }

  /** Cuts all clients off from a node, but not the other nodes. */
  isolateFromClients(node: NodeId): void {
    this.node(node).isolateFromClients(true)
  }

  /** Undoes partitions, blocked links and isolation. Nodes that are down stay down. */
  heal(): void {
    this.#network.heal()
    for (const node of this.#nodes) node.isolateFromClients(false)
  }

  /** Waits until `condition` holds; looked at whenever nodes, links or memberships change. */
  async until(condition: () => boolean, signal: AbortSignal): Promise<void> {
    for (;;) {
      const change = this.#network.nextChange(signal)
      if (condition()) {
        change.catch(() => undefined)
        return
      }
      await change
    }
  }

  /** Waits until every running node is a synced member of every cluster it remembers. */
  async untilSynced(signal: AbortSignal): Promise<void> {
    await this.until(() => {
      this.#replication.settle()
      return this.#memberships().every((membership) => membership.writable)
    }, signal)
  }

  /** Stops all nodes and removes a temporary folder. Rejects when a background task had failed. */
  async close(): Promise<void> {
    for (const node of this.#nodes) await node.stop()
    while (this.#tasks.size > 0) await Promise.all(this.#tasks)
    for (const node of this.#nodes) node.dispose()
    this.#folder.dispose()
    if (this.#taskFailure !== null) throw this.#taskFailure
  }

  async #begin(): Promise<void> {
    this.#remembered = this.#folder.remembered()
    for (const remembered of this.#remembered) this.#addNode(remembered)
    while (this.#nodes.length < (this.#options.nodes ?? DEFAULT_NODES)) await this.#makeNode()
    for (const node of this.#nodes) await node.start()
    await this.#reviveClusters()
    await this.#formCluster()
  }

  /** Makes the cluster of all nodes, or goes on with it where a process died that was about to make it. */
  async #formCluster(): Promise<void> {
    const { cluster, nodes = DEFAULT_NODES } = this.#options
    if (cluster === undefined) return
    const isMember = (node: EmbeddedNode) =>
      this.#memberships().some((membership) => membership.cluster === cluster && membership.node === node.id)
    const wanted = this.#nodes.slice(0, nodes)
    const founder = this.#nodes.find(isMember) ?? wanted[0]
    if (founder === undefined) return
    if (!isMember(founder)) await founder.query(`CREATE CLUSTER ${cluster}`)
    for (const node of wanted) {
      if (!isMember(node)) await node.query(`JOIN CLUSTER ${cluster} AT '${founder.id}'`)
    }
  }

  /** All nodes were down: every cluster goes on from the member that holds most. */
  async #reviveClusters(): Promise<void> {
    const founders = new Map<string, Membership>()
    for (const membership of this.#memberships()) {
      const key = `${membership.cluster} ${membership.stateUuid}`
      const best = founders.get(key)
      if (best === undefined || membership.seqno > best.seqno) founders.set(key, membership)
    }
    for (const founder of founders.values()) this.#replication.bootstrap(founder)
    const returning = this.#memberships().filter((membership) => {
      const founder = founders.get(`${membership.cluster} ${membership.stateUuid}`)
      return founder !== undefined && membership.nodesSet.includes(founder.node)
    })
    await this.until(
      () => returning.every((membership) => membership.writable || membership.lastError !== ''),
      new AbortController().signal,
    )
  }

  #memberships(): readonly Membership[] {
    return this.#nodes.flatMap((node) => [...(node.process?.memberships.values() ?? [])])
  }

  async #makeNode(): Promise<EmbeddedNode> {
    const remembered = await this.#newPlace()
    this.#remembered = [...this.#remembered, remembered]
    this.#folder.remember(this.#remembered)
    return this.#addNode(remembered)
  }

  #addNode(remembered: RememberedNode): EmbeddedNode {
    const node = new EmbeddedNode(
      {
        host: remembered.host,
        port: remembered.port,
        mysqlPort: remembered.mysqlPort,
        replicationPort: remembered.replicationPort,
        dataDir: this.#folder.dataDirOf(remembered),
        listen: this.#options.listen ?? true,
      },
      this.#surroundings,
    )
    this.#nodes.push(node)
    return node
  }

  async #newPlace(): Promise<RememberedNode> {
    const host = this.#options.host ?? DEFAULT_HOST
    const number = this.#remembered.length
    const folder = `node-${number}`
    if (this.#options.listen === false) {
      const port = FIRST_UNOPENED_PORT + number * UNOPENED_PORT_STEP
      return { host, port, mysqlPort: null, replicationPort: port + 1, folder }
    }
    const taken = new Set(
      this.#remembered.flatMap((node) => [node.port, node.mysqlPort ?? 0, node.replicationPort]),
    )
    const nextPort = async (): Promise<number> => {
      const port = await findFreePort(host, taken)
      taken.add(port)
      return port
    }
    return {
      host,
      port: await nextPort(),
      mysqlPort: this.#options.mysql === true ? await nextPort() : null,
      replicationPort: await nextPort(),
      folder,
    }
  }

  #supervise(task: Promise<void>): void {
    const supervised = task
      .catch((error: unknown) => {
        this.#taskFailure ??= error instanceof Error ? error : new Error(String(error))
      })
      .finally(() => {
        this.#tasks.delete(supervised)
      })
    this.#tasks.add(supervised)
  }
}

function openFolder(dataDir: string | undefined): ClusterFolder {
  if (dataDir === undefined) return ClusterFolder.temporary()
  return dataDir === ':memory:' ? ClusterFolder.inMemory() : ClusterFolder.kept(dataDir)
}
