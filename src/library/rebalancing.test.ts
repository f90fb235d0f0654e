import { describe, expect, it } from 'vitest'
import { commandOf, operationOf } from '../../test/support/engine-doubles.ts'
import type { Command, CommandStatus } from '../domain/command.ts'
import { isEnded, OPERATION_STATES, type Operation } from '../domain/operation.ts'
import { progressOf } from './rebalancing.ts'

const STARTED_AT = 1_000_000

function moveOf(given: Partial<Operation> = {}): Operation {
  return operationOf({
    type: 'rebalance',
    group: 'rebalance-1',
    state: 'running',
    createdAt: STARTED_AT,
    ...given,
  })
}

/** One command a status, in this order. */
function commandsOf(
  statuses: readonly CommandStatus[],
  given: (index: number) => Partial<Command> = () => ({}),
) {
  return statuses.map((status, index) => commandOf({ id: index + 1, status, ...given(index) }))
}

const after = (ms: number) => STARTED_AT + ms

describe('how far a move has come', () => {
  it('says which operation it is, and why it is undone', () => {
    const progress = progressOf(moveOf({ type: 'drain', state: 'stopping', error: 'why' }), [], after(0))
    expect(progress).toMatchObject({
      status: 'stopping',
      operation: 'rebalance-1',
      type: 'drain',
      error: 'why',
    })
  })

  it('counts commands', () => {
    const statuses: CommandStatus[] = [
      'created',
      'processing',
      'processed',
      'processed',
      'error',
      'failed',
      'rolling_back',
      'rollback_error',
      'rolled_back',
      'skipped',
    ]
    expect(progressOf(moveOf(), commandsOf(statuses), after(1)).commands).toEqual({
      total: 10,
      processed: 2,
      running: 2,
      failed: 1,
      rolledBack: 1,
    })
  })

  it.each([
    ['running', ['created', 'created', 'created'], 0],
    ['running', ['processed', 'processing', 'created'], 33],
    ['running', ['processed', 'processed', 'error'], 66],
    ['paused', ['processed', 'processed', 'created', 'created'], 50],
    ['finishing', ['processed', 'processed', 'processed', 'created'], 75],
    ['succeeded', ['processed', 'processed', 'skipped'], 100],
    ['reverting', ['processed', 'rolling_back', 'skipped', 'rolled_back'], 50],
    ['reverting', ['processed', 'processed', 'failed'], 0],
    ['rolled_back', ['rolled_back', 'rolled_back', 'skipped'], 100],
  ] as const)('of one that is %s with %j is %i percent', (state, statuses, percentage) => {
    expect(progressOf(moveOf({ state }), commandsOf(statuses), after(1)).percentage).toBe(percentage)
  })

  it('of the undoing counts what needs no undo', () => {
    const outcomes = ['already there', 'no effect', 'applied', 'applied'] as const
    const commands = commandsOf(['processed', 'failed', 'rolled_back', 'processed'], (index) => ({
      outcome: outcomes[index] ?? '',
    }))
    expect(progressOf(moveOf({ state: 'reverting' }), commands, after(1)).percentage).toBe(75)
  })

  it('comes to its end also when a part of it is undone and the rest finished', () => {
    const part = (index: number) => ({ savepoint: index < 2 ? 1 : 2, copyBytes: 100 })
    const move = (state: Operation['state']) => moveOf({ state, keepTo: 1 })
    const undoing = commandsOf(['processed', 'processed', 'rolling_back', 'rolled_back'], part)
    expect(progressOf(move('reverting'), undoing, after(100)).percentage).toBe(50)
    const undone = commandsOf(['processed', 'processed', 'rolled_back', 'rolled_back'], part)
    expect(progressOf(move('reverting'), undone, after(100))).toMatchObject({
      percentage: 100,
      remainingMs: 0,
    })
    const finishing = [...undone, commandOf({ id: 9, phase: 'after_pivot', savepoint: 1 })]
    expect(progressOf(move('finishing'), finishing, after(100)).percentage).toBe(80)
    const finished = [
      ...undone,
      commandOf({ id: 9, phase: 'after_pivot', savepoint: 1, status: 'processed' }),
    ]
    expect(progressOf(move('finishing'), finished, after(100))).toMatchObject({
      percentage: 100,
      remainingMs: 0,
    })
    expect(progressOf(move('succeeded'), finished, after(100)).percentage).toBe(100)
  })

  it('of nothing to be done is all of it', () => {
    expect(progressOf(moveOf({ state: 'succeeded' }), [], after(1)).percentage).toBe(100)
  })
})

