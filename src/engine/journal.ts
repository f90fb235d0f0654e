import type { Command } from '../domain/command.ts'
import { ShardingError } from '../domain/errors.ts'
import type { Operation, OperationState } from '../domain/operation.ts'
import type { Clock, Fence } from '../domain/ports.ts'
import type { Expression, InsertRows, Literal, TableName } from '../domain/statement.ts'
import type { Row } from '../domain/values.ts'
import { type Backlog, backlogFromRows, SELECT_COMMAND_BACKLOG, SELECT_OPERATION_BACKLOG } from './backlog.ts'
import { type JournalConnection, UncertainFailure } from './journal-connection.ts'
import {
  clipError,
  commandFromRow,
  insertCommands,
  insertOperation,
  operationFromRow,
} from './journal-rows.ts'
import { OPERATION_TABLE, QUEUE_TABLE } from '../domain/system-tables.ts'
import { all, compare, equals, oneOf, select, update } from './where.ts'

/** Rows read at once; the daemon keeps no more than 1,000 matches of a query by default. */
const PAGE_ROWS = 1_000
/** Ids in one UPDATE: keeps a statement far below the daemon's packet size. */
const MAX_IDS_PER_UPDATE = 500
/** Characters of one multi-row INSERT. The daemon's `max_packet_size` is 8 MB at least; a character may take 4 bytes. */
const MAX_INSERT_CHARACTERS = 1_500_000

/** States that are written before something is sent. */
const ANNOUNCEMENTS: ReadonlySet<Command['status']> = new Set<Command['status']>([
  'processing',
  'rolling_back',
])

/** What a command becomes. Applies only while it is still `from` and of our epoch. */
export interface CommandChange {
  readonly id: number
  readonly from: Command['status']
  readonly to: Command['status']
  readonly tries: number
  readonly outcome: Command['outcome']
  readonly lastError: string
  /** Milliseconds. */
  readonly duration: number
}

/** The journal as the engine uses it: rows of `system.sharding_queue` and `system.sharding_operation`. */
export class Journal {
  readonly #connection: JournalConnection
  readonly #cluster: string | null
  readonly #clock: Clock

  constructor(connection: JournalConnection, cluster: string | null, clock: Clock) {
    this.#connection = connection
    this.#cluster = cluster
    this.#clock = clock
  }

  /**
   * Takes an operation that somebody has asked for, so that nobody else plans it.
   *
   * @returns false when it is not `planned` any more
   */
  async claim(id: number, epoch: number): Promise<boolean> {
    const where = all(equals('id', id), equals('state', 'planned'), compare('epoch', '<=', epoch))
    const { total } = await this.#connection.write(update(this.#table(OPERATION_TABLE), { epoch }, where))
    if (total === 1) return true
    const found = await this.operationById(id)
    return found?.state === 'planned' && found.epoch === epoch
  }

