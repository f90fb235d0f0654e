import { describe, expect, it } from 'vitest'
import { commandOf, operationOf } from '../../test/support/engine-doubles.ts'
import type { Command } from '../domain/command.ts'
import { OPERATION_STATES, type Operation } from '../domain/operation.ts'
import { OperationError, succeededOrThrow, summarize } from './operation-error.ts'

function endedWith(operation: Partial<Operation>, commands: readonly Partial<Command>[] = []) {
  return {
    operation: operationOf({ createdAt: 1_000, endedAt: 3_500, ...operation }),
    commands: commands.map((given, index) => commandOf({ id: index + 1, ...given })),
  }
}

function errorOf(ended: ReturnType<typeof endedWith>): OperationError {
  try {
    succeededOrThrow(ended)
  } catch (error) {
    if (error instanceof OperationError) return error
    throw error
  }
  throw new Error('it has succeeded')
}

describe('how an operation ended', () => {
  it('is told in numbers', () => {
    const commands: Partial<Command>[] = [
      { status: 'processed', outcome: 'applied' },
      { status: 'processed', outcome: 'already there' },
      { status: 'rolled_back', outcome: 'applied' },
      { status: 'rolled_back' },
      { status: 'skipped' },
      { status: 'failed', outcome: 'no effect' },
    ]
    expect(summarize(endedWith({ state: 'rolled_back', type: 'drop', error: 'why' }, commands))).toEqual({
      group: 'create-users-1',
      type: 'drop',
      table: 'users',
      state: 'rolled_back',
      commands: 6,
      rolledBack: 2,
      skipped: 1,
      alreadyThere: 1,
      durationMs: 2_500,
      error: 'why',
    })
  })

  it.each(OPERATION_STATES)('%s is a success or throws', (state) => {
    const ended = endedWith({ state })
    if (state === 'succeeded' || state === 'held') expect(succeededOrThrow(ended).state).toBe(state)
    else expect(errorOf(ended).summary.state).toBe(state)
  })
})

describe('an operation that failed', () => {
  const why = { state: 'rolled_back', error: 'the disk is full' } as const

  it('says what failed, why, and what became of the rest', () => {
    const error = errorOf(
      endedWith(why, [{ status: 'rolled_back' }, { status: 'failed' }, { status: 'skipped' }]),
    )
    expect(error).toMatchObject({ name: 'OperationError', code: 'operation_failed' })
    expect(error.message).toBe(
      "create of table 'users' failed and was rolled back: the disk is full (1 of its 3 commands were rolled back, 1 had never begun; operation create-users-1)",
    )
  })

  it('of no table in particular is told by its group', () => {
    expect(errorOf(endedWith({ ...why, table: '' })).message).toMatch(/^operation create-users-1 failed/)
  })

  it('names the command that failed, before one that was only in trouble', () => {
    const error = errorOf(
      endedWith(why, [
        { status: 'rolled_back', lastError: 'busy' },
        { status: 'failed', lastError: 'the disk is full', node: 'n2', query: 'CREATE TABLE b' },
      ]),
    )
    expect(error.failed).toEqual({ id: 2, node: 'n2', query: 'CREATE TABLE b', error: 'the disk is full' })
  })

  it('names the one with an error when the failed one was undone', () => {
    const error = errorOf(
      endedWith(why, [{ status: 'rolled_back' }, { status: 'rolled_back', lastError: 'odd' }]),
    )
    expect(error.failed).toMatchObject({ id: 2, error: 'odd' })
  })

  it('on request has no failed command', () => {
    expect(errorOf(endedWith(why, [{ status: 'rolled_back' }, { status: 'skipped' }])).failed).toBeNull()
  })
})