describe('how long a move takes', () => {
  it('is counted from when it was asked for, and stands still when it has ended', () => {
    expect(progressOf(moveOf(), [], after(1_234)).elapsedMs).toBe(1_234)
    const ended = moveOf({ state: 'succeeded', endedAt: after(500) })
    expect(progressOf(ended, [], after(9_999))).toMatchObject({ elapsedMs: 500, remainingMs: 0 })
  })

  it('is never negative, whatever clock the one who asked had', () => {
    const progress = progressOf(moveOf(), commandsOf(['processed', 'created']), after(-5_000))
    expect(progress.elapsedMs).toBe(0)
    expect(progress.remainingMs).toBe(0)
  })

  it('is unknown before anything is done', () => {
    expect(progressOf(moveOf(), commandsOf(['processing', 'created']), after(1_000)).remainingMs).toBeNull()
  })

  it('goes by commands when sizes are unknown', () => {
    const commands = commandsOf(['processed', 'created', 'created', 'created'])
    expect(progressOf(moveOf(), commands, after(1_000)).remainingMs).toBe(3_000)
  })

  it('goes by bytes as much as by commands', () => {
    const bytes = [0, 900, 100, 0]
    const commands = commandsOf(['processed', 'created', 'processed', 'created'], (index) => ({
      copyBytes: bytes[index] ?? 0,
    }))
    const progress = progressOf(moveOf(), commands, after(3_000))
    expect(progress.bytes).toEqual({ total: 1_000, copied: 100 })
    // Half of the commands and a tenth of the bytes: three tenths.
    expect(progress.remainingMs).toBe(7_000)
  })

  it('of the undoing gets shorter to nothing, whatever was copied', () => {
    const size = () => ({ copyBytes: 100 })
    const undoing = (statuses: readonly CommandStatus[]) =>
      progressOf(moveOf({ state: 'reverting' }), commandsOf(statuses, size), after(1_000)).remainingMs
    expect(undoing(['rolled_back', 'processed', 'processed', 'processed'])).toBe(3_000)
    expect(undoing(['rolled_back', 'rolled_back', 'processed', 'processed'])).toBe(1_000)
    expect(undoing(['rolled_back', 'rolled_back', 'rolled_back', 'rolled_back'])).toBe(0)
  })

  it.each(OPERATION_STATES.filter(isEnded))('is over for one that is %s', (state) => {
    const ended = moveOf({ state, endedAt: after(10) })
    expect(progressOf(ended, commandsOf(['created']), after(1_000)).remainingMs).toBe(0)
  })
})

describe('savepoints', () => {
  const savepointsOf = (parts: readonly (readonly [number, CommandStatus, Command['phase']?])[]) =>
    progressOf(
      moveOf(),
      parts.map(([savepoint, status, phase], index) =>
        commandOf({ id: index + 1, savepoint, status, phase: phase ?? 'before_pivot' }),
      ),
      after(1),
    ).savepoint

  it('are none in an operation without parts', () => {
    expect(savepointsOf([])).toEqual({ finished: 0, total: 0 })
    expect(savepointsOf([[0, 'processed']])).toEqual({ finished: 0, total: 0 })
  })

  it('are finished up to the first part in which something is open', () => {
    const first = [1, 'processed'] as const
    expect(savepointsOf([first, [2, 'processed'], [2, 'created'], [3, 'created']])).toEqual({
      finished: 1,
      total: 3,
    })
    expect(savepointsOf([first, [2, 'error'], [3, 'processed']])).toEqual({ finished: 1, total: 3 })
    expect(
      savepointsOf([
        [1, 'processing'],
        [2, 'processed'],
      ]),
    ).toEqual({ finished: 0, total: 2 })
    expect(savepointsOf([first, [2, 'processed']])).toEqual({ finished: 2, total: 2 })
  })

  it('do not wait for what is freed behind the pivot', () => {
    expect(
      savepointsOf([
        [1, 'processed'],
        [1, 'created', 'after_pivot'],
      ]),
    ).toEqual({ finished: 1, total: 1 })
  })

  it('are not finished before what all of them need', () => {
    expect(
      savepointsOf([
        [0, 'processing'],
        [1, 'processed'],
      ]),
    ).toEqual({ finished: 0, total: 1 })
  })
})

describe('what can be asked of a move', () => {
  it.each([
    ['planned', ''],
    ['queued', ''],
    ['running', 'stop pause'],
    ['pause_requested', 'stop resume'],
    ['paused', 'stop resume'],
    ['stopping', ''],
    ['reverting', ''],
    ['finishing', ''],
    ['held', ''],
    ['refused', ''],
    ['rolled_back', ''],
    ['succeeded', ''],
  ] as const)('that is %s: %j', (state, allowed) => {
    const { canStop, canPause, canResume } = progressOf(moveOf({ state }), [], after(1))
    const can = [canStop ? 'stop' : '', canPause ? 'pause' : '', canResume ? 'resume' : '']
    expect(can.filter((word) => word !== '').join(' ')).toBe(allowed)
  })
})
