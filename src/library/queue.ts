import { type Command, isUndoSettled } from '../domain/command.ts'
import { InputError, ShardingError } from '../domain/errors.ts'
import type { NodeId } from '../domain/words.ts'
import type { ProgressEvent, ProgressListener } from '../engine/events.ts'
import { Probe } from '../engine/probe.ts'
import { assertRollback, parseScript } from '../sql/index.ts'
import type { Client } from './client.ts'
import type { Cluster } from './cluster.ts'
import { MAX_ID_COLLISIONS, type OperationOptions } from '../coordination/operations.ts'
import { type OperationSummary, succeededOrThrow, summarize } from './operation-error.ts'
import { iterateProgress, type ProgressOptions } from './progress.ts'

/** Characters of the name of an operation group. */
const MAX_GROUP_LENGTH = 128

/**
 * The queue of commands in the journal. Tables use it for their operations; with {@link add} and
 * {@link process} it runs commands of your own, with the same guarantees.
 */
export class Queue {
  readonly #cluster: Cluster
  readonly #client: Client
  readonly #probe: Probe
  readonly #unsubscribers = new Map<ProgressListener, () => void>()
  #waitForId = 0

  constructor(cluster: Cluster, client: Client) {
    this.#cluster = cluster
    this.#client = client
    this.#probe = new Probe(client.parts.catalog, client.parts.connector)
  }

