import { describe, expect, it } from 'vitest'
import { commandOf } from '../../test/support/engine-doubles.ts'
import {
  COMMAND_OUTCOMES,
  COMMAND_STATUSES,
  COMMAND_TRANSITIONS,
  type CommandEvent,
  type CommandStatus,
  commandTransition,
  isUndoSettled,
} from './command.ts'
import {
  isEnded,
  isParked,
  OPERATION_STATES,
  OPERATION_TRANSITIONS,
  type OperationEvent,
  operationTransition,
  REQUESTS,
} from './operation.ts'

const COMMAND_EVENTS: readonly CommandEvent[] = [
  'start',
  'succeed',
  'retry',
  'fail',
  'skip',
  'undo',
  'undo_retry',
  'undone',
]

const OPERATION_EVENTS: readonly OperationEvent[] = [
  'queue',
  'refuse',
  'start',
  'pause',
  'paused',
  'resume',
  'stop',
  'revert',
  'reverted',
  'keep',
  'pivot',
  'hold',
  'release',
  'complete',
]

interface Machine<State extends string, Event extends string> {
  readonly what: string
  readonly table: Record<State, Partial<Record<Event, State>>>
  readonly states: readonly State[]
  readonly events: readonly Event[]
  readonly start: State
  readonly transition: (from: State, event: Event) => State
}

/** All states that can come after a state, itself among them. */
function reachableFrom<State extends string>(
  table: Record<State, Partial<Record<string, State>>>,
  start: State,
): Set<State> {
  const found = new Set([start])
  // A Set that grows while it is walked is walked to its end.
  for (const state of found) {
    for (const to of Object.values<State | undefined>(table[state])) if (to !== undefined) found.add(to)
  }
  return found
}

function holdsItsTable<State extends string, Event extends string>(machine: Machine<State, Event>): void {
  const { what, table, states, events, start, transition } = machine
  describe(`the states of ${what}`, () => {
    for (const state of states) {
      it(`'${state}' lets happen what the table says, and nothing else`, () => {
        for (const event of events) {
          const to = table[state][event]
          if (to !== undefined) {
            expect(transition(state, event)).toBe(to)
            continue
          }
          expect(() => transition(state, event)).toThrow(
            expect.objectContaining({
              code: 'illegal_transition',
              message: `${what} that is '${state}' cannot '${event}'`,
            }),
          )
        }
      })
    }

    it('are all there is in the table, and are all reached', () => {
      expect(Object.keys(table).toSorted()).toEqual(states.toSorted())
      expect([...reachableFrom(table, start)].toSorted()).toEqual(states.toSorted())
    })

    it('are left by every event that there is', () => {
      const used = new Set(states.flatMap((state) => Object.keys(table[state])))
      expect([...used].toSorted()).toEqual(events.toSorted())
    })
  })
}

holdsItsTable({
  what: 'a command',
  table: COMMAND_TRANSITIONS,
  states: COMMAND_STATUSES,
  events: COMMAND_EVENTS,
  start: 'created',
  transition: commandTransition,
})
holdsItsTable({
  what: 'an operation',
  table: OPERATION_TRANSITIONS,
  states: OPERATION_STATES,
  events: OPERATION_EVENTS,
  start: 'planned',
  transition: operationTransition,
})

describe('a command', () => {
  it('can always come to an end, and stays there', () => {
    const ends = COMMAND_STATUSES.filter((status) => Object.keys(COMMAND_TRANSITIONS[status]).length === 0)
    expect(ends).toEqual(['rolled_back', 'skipped'])
    for (const status of COMMAND_STATUSES) {
      const later = reachableFrom(COMMAND_TRANSITIONS, status)
      expect(ends.some((end) => later.has(end))).toBe(true)
    }
  })

  it('that was sent is never skipped, and one that was not is never undone', () => {
    for (const status of COMMAND_STATUSES) {
      if (status === 'created') expect(COMMAND_TRANSITIONS[status].undo).toBeUndefined()
      else expect(COMMAND_TRANSITIONS[status].skip).toBeUndefined()
    }
  })

  it('that begins to be undone is never sent again', () => {
    const later = reachableFrom(COMMAND_TRANSITIONS, 'rolling_back')
    expect([...later].toSorted()).toEqual(['rollback_error', 'rolled_back', 'rolling_back'])
  })

  it('needs its undo exactly when something of it may be there', () => {
    const settled = COMMAND_STATUSES.flatMap((status) =>
      COMMAND_OUTCOMES.filter((outcome) => isUndoSettled(commandOf({ status, outcome }))).map(
        (outcome) => `${status}/${outcome}`,
      ),
    )
    const whatever = (status: CommandStatus) => COMMAND_OUTCOMES.map((outcome) => `${status}/${outcome}`)
    expect(settled.toSorted()).toEqual(
      [
        'processed/already there',
        'processed/no effect',
        'failed/already there',
        'failed/no effect',
        ...whatever('rolled_back'),
        ...whatever('skipped'),
      ].toSorted(),
    )
  })
})

describe('an operation', () => {
  it('can always come to an end', () => {
    for (const state of OPERATION_STATES) {
      expect([...reachableFrom(OPERATION_TRANSITIONS, state)].some(isEnded)).toBe(true)
    }
  })

  it('that has ended does nothing more by itself', () => {
    const requests: readonly string[] = REQUESTS
    const ended = OPERATION_STATES.filter(isEnded)
    expect(ended).toEqual(['refused', 'rolled_back', 'succeeded'])
    for (const state of ended) {
      for (const event of Object.keys(OPERATION_TRANSITIONS[state])) expect(requests).toContain(event)
    }
  })

  it('that is parked goes on only when it is asked to', () => {
    const requests: readonly string[] = REQUESTS
    const parked = OPERATION_STATES.filter(isParked)
    expect(parked).toEqual(['paused', 'held'])
    for (const state of parked) {
      const events = Object.keys(OPERATION_TRANSITIONS[state])
      expect(events.length).toBeGreaterThan(0)
      for (const event of events) expect(requests).toContain(event)
    }
  })

  it('past the pivot can only be completed', () => {
    expect(OPERATION_TRANSITIONS.finishing).toEqual({ complete: 'succeeded' })
  })

  it('that is refused has never done anything', () => {
    expect(OPERATION_TRANSITIONS.refused).toEqual({})
    const before = OPERATION_STATES.filter((state) =>
      Object.values(OPERATION_TRANSITIONS[state]).includes('refused'),
    )
    expect(before).toEqual(['planned'])
  })

  it('that runs, waits to pause or is paused can be stopped and undone alike', () => {
    for (const state of ['running', 'pause_requested', 'paused'] as const) {
      expect(operationTransition(state, 'stop')).toBe('stopping')
      expect(operationTransition(state, 'revert')).toBe('reverting')
    }
    expect(operationTransition('stopping', 'revert')).toBe('reverting')
  })
})
