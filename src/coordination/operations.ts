import type { Command } from '../domain/command.ts'
import { InputError, messageOf, ShardingError } from '../domain/errors.ts'
import type { Operation, OperationType } from '../domain/operation.ts'
import type { Plan } from '../domain/plan.ts'
import type { EndedOperation } from '../engine/engine.ts'
import { commandsFromPlan, hasPivot } from '../engine/enqueue.ts'
import { plannedGroup } from '../engine/journal.ts'
import { type Goal, goalFromJson, tableOf, typeOf } from './goal.ts'
import type { Planning } from './plan-goal.ts'
import { type Draft, MOVING_TYPES, Planner, type PlannerParts } from './planner.ts'
import type { PreparedPlan } from './prepared-plan.ts'
import { Steering, type SteeringParts } from './steering.ts'
import type { Resumed, Term } from './terms.ts'

/** How long transient failures of an operation are retried before it is undone, in milliseconds. */
const DEFAULT_OPERATION_TIMEOUT_MS = 300_000
/** The same for operations that move copies. */
const DEFAULT_MOVE_TIMEOUT_MS = 86_400_000
/** How often ids that another process took first are replaced by new ones. */
export const MAX_ID_COLLISIONS = 5
/** How long a lease that seemed free is waited for before it is left to whoever has taken it, in milliseconds. */
const FREE_LEASE_PATIENCE_MS = 1_000
export interface OperationOptions {
  /** How long transient failures are retried before the operation is undone, in milliseconds. */
  readonly timeoutMs?: number
  /** Ends the waiting, not the operation: the call rejects with `operation_pending`. */
  readonly signal?: AbortSignal
  /** When a command fails for good, the moves that are finished stay; all is undone otherwise. */
  readonly keepFinished?: boolean
  /** How long what a drop frees is kept, so that it can be undone, in milliseconds. */
  readonly holdMs?: number
}

export interface OperationsParts extends PlannerParts, SteeringParts {
  /** Who we are among all processes that may lead. */
  readonly owner: string
  /** Whether this process leads, or could at once. */
  readonly mayLead: () => Promise<boolean>
}

/**
 * Plans, stores and runs what is asked for: here when this process leads or nobody does, otherwise through the
 * journal, where whoever leads finds it.
 */
export class Operations {
  readonly #parts: OperationsParts
  readonly #planner: Planner
  readonly steering: Steering
  /** Plans are made one after another: each must see what the one before it has stored. */
  #planning: Promise<unknown> = Promise.resolve()
  /** Operations that are `planned` in the journal and being planned here. */
  readonly #beingPlanned = new Set<number>()

  constructor(parts: OperationsParts) {
    this.#parts = parts
    this.#planner = new Planner(parts)
    this.steering = new Steering(parts)
  }

  /**
   * Resolves when the operation has ended, whoever has run it. Goes on when leadership changes on the way.
   *
   * @throws InputError when it cannot be planned; nothing was changed then
   * @throws ShardingError `operation_pending` when the caller does not want to wait any longer
   */
  async run(goal: Goal, options: OperationOptions): Promise<EndedOperation> {
    await this.#parts.ready()
    const asked = { id: 0 }
    return await this.#endOrAbort(this.#runOrAsk(goal, options, asked), options.signal, asked)
  }