  /**
   * Makes a `planned` operation that is ours what its plan says.
   *
   * @throws ShardingError `leadership_lost` when it is not ours any more, `illegal_transition` when it was called off
   */
  async queue(operation: Operation, fence: Fence): Promise<void> {
    fence.assertHeld()
    const { group, type, table, hasPivot, summary } = operation
    await this.#endPlanning(operation.id, fence.epoch, {
      state: 'queued',
      operation_group: group,
      type,
      table,
      has_pivot: hasPivot ? 1 : 0,
      summary,
      updated_at: this.#clock.now(),
    })
  }

  /** Says why a `planned` operation that is ours cannot be done. */
  async refuse(id: number, values: { error: string; refusal: string }, epoch: number): Promise<void> {
    const now = this.#clock.now()
    await this.#endPlanning(id, epoch, {
      state: 'refused',
      error: clipError(values.error),
      refusal: values.refusal,
      ended_at: now,
      updated_at: now,
    })
  }

  async #endPlanning(
    id: number,
    epoch: number,
    values: Record<string, Literal> & { readonly state: OperationState },
  ): Promise<void> {
    const where = all(equals('id', id), equals('state', 'planned'), equals('epoch', epoch))
    const { total } = await this.#connection.write(update(this.#table(OPERATION_TABLE), values, where))
    if (total === 1) return
    const found = await this.operationById(id)
    // An earlier try of this very statement got no answer.
    if (found?.state === values.state && found.epoch === epoch) return
    throw lostTo(found?.epoch ?? 0, epoch, `operation ${id}`)
  }

  /** They are never run before an operation of their group is `queued`: that is the commit mark. */
  async addCommands(commands: readonly Command[]): Promise<void> {
    for (const chunk of chunksBySize(commands)) {
      await this.#insert(insertCommands(this.#cluster, chunk), QUEUE_TABLE, chunk[0]?.id ?? 0)
    }
  }

  async addOperation(operation: Operation): Promise<void> {
    await this.#insert(insertOperation(this.#cluster, operation), OPERATION_TABLE, operation.id)
  }

  /** In the order of their ids, which is the order in which they were added. */
  async commands(group: string): Promise<Command[]> {
    const rows = await this.#rows(QUEUE_TABLE, equals('operation_group', group))
    return rows.map(commandFromRow)
  }

  async command(id: number): Promise<Command | undefined> {
    const rows = await this.#rows(QUEUE_TABLE, equals('id', id))
    return rows.map(commandFromRow)[0]
  }

  async operation(group: string): Promise<Operation | undefined> {
    const rows = await this.#rows(OPERATION_TABLE, equals('operation_group', group))
    // Commands of one's own may have been refused before.
    return rows.map(operationFromRow).at(-1)
  }

  async operationById(id: number): Promise<Operation | undefined> {
    return (await this.operationsById([id]))[0]
  }

  /** @param ids at most 500 */
  async operationsById(ids: readonly number[]): Promise<Operation[]> {
    const rows = await this.#rows(OPERATION_TABLE, oneOf('id', ids))
    return rows.map(operationFromRow)
  }

  async operations(states: readonly OperationState[]): Promise<Operation[]> {
    const rows = await this.#rows(OPERATION_TABLE, oneOf('state', states))
    return rows.map(operationFromRow)
  }

  /** How much has not ended, counted by the node. */
  async backlog(signal?: AbortSignal): Promise<Backlog> {
    const [commands, operations] = await Promise.all([
      this.#connection.read(SELECT_COMMAND_BACKLOG, signal),
      this.#connection.read(SELECT_OPERATION_BACKLOG, signal),
    ])
    return backlogFromRows(commands.rows, operations.rows)
  }

  /** Takes over an operation of an older epoch, so that its former coordinator can change nothing any more. */
  async adopt(group: string, epoch: number): Promise<void> {
    for (const table of [OPERATION_TABLE, QUEUE_TABLE]) {
      await this.#connection.write(
        update(
          this.#table(table),
          { epoch },
          all(equals('operation_group', group), compare('epoch', '<', epoch)),
        ),
      )
    }
  }

  /**
   * Commands that were stored by a coordinator of an older epoch which died before it could write the
   * operation's row. Commands that users add one by one have epoch 0 and are left alone.
   */
  async uncommittedGroups(epoch: number): Promise<string[]> {
    const begun = await this.#rows(
      QUEUE_TABLE,
      all(equals('status', 'created'), compare('epoch', '>', 0), compare('epoch', '<', epoch)),
    )
    const groups = new Set(begun.map((row) => commandFromRow(row).operationGroup))
    const uncommitted: string[] = []
    for (const group of groups) {
      if ((await this.operation(group)) === undefined) uncommitted.push(group)
    }
    return uncommitted
  }

  async deleteCommands(group: string): Promise<void> {
    await this.#connection.write({
      kind: 'delete',
      table: this.#table(QUEUE_TABLE),
      where: equals('operation_group', group),
    })
  }

  /** A later command waits for this one, so its undo has to wait for that one's. */
  async addRollbackWait(id: number, rollbackWaitFor: readonly number[]): Promise<void> {
    const values = { rollback_wait_for_id: rollbackWaitFor.at(-1) ?? 0, rollback_waits: rollbackWaitFor }
    await this.#connection.write(update(this.#table(QUEUE_TABLE), values, equals('id', id)))
  }

  /**
   * Changes commands, all that change alike in one statement, and several such side by side. What is announced
   * comes last: it may be there only because of what has ended.
   *
   * @throws ShardingError `leadership_lost` when a newer coordinator has taken them over
   */
  async changeCommands(
    changes: readonly CommandChange[],
    epoch: number,
    signal?: AbortSignal,
  ): Promise<void> {
    for (const announces of [false, true]) {
      const groups = groupAlike(changes.filter(({ to }) => ANNOUNCEMENTS.has(to) === announces))
      const written = await Promise.allSettled(
        groups.map(async (alike) => await this.#changeAlike(alike, epoch, signal)),
      )
      const failed = written.find((write) => write.status === 'rejected')
      if (failed !== undefined) throw failed.reason
    }
  }

  async #changeAlike(changes: readonly CommandChange[], epoch: number, signal?: AbortSignal): Promise<void> {
    const [first] = changes
    if (first === undefined) return
    const ids = changes.map(({ id }) => id)
    const values = {
      status: first.to,
      tries: first.tries,
      outcome: first.outcome,
      last_error: clipError(first.lastError),
      duration: first.duration,
      updated_at: this.#clock.now(),
    }
    const where = all(oneOf('id', ids), equals('status', first.from), equals('epoch', epoch))
    const { total } = await this.#connection.write(update(this.#table(QUEUE_TABLE), values, where), signal)
    // Fewer rows than ids: an earlier try of this very statement got no answer, or we do not lead any more.
    if (total < ids.length) await this.#verifyChanged(ids, first.to, epoch, signal)
  }

  async #verifyChanged(
    ids: readonly number[],
    to: Command['status'],
    epoch: number,
    signal?: AbortSignal,
  ): Promise<void> {
    const rows = await this.#rows(QUEUE_TABLE, oneOf('id', ids), signal)
    const commands = rows.map(commandFromRow)
    const changed = commands.filter((command) => command.status === to && command.epoch === epoch)
    if (changed.length === ids.length) return
    throw lostTo(
      Math.max(0, ...commands.map((command) => command.epoch)),
      epoch,
      `commands ${ids.slice(0, 5).join(', ')}`,
    )
  }

  /**
   * Changes an operation's state if it is still `from` and of our epoch.
   *
   * @returns false when somebody else has changed the state (asked for a pause, say); read it again then
   * @throws ShardingError `leadership_lost`
   */
  async changeOperation(
    group: string,
    from: OperationState,
    to: OperationState,
    values: { readonly error?: string; readonly endedAt?: number; readonly keepTo?: number },
    epoch: number,
    signal?: AbortSignal,
  ): Promise<boolean> {
    const assignments: Record<string, Literal> = { state: to, updated_at: this.#clock.now() }
    if (values.error !== undefined) assignments['error'] = clipError(values.error)
    if (values.endedAt !== undefined) assignments['ended_at'] = values.endedAt
    if (values.keepTo !== undefined) assignments['keep_to'] = values.keepTo
    const where = all(equals('operation_group', group), equals('state', from), equals('epoch', epoch))
    const { total, certain } = await this.#connection.write(
      update(this.#table(OPERATION_TABLE), assignments, where),
      signal,
    )
    if (total === 1) return true
    const operation = await this.operation(group)
    if (operation === undefined || operation.epoch !== epoch) {
      throw lostTo(operation?.epoch ?? 0, epoch, `operation ${group}`)
    }
    return !certain && operation.state === to
  }

  /**
   * Writes down what somebody asks of an operation, whoever leads. The one who leads takes note of it.
   *
   * @returns false when the state is not `from` any more; read it again then
   */
  async requestState(
    group: string,
    from: OperationState,
    to: OperationState,
    values: { readonly error?: string; readonly keepTo?: number },
  ): Promise<boolean> {
    const assignments: Record<string, Literal> = { state: to, updated_at: this.#clock.now() }
    if (values.error !== undefined) assignments['error'] = clipError(values.error)
    if (values.keepTo !== undefined) assignments['keep_to'] = values.keepTo
    const where = all(equals('operation_group', group), equals('state', from))
    const { total, certain } = await this.#connection.write(
      update(this.#table(OPERATION_TABLE), assignments, where),
    )
    if (total === 1) return true
    return !certain && (await this.operation(group))?.state === to
  }

  async #insert(statement: InsertRows, table: string, firstId: number): Promise<void> {
    try {
      await this.#connection.write(statement)
    } catch (error) {
      // All rows of an INSERT are there or none is, so one of them tells.
      if (error instanceof UncertainFailure) {
        const rows = await this.#rows(table, equals('id', firstId))
        if (rows.length === 1) return
      }
      throw error
    }
  }

  async #rows(table: string, where: Expression, signal?: AbortSignal): Promise<Row[]> {
    const rows: Row[] = []
    for (let after = 0; ; ) {
      const page = select(table, all(where, compare('id', '>', after)), { limit: PAGE_ROWS })
      const reply = await this.#connection.read(page, signal)
      rows.push(...reply.rows)
      const last = reply.rows.at(-1)
      if (last === undefined || reply.rows.length < PAGE_ROWS) return rows
      after = Number(last['id'])
    }
  }

  #table(name: string): TableName {
    return { cluster: this.#cluster, name }
  }
}

