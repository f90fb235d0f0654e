import type { Command } from '../../src/domain/command.ts'
import { NodeError, type NodeErrorCode } from '../../src/domain/errors.ts'
import type { Operation } from '../../src/domain/operation.ts'
import type { CallOptions, Clock, Fence, NodeConnector, Random } from '../../src/domain/ports.ts'
import type { Reply } from '../../src/domain/values.ts'
import type { NodeId } from '../../src/domain/words.ts'

/** Stand-ins for situations that embedded nodes cannot be brought into on demand. */

export const NODE: NodeId = '10.0.0.1:9312'

/** A command as it is stored; what a test is about is given. */
export function commandOf(given: Partial<Command> = {}): Command {
  return {
    id: 1,
    node: NODE,
    query: 'CREATE TABLE users (title text)',
    rollbackQuery: 'DROP TABLE IF EXISTS users',
    waitFor: [],
    rollbackWaitFor: [],
    operationGroup: 'create-users-1',
    tries: 0,
    status: 'created',
    createdAt: 0,
    updatedAt: 0,
    duration: 0,
    outcome: '',
    lastError: '',
    phase: 'before_pivot',
    savepoint: 0,
    copyBytes: 0,
    onExisting: 'fail',
    existedBefore: false,
    epoch: 1,
    ...given,
  }
}

export function operationOf(given: Partial<Operation> = {}): Operation {
  return {
    id: 1,
    group: 'create-users-1',
    type: 'create',
    table: 'users',
    state: 'queued',
    hasPivot: false,
    epoch: 1,
    requestedBy: 'test',
    error: '',
    createdAt: 0,
    updatedAt: 0,
    endedAt: 0,
    deadlineAt: 60_000,
    keepFinished: false,
    keepTo: 0,
    holdUntil: 0,
    request: '',
    refusal: '',
    summary: 'makes users',
    ...given,
  }
}

export const EMPTY_REPLY: Reply = { columns: [], rows: [], total: 0, warning: '' }

export function nodeError(code: NodeErrorCode, node: NodeId = NODE): NodeError {
  return new NodeError(code, { node, sql: 'SELECT 1', message: `${node}: ${code}` })
}

/** What a node does with the next statement; the last one is for all that follow. */
export type Answer = 'ok' | NodeErrorCode

/** Answers statements with effect from a script and keeps what was sent. */
export class ScriptedConnector implements NodeConnector {
  readonly sent: { readonly node: NodeId; readonly sql: string; readonly options?: CallOptions }[] = []
  readonly #answers: Answer[]

  constructor(...answers: readonly Answer[]) {
    this.#answers = [...answers]
  }

  connection(node: NodeId) {
    return {
      node,
      read: async () => await this.#answer(node),
      execute: async (sql: string, options?: CallOptions) => {
        this.sent.push(options === undefined ? { node, sql } : { node, sql, options })
        return await this.#answer(node)
      },
      close: async () => await Promise.resolve(),
    }
  }

  async close(): Promise<void> {
    await Promise.resolve()
  }

  async #answer(node: NodeId): Promise<Reply> {
    const answer = (this.#answers.length > 1 ? this.#answers.shift() : this.#answers[0]) ?? 'ok'
    if (answer !== 'ok') throw nodeError(answer, node)
    return await Promise.resolve(EMPTY_REPLY)
  }
}

/** Every sleep is over at once, and time has passed. */
export class JumpingClock implements Clock {
  readonly slept: number[] = []
  #nowMs: number

  constructor(nowMs = 0) {
    this.#nowMs = nowMs
  }

  now(): number {
    return this.#nowMs
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    await Promise.resolve()
    signal?.throwIfAborted()
    this.slept.push(ms)
    this.#nowMs += ms
  }
}

/** Always the same chance. */
export function fixedRandom(value = 0.5): Random {
  return { next: () => value }
}

/** A lease that lasts until the signal says otherwise. */
export function fenceOf(epoch: number, lost: AbortSignal = new AbortController().signal): Fence {
  return { epoch, lost, assertHeld: () => lost.throwIfAborted() }
}
