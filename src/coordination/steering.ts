import { type ErrorCode, ERROR_RULES, InputError, ShardingError } from '../domain/errors.ts'
import { isEnded, type Operation, type OperationEvent, operationTransition } from '../domain/operation.ts'
import type { Clock } from '../domain/ports.ts'
import type { EndedOperation } from '../engine/engine.ts'
import type { Journal } from '../engine/journal.ts'
import { OperationWatch } from './operation-watch.ts'
import type { DuringOptions, Term } from './terms.ts'

/** How long it is tried to lead for what was asked, while another process does, in milliseconds. */
const REQUEST_PATIENCE_MS = 60_000
/** How long after its lease was lost a process that waits tries to lead again, in milliseconds. */
const LEAD_AGAIN_MS = 1_000

export interface SteeringParts {
  readonly clock: Clock
  readonly journal: Journal
  readonly ready: () => Promise<void>
  /** Runs `body` while this process leads. */
  readonly during: <T>(body: (term: Term) => Promise<T>, options: DuringOptions) => Promise<T>
}

/** Watches operations and asks for changes of them, whichever process runs them: all of it through the journal. */
export class Steering {
  readonly #parts: SteeringParts
  readonly #watch: OperationWatch

  constructor(parts: SteeringParts) {
    this.#parts = parts
    this.#watch = new OperationWatch(parts.journal, parts.clock)
  }

  /**
   * Asks for something of an operation, whoever runs it, and resolves with the operation when it is done.
   *
   * @param reached whether the operation is where it should be
   * @param onRequested called once it is asked for
   * @throws ShardingError `operation_missing`, or `illegal_transition` for what its state does not allow
   */
  async request(
    group: string,
    event: OperationEvent,
    reached: (operation: Operation) => boolean,
    values: { readonly error?: string; readonly keepTo?: number } = {},
    onRequested?: () => Promise<void>,
  ): Promise<Operation> {
    await this.#parts.ready()
    for (;;) {
      const { id, state } = await this.operation(group)
      const to = operationTransition(state, event)
      if (!(await this.#parts.journal.requestState(group, state, to, values))) continue
      await onRequested?.()
      // If nobody leads, it is up to us to go on with it, also when the answer is there already.
      void this.#parts
        .during(async ({ look }) => await look(), { patienceMs: REQUEST_PATIENCE_MS })
        .catch(() => undefined)
      return await this.#until(id, reached)
    }
  }

  /**
   * Resolves when an operation has ended, or is held, whoever runs it.
   *
   * @param id row id
   * @throws ShardingError as whoever leads has refused to plan it
   */
  async untilEnded(id: number): Promise<EndedOperation> {
    const operation = await this.#until(id, ({ state }) => isEnded(state) || state === 'held')
    if (operation.state === 'refused') throw refusalOf(operation)
    return { operation, commands: await this.#parts.journal.commands(operation.group) }
  }

  /** If nobody leads meanwhile, it is up to us; if another process does, it takes note by itself. */
  async #until(id: number, reached: (operation: Operation) => boolean): Promise<Operation> {
    const done = new AbortController()
    const awaited = this.#watch.until(id, reached)
    const leading = this.#leadUntil(awaited, done.signal)
    try {
      return await awaited
    } finally {
      done.abort(new ShardingError('closed', 'what was waited for has come'))
      await Promise.allSettled([leading])
    }
  }

  /** A lease may be lost while it is waited for, and then nobody else may be there to lead. Never rejects. */
  async #leadUntil(awaited: Promise<unknown>, over: AbortSignal): Promise<void> {
    const { during, clock } = this.#parts
    while (!over.aborted) {
      try {
        await during(async ({ fence }) => await settledOrAborted(awaited, fence.lost), { signal: over })
      } catch (error) {
        // It cannot lead now; all else is told by the watch.
        if (error instanceof ShardingError && error.code === 'closed') return
      }
      await clock.sleep(LEAD_AGAIN_MS, over).catch(() => undefined)
    }
  }

  /** Undoes an operation as far as asked, unless that was done already. */
  async rollBack(
    { id, group, state }: Operation,
    values: { readonly error: string; readonly keepTo?: number },
  ): Promise<Operation> {
    const ended = ({ state: reached }: Operation) =>
      reached === 'rolled_back' || ((values.keepTo ?? 0) > 0 && reached === 'succeeded')
    if (state === 'rolled_back') return await this.operation(group)
    if (state === 'reverting') return await this.#until(id, ended)
    return await this.request(group, 'revert', ended, values)
  }

  /** @throws ShardingError `operation_missing` */
  async operation(group: string): Promise<Operation> {
    const operation = await this.#parts.journal.operation(group)
    if (operation !== undefined) return operation
    throw new ShardingError('operation_missing', `there is no operation '${group}' in the journal`)
  }
}

async function settledOrAborted(awaited: Promise<unknown>, signal: AbortSignal): Promise<void> {
  const aborted = Promise.withResolvers<void>()
  const onAbort = () => aborted.resolve()
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.race([awaited, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** The error as whoever made the plan has thrown it. */
function refusalOf({ refusal, error }: Operation): ShardingError {
  const [word = '', field] = refusal.split(' ')
  const code = isErrorCode(word) ? word : 'refused'
  return field === undefined ? new ShardingError(code, error) : new InputError(field, error, code)
}

function isErrorCode(word: string): word is ErrorCode {
  return Object.hasOwn(ERROR_RULES, word)
}