/** The name of an operation before its plan is made. */
export function plannedGroup(id: number): string {
  return `planned-${id.toString(36)}`
}

function lostTo(found: number, epoch: number, what: string): ShardingError {
  return found > epoch
    ? new ShardingError('leadership_lost', `${what} belong to epoch ${found} now, ours is ${epoch}`)
    : new ShardingError('illegal_transition', `${what} were changed by somebody else than the coordinator`)
}

function groupAlike(changes: readonly CommandChange[]): CommandChange[][] {
  const groups = new Map<string, CommandChange[]>()
  for (const change of changes) {
    const { from, to, tries, outcome, lastError, duration } = change
    const key = JSON.stringify([from, to, tries, outcome, lastError, duration])
    const alike = groups.get(key)
    if (alike === undefined) groups.set(key, [change])
    else alike.push(change)
  }
  return [...groups.values()].flatMap(inStatements)
}

function inStatements(alike: readonly CommandChange[]): CommandChange[][] {
  return Array.from({ length: Math.ceil(alike.length / MAX_IDS_PER_UPDATE) }, (_, part) =>
    alike.slice(part * MAX_IDS_PER_UPDATE, (part + 1) * MAX_IDS_PER_UPDATE),
  )
}

function chunksBySize(commands: readonly Command[]): Command[][] {
  const chunks: Command[][] = []
  let size = Number.POSITIVE_INFINITY
  for (const command of commands) {
    const characters = estimatedCharacters(command)
    if (size + characters > MAX_INSERT_CHARACTERS) {
      chunks.push([])
      size = 0
    }
    chunks.at(-1)?.push(command)
    size += characters
  }
  return chunks
}

/** Upper bound of a command's part of an INSERT: quotes are escaped, an id has at most 16 digits. */
function estimatedCharacters(command: Command): number {
  const ids = command.waitFor.length + command.rollbackWaitFor.length
  return 2 * (command.query.length + command.rollbackQuery.length) + 17 * ids + 500
}