  async #runOrAsk(goal: Goal, options: OperationOptions, asked: { id: number }): Promise<EndedOperation> {
    if (await this.#parts.mayLead()) {
      const patience = { patienceMs: FREE_LEASE_PATIENCE_MS }
      try {
        return await this.#parts.during(async (term) => {
          const started = await this.#oneAfterAnother(
            async () => await this.#begin(term, goal, options, asked),
          )
          return await started.ended
        }, patience)
      } catch (error) {
        const code = error instanceof ShardingError ? error.code : ''
        if (code !== 'leadership_lost' && code !== 'leadership_taken') throw error
        // Whoever leads now finds it in the journal, if it was there.
        const stored = asked.id > 0 && (await this.#parts.journal.operationById(asked.id)) !== undefined
        if (stored) return await this.steering.untilEnded(asked.id)
      }
    }
    asked.id = (await this.#ask(goal, options, 0)).id
    return await this.steering.untilEnded(asked.id)
  }

  /** Plans what others have asked for, and starts it. */
  startPlanned(term: Term, planned: readonly Operation[]): Resumed[] {
    return planned
      .filter(({ id }) => !this.#beingPlanned.has(id))
      .map((operation) => {
        this.#beingPlanned.add(operation.id)
        const ended = this.#oneAfterAnother(async () => await this.#plan(term, operation)).then(
          async (started) => await started.ended,
        )
        // Whoever asked is told through the journal.
        ended.catch(() => undefined)
        return { group: operation.group, ended }
      })
  }

  /**
   * Makes a plan without running it.
   *
   * @throws InputError for what cannot be done
   */
  async plan(makePlan: (planning: Planning) => Promise<Plan>): Promise<PreparedPlan> {
    await this.#parts.ready()
    return await this.#planner.plan(makePlan)
  }

  /**
   * Runs a plan exactly as it was made.
   *
   * @throws ShardingError `plan_stale` when the cluster has changed since then; nothing was changed by us
   */
  async execute(plan: PreparedPlan, options: OperationOptions = {}): Promise<EndedOperation> {
    await this.#parts.ready()
    const { group } = await this.#addCommands(plan, 0)
    const { type, table, summary, basis } = plan
    try {
      return await this.run({ kind: 'prepared', group, type, table, summary, basis }, options)
    } catch (error) {
      const { journal } = this.#parts
      const stored = await journal.operation(group)
      if (stored === undefined || stored.state === 'refused') await journal.deleteCommands(group)
      throw error
    }
  }

  /** Begins here with what this process wants. */
  async #begin(
    term: Term,
    goal: Goal,
    options: OperationOptions,
    asked: { id: number },
  ): Promise<{ ended: Promise<EndedOperation> }> {
    const draft = await this.#planner.draft(term.engine, goal)
    const { epoch } = term.fence
    const stored = this.#addCommandsOf(draft, epoch)
    stored.catch(() => undefined)
    const operation = await this.#ask(goal, options, epoch, (id) => {
      asked.id = id
      this.#beingPlanned.add(id)
    })
    try {
      return await this.#start(term, operation, draft, await stored)
    } catch (error) {
      await this.#refuse(term, operation, error)
      throw error
    } finally {
      this.#beingPlanned.delete(operation.id)
    }
  }

  /** Makes a plan of what somebody has asked for in the journal, and begins with it. */
  async #plan(term: Term, operation: Operation): Promise<{ ended: Promise<EndedOperation> }> {
    const { journal, clock } = this.#parts
    try {
      term.fence.lost.throwIfAborted()
      if (!(await journal.claim(operation.id, term.fence.epoch))) throw calledOff(operation)
      if (operation.deadlineAt <= clock.now()) throw tooLate(operation)
      const draft = await this.#planner.draft(term.engine, goalFromJson(operation.request))
      return await this.#start(term, operation, draft, await this.#addCommandsOf(draft, term.fence.epoch))
    } catch (error) {
      await this.#refuse(term, operation, error)
      throw error
    } finally {
      this.#beingPlanned.delete(operation.id)
    }
  }

  /** All its commands are in the journal: from here on it is an operation. */
  async #start(
    { engine, fence }: Term,
    asked: Operation,
    draft: Draft,
    stored: { readonly group: string; readonly commands: readonly Command[] },
  ): Promise<{ ended: Promise<EndedOperation> }> {
    const { group, commands } = stored
    const { type, table, summary } = draft
    const { epoch } = fence
    const operation: Operation = {
      ...asked,
      group,
      type,
      table,
      summary,
      epoch,
      state: 'queued',
      hasPivot: hasPivot(commands),
    }
    await this.#parts.journal.queue(operation, fence)
    // Started before the next plan is made, so that it is seen as running.
    return { ended: engine.run(operation, commands) }
  }

  /** Says in the journal why it cannot be done. Who has taken over, if somebody has, plans it anew. */
  async #refuse({ fence }: Term, { id }: Operation, error: unknown): Promise<void> {
    if (fence.lost.aborted) return
    const input = error instanceof InputError ? ` ${error.field}` : ''
    const code = error instanceof ShardingError ? error.code : 'refused'
    try {
      await this.#parts.journal.refuse(
        id,
        { error: messageOf(error), refusal: `${code}${input}` },
        fence.epoch,
      )
    } catch (failure) {
      // It stays `planned` until the journal can be written again.
      if (!(failure instanceof ShardingError)) throw failure
    }
  }

  /** Writes down what is wanted. `epoch` 0: by a process that does not lead. */
  async #ask(
    goal: Goal,
    options: OperationOptions,
    epoch: number,
    onId: (id: number) => void = () => undefined,
  ): Promise<Operation> {
    const { ids, clock, owner, journal } = this.#parts
    const now = clock.now()
    const type = typeOf(goal)
    const timeoutMs = options.timeoutMs ?? defaultTimeoutMs(type)
    for (let collisions = 0; ; collisions++) {
      const id = ids.next()
      onId(id)
      const operation: Operation = {
        id,
        group: 'group' in goal && goal.kind !== 'revert' ? goal.group : plannedGroup(id),
        type,
        table: tableOf(goal),
        state: 'planned',
        hasPivot: false,
        epoch,
        requestedBy: owner,
        error: '',
        createdAt: now,
        updatedAt: now,
        endedAt: 0,
        deadlineAt: now + timeoutMs,
        keepFinished: options.keepFinished ?? false,
        keepTo: 0,
        holdUntil: options.holdMs === undefined ? 0 : now + options.holdMs,
        summary: '',
        request: JSON.stringify(goal),
        refusal: '',
      }
      try {
        await journal.addOperation(operation)
        return operation
      } catch (error) {
        if (!isTaken(error) || collisions >= MAX_ID_COLLISIONS) throw error
      }
    }
  }

  async #addCommandsOf(
    draft: Draft,
    epoch: number,
  ): Promise<{ group: string; commands: readonly Command[] }> {
    if (draft.plan !== null) return await this.#addCommands(draft.plan, epoch)
    const { journal } = this.#parts
    await journal.adopt(draft.group, epoch)
    return { group: draft.group, commands: await journal.commands(draft.group) }
  }

  async #addCommands(plan: Plan, epoch: number): Promise<{ group: string; commands: Command[] }> {
    const { ids, clock, journal } = this.#parts
    for (let collisions = 0; ; collisions++) {
      const stored = commandsFromPlan(plan, { ids, epoch, now: clock.now() })
      try {
        await journal.addCommands(stored.commands)
        return stored
      } catch (error) {
        // Another process took one of the ids in the same millisecond; rows without an operation are purged.
        if (!isTaken(error) || collisions >= MAX_ID_COLLISIONS) throw error
      }
    }
  }

  async #oneAfterAnother<T>(body: () => Promise<T>): Promise<T> {
    const mine = this.#planning.then(body)
    this.#planning = mine.catch(() => undefined)
    return await mine
  }

  /** Rejects with `operation_pending` when the caller does not want to wait any longer; the operation goes on. */
  async #endOrAbort(
    running: Promise<EndedOperation>,
    signal: AbortSignal | undefined,
    asked: { readonly id: number },
  ): Promise<EndedOperation> {
    if (signal === undefined) return await running
    const aborted = Promise.withResolvers<never>()
    const onAbort = () => {
      void this.#pending(asked.id, signal.reason).then(aborted.reject)
    }
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    running.catch(() => undefined)
    try {
      return await Promise.race([running, aborted.promise])
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  async #pending(id: number, cause: unknown): Promise<ShardingError> {
    const stored = id === 0 ? undefined : await this.#parts.journal.operationById(id).catch(() => undefined)
    const what =
      stored === undefined ? 'the operation was not stored yet' : `operation ${stored.group} goes on`
    return new ShardingError('operation_pending', `stopped waiting: ${what}`, { cause })
  }
}

/** Copying takes as long as the data is large, and whatever goes wrong meanwhile may pass. */
function defaultTimeoutMs(type: OperationType): number {
  return MOVING_TYPES.has(type) ? DEFAULT_MOVE_TIMEOUT_MS : DEFAULT_OPERATION_TIMEOUT_MS
}

function isTaken(error: unknown): boolean {
  return error instanceof ShardingError && error.code === 'duplicate'
}

function calledOff({ id }: Operation): ShardingError {
  return new ShardingError('leadership_lost', `operation ${id} was planned or called off by somebody else`)
}

function tooLate({ createdAt, deadlineAt }: Operation): ShardingError {
  return new ShardingError(
    'cluster_unhealthy',
    `nobody could begin with it within ${deadlineAt - createdAt} ms; nothing was changed`,
  )
}
