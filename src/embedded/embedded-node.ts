import { mkdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import type { NodeId } from '../domain/words.ts'
import { parseStatement, SqlSyntaxError } from '../sql/index.ts'
import { FrontDoors, type NodeAnswer } from './embedded-node-front-doors.ts'
import { NodeProcess, ProcessEnded } from './embedded-node-process.ts'
import type { NodeStatements } from './embedded-node-statements.ts'
import type { FaultEffect, Faults } from './faults.ts'
import { createNodeSession, type NodeSession } from './local-statements.ts'
import type { EmbeddedNetwork } from './network.ts'
import { loadMemberships } from './replication-membership.ts'
import type { StateTransfers } from './replication-transfer.ts'
import type { Replication } from './replication.ts'
import { SqliteTableStore } from './store-sqlite.ts'
import { DaemonError, type StatementResult, type TableStore } from './store.ts'

/** The node cannot be reached; nothing happened. */
export class NodeDown extends Error {
  constructor(node: NodeId) {
    super(`connection to ${node} refused`)
    this.name = 'NodeDown'
  }
}

/** The connection was lost before the answer came; the statement may or may not have taken effect. */
export class AnswerLost extends Error {
  constructor(node: NodeId) {
    super(`connection to ${node} lost`)
    this.name = 'AnswerLost'
  }
}

/** What the nodes of one embedded cluster share. */
export interface NodeSurroundings {
  readonly network: EmbeddedNetwork
  readonly replication: Replication
  readonly transfers: StateTransfers
  readonly statements: NodeStatements
  readonly faults: Faults
  /** Takes over a background task until it ends. */
  supervise(task: Promise<void>): void
}

export interface NodePlace {
  readonly host: string
  /** Port of the HTTP listener; host and it are the node's name. */
  readonly port: number
  /** Null when the node speaks no MySQL. */
  readonly mysqlPort: number | null
  readonly replicationPort: number
  /** Null for a node that lives in memory only. */
  readonly dataDir: string | null
  /** Whether it opens ports at all. */
  readonly listen: boolean
}

export interface NodeStartOptions {
  /** Begins with an empty data folder. */
  readonly wipe?: boolean
  /** Makes the clusters it remembers primary when no other member can be reached. */
  readonly newCluster?: boolean
}

/** A stand-in for one Manticore daemon. Stopped until {@link start}. */
export class EmbeddedNode {
  readonly id: NodeId
  readonly place: NodePlace
  readonly #surroundings: NodeSurroundings
  #memoryStore: TableStore | undefined
  #process: NodeProcess | undefined
  #doors: FrontDoors | undefined
  #session: NodeSession
  #isolated = false

  constructor(place: NodePlace, surroundings: NodeSurroundings) {
    this.id = `${place.host}:${place.port}`
    this.place = place
    this.#surroundings = surroundings
    this.#session = this.newSession()
  }

  get mysqlPort(): number | null {
    return this.place.mysqlPort
  }

  get dataDir(): string {
    return this.place.dataDir ?? `/embedded/${this.id}`
  }

  /** What one client's statements share; {@link execute} has one for all that bring none. */
  newSession(): NodeSession {
    const { host, mysqlPort, replicationPort } = this.place
    return createNodeSession({
      address: this.id,
      mysqlAddress: mysqlPort === null ? null : `${host}:${mysqlPort}`,
      replicationAddress: `${host}:${replicationPort}`,
      dataDir: this.dataDir,
      now: () => this.#surroundings.network.clock.now(),
    })
  }

  get running(): boolean {
    return this.#process !== undefined
  }

  /** The running process; undefined while the node is down. */
  get process(): NodeProcess | undefined {
    return this.#process
  }

  /** Opens the ports and rejoins the clusters it remembers, which goes on in the background. */
  async start(options: NodeStartOptions = {}): Promise<void> {
    if (this.#process !== undefined) throw new Error(`${this.id} is running already`)
    const { network, transfers, replication } = this.#surroundings
    const process = new NodeProcess({
      node: this.id,
      replicationAddress: `${this.place.host}:${this.place.replicationPort}`,
      dataDir: this.dataDir,
      store: this.#openStore(options.wipe === true),
      clock: network.clock,
    })
    loadMemberships(process)
    this.#process = process
    this.#session = this.newSession()
    network.attach(process)
    if (this.place.listen) await this.#openDoors(process)
    if (options.newCluster === true) {
      for (const membership of process.memberships.values()) {
        if (transfers.hasPrimaryInReach(membership)) continue
        replication.bootstrap(membership)
      }
    }
    this.#surroundings.supervise(transfers.keepReturning(process))
  }

  /** Like kill -9. Ports are closed and the process is gone when this resolves; the first part happens at once. */
  async crash(): Promise<void> {
    const process = this.#process
    const doors = this.#doors
    if (process === undefined) return
    this.#process = undefined
    this.#doors = undefined
    this.#surroundings.network.detach(process)
    process.end()
    this.#closeStore(process)
    await doors?.close()
  }

  /** Stops in good order: the clusters it is in go on without it and keep their quorum. */
  async stop(): Promise<void> {
    const process = this.#process
    if (process === undefined) return
    this.#surroundings.replication.settle()
    for (const membership of process.memberships.values()) this.#surroundings.replication.leave(membership)
    await this.crash()
  }

  /** Cuts clients off, or lets them in again. Nodes are not concerned. */
  isolateFromClients(isolated: boolean): void {
    this.#isolated = isolated
    if (isolated) this.#doors?.destroyConnections()
  }

  /**
   * Runs one statement as a client's. Resolves with what the daemon answers, also when that is an error; rejects
   * with {@link NodeDown} or {@link AnswerLost} when there is no answer.
   */
  async execute(sql: string, session: NodeSession = this.#session): Promise<NodeAnswer> {
    const process = this.#process
    if (process === undefined || this.#isolated) throw new NodeDown(this.id)
    try {
      const result = await this.#run(process, sql, session)
      if (!process.alive || this.#isolated) throw new AnswerLost(this.id)
      return { httpStatus: 200, result }
    } catch (error) {
      if (!process.alive || error instanceof ProcessEnded) throw new AnswerLost(this.id)
      if (error instanceof DaemonError) return { httpStatus: error.httpStatus, error: error.message }
      if (error instanceof SqlSyntaxError) return { httpStatus: 500, error: error.daemonMessage }
      throw error
    }
  }

  /** As {@link execute}, but a refusal rejects with {@link DaemonError}. */
  async query(sql: string): Promise<StatementResult> {
    const answer = await this.execute(sql)
    if ('error' in answer) throw new DaemonError(answer.error, answer.httpStatus)
    return answer.result
  }

  async #run(process: NodeProcess, sql: string, session: NodeSession): Promise<StatementResult> {
    if (sql.trim() === '') throw new DaemonError('query missing', 400)
    const statement = parseStatement(sql)
    const effects = this.#surroundings.faults.take(this.id, statement, sql)
    for (const effect of effects) await this.#sufferBefore(process, effect)
    const result = await this.#surroundings.statements.execute(process, statement, session)
    for (const effect of effects) await this.#sufferAfter(process, effect)
    return result
  }

  async #sufferBefore(process: NodeProcess, effect: FaultEffect): Promise<void> {
    if (effect.kind === 'error_before') throw new DaemonError(effect.message)
    if (effect.kind === 'crash_before') this.#die()
    if (effect.kind === 'crash_before' || effect.kind === 'lose_request') throw new AnswerLost(this.id)
    if (effect.kind === 'delay' && effect.before) await process.pause(effect.ms)
  }

  async #sufferAfter(process: NodeProcess, effect: FaultEffect): Promise<void> {
    if (effect.kind === 'error_after') throw new DaemonError(effect.message)
    if (effect.kind === 'crash_after') this.#die()
    if (effect.kind === 'crash_after' || effect.kind === 'lose_reply') throw new AnswerLost(this.id)
    if (effect.kind === 'delay' && !effect.before) await process.pause(effect.ms)
  }

  /** Crashes without waiting: the caller is a statement of the process that dies. */
  #die(): void {
    this.#surroundings.supervise(this.crash())
  }

  async #openDoors(process: NodeProcess): Promise<void> {
    try {
      this.#doors = await FrontDoors.open(this.place, {
        newSession: () => this.newSession(),
        execute: async (sql, session) => {
          // A request that came in just before a crash must not run in the process after it.
          if (this.#process !== process) throw new AnswerLost(this.id)
          return await this.execute(sql, session)
        },
      })
    } catch (error) {
      await this.crash()
      throw error
    }
  }

  #openStore(wipe: boolean): TableStore {
    const { dataDir } = this.place
    if (dataDir === null) {
      if (wipe) this.dispose()
      this.#memoryStore ??= new SqliteTableStore(':memory:')
      return this.#memoryStore
    }
    if (wipe) rmSync(dataDir, { recursive: true, force: true })
    mkdirSync(dataDir, { recursive: true })
    return new SqliteTableStore(path.join(dataDir, 'store.sqlite'))
  }

  /** What lies in memory only stands for the disk, and outlives the process. */
  #closeStore(process: NodeProcess): void {
    if (process.store !== this.#memoryStore) process.store.close()
  }

  /** Frees what a node in memory holds. */
  dispose(): void {
    this.#memoryStore?.close()
    this.#memoryStore = undefined
  }
}