  /** @throws InputError when this queue belongs to another cluster */
  assertOf(cluster: Cluster): void {
    if (cluster === this.#cluster) return
    throw new InputError(
      'queue',
      'this queue belongs to another cluster than the table; make one for its cluster',
    )
  }

  /** Commands added from now on wait for this one. */
  setWaitForId(id: number): this {
    this.#waitForId = id
    return this
  }

  resetWaitForId(): this {
    this.#waitForId = 0
    return this
  }

  /**
   * Stores a command with its rollback. It runs when its group is processed.
   *
   * @param node `host:port` of the node that both run on
   * @param group the commands of one group succeed or are undone together
   * @returns the command's id
   * @throws InputError `rollback_invalid` when the rollback would not undo exactly what the command does;
   *   nothing is stored then
   */
  async add(node: NodeId, query: string, rollbackQuery: string, group: string): Promise<number> {
    checkGroup(group)
    await this.#checkNode(node)
    const waitFor = await this.#waitedFor(group)
    await this.#checkGroupOpen(group)
    const existedBefore = await this.#checkRollback(node, query, rollbackQuery)
    const id = await this.#store({ node, query, rollbackQuery, group, waitFor, existedBefore })
    if (waitFor !== undefined) {
      await this.#cluster.journal.addRollbackWait(waitFor.id, [...waitFor.rollbackWaitFor, id])
    }
    return id
  }

  /** The command as it is in the journal now, or undefined. */
  async getById(id: number): Promise<Command | undefined> {
    await this.#cluster.ready()
    return await this.#cluster.journal.command(id)
  }

  /** What undoing the group now would run, in that order. */
  async getRollbackCommands(group: string): Promise<Command[]> {
    await this.#cluster.ready()
    const commands = await this.#cluster.journal.commands(group)
    return commands
      .filter((command) => command.status !== 'created' && !isUndoSettled(command))
      .filter(({ rollbackQuery }) => rollbackQuery !== '')
      .toReversed()
  }

  /**
   * Runs the commands of a group that were added one by one.
   *
   * @throws OperationError when one of them failed; all that had begun is undone then
   */
  async process(group: string, options: OperationOptions = {}): Promise<OperationSummary> {
    await this.#cluster.ready()
    const { journal, operations } = this.#cluster
    const stored = await journal.operation(group)
    const ended =
      stored === undefined || stored.state === 'refused'
        ? await operations.run({ kind: 'custom', group }, options)
        : await operations.steering.untilEnded(stored.id)
    return succeededOrThrow(ended)
  }

  /**
   * Undoes a group as a whole, each command on its own node: one that runs, or one of {@link process} that has
   * succeeded. Resolves when all of it is undone.
   *
   * @throws ShardingError `operation_missing`, or `illegal_transition` when it cannot be undone any more
   */
  async rollbackOperationGroup(group: string): Promise<OperationSummary> {
    await this.#cluster.ready()
    const { journal } = this.#cluster
    const operation = await journal.operation(group)
    if (operation === undefined) throw noSuchGroup(group)
    if (operation.state === 'succeeded' && operation.type !== 'custom') {
      throw new ShardingError(
        'illegal_transition',
        `operation ${group} has succeeded, and other tables may use its replica sets now; drop table '${operation.table}' instead`,
      )
    }
    const ended = await this.#cluster.operations.steering.rollBack(operation, {
      error: 'rolled back on request',
    })
    return summarize({ operation: ended, commands: await journal.commands(group) })
  }

  /** Calls the listener with everything that happens on this cluster through this process. */
  on(_event: 'progress', listener: ProgressListener): this {
    this.off('progress', listener)
    this.#unsubscribers.set(listener, this.#cluster.progress.subscribe(listener))
    return this
  }

  off(_event: 'progress', listener: ProgressListener): this {
    this.#unsubscribers.get(listener)?.()
    this.#unsubscribers.delete(listener)
    return this
  }

  /**
   * The same as an async iterator.
   *
   * @example
   * for await (const event of queue.progress({ until: table.shard(queue, 4, 2) })) console.log(event.kind)
   */
  progress(options: ProgressOptions = {}): AsyncIterableIterator<ProgressEvent> {
    return iterateProgress(this.#cluster.progress, options)
  }

  async #checkNode(node: NodeId): Promise<void> {
    const nodes = await this.#cluster.nodes()
    if (nodes.includes(node)) return
    throw new InputError('node', `'${node}' is no node of this cluster; its nodes are ${nodes.join(', ')}`)
  }

  async #waitedFor(group: string): Promise<Command | undefined> {
    await this.#cluster.ready()
    if (this.#waitForId === 0) return undefined
    const command = await this.#cluster.journal.command(this.#waitForId)
    if (command?.operationGroup === group) return command
    throw new InputError(
      'waitForId',
      `there is no command ${this.#waitForId} in group '${group}' to wait for; call resetWaitForId() first`,
    )
  }

  async #checkGroupOpen(group: string): Promise<void> {
    const operation = await this.#cluster.journal.operation(group)
    if (operation === undefined || operation.state === 'refused') return
    throw new InputError(
      'group',
      `group '${group}' was processed already and is '${operation.state}'; use another name for new commands`,
    )
  }

  /** @returns whether the command's effect is there already */
  async #checkRollback(node: NodeId, query: string, rollbackQuery: string): Promise<boolean> {
    const { catalog } = this.#client.parts
    const [tables, clusters] = await Promise.all([catalog.tables(node), catalog.clusters(node)])
    assertRollback(query, rollbackQuery, {
      node,
      tables: new Set(tables.keys()),
      clusters: new Map(clusters.map(({ name, nodesView }) => [name, nodesView])),
    })
    return (await this.#probe.lookAll(node, parseScript(query))) === 'present'
  }

  async #store(added: {
    readonly node: NodeId
    readonly query: string
    readonly rollbackQuery: string
    readonly group: string
    readonly waitFor: Command | undefined
    readonly existedBefore: boolean
  }): Promise<number> {
    const { ids, clock } = this.#client.parts
    const now = clock.now()
    for (let collisions = 0; ; collisions++) {
      const id = ids.next()
      const command: Command = {
        id,
        node: added.node,
        query: added.query,
        rollbackQuery: added.rollbackQuery,
        waitFor: added.waitFor === undefined ? [] : [added.waitFor.id],
        rollbackWaitFor: [],
        operationGroup: added.group,
        tries: 0,
        status: 'created',
        createdAt: now,
        updatedAt: now,
        duration: 0,
        outcome: '',
        lastError: '',
        phase: 'before_pivot',
        savepoint: 0,
        copyBytes: 0,
        onExisting: 'accept',
        existedBefore: added.existedBefore,
        // Belongs to no coordinator until its group is processed.
        epoch: 0,
      }
      try {
        await this.#cluster.journal.addCommands([command])
        return id
      } catch (error) {
        const taken = error instanceof ShardingError && error.code === 'duplicate'
        if (!taken || collisions >= MAX_ID_COLLISIONS) throw error
      }
    }
  }
}

function checkGroup(group: string): void {
  if (group.trim() !== '' && group.length <= MAX_GROUP_LENGTH) return
  throw new InputError(
    'group',
    `the name of an operation group must have 1 to ${MAX_GROUP_LENGTH} characters`,
  )
}

function noSuchGroup(group: string): ShardingError {
  return new ShardingError('operation_missing', `there is no operation group '${group}' in the journal`)
}
