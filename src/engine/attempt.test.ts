import { describe, expect, it } from 'vitest'
import {
  commandOf,
  EMPTY_REPLY,
  fixedRandom,
  JumpingClock,
  nodeError,
  NODE,
  ScriptedConnector,
  type Answer,
  fenceOf,
} from '../../test/support/engine-doubles.ts'
import type { Command, CommandOutcome, CommandStatus } from '../domain/command.ts'
import { ERROR_RULES, type ErrorCode, type NodeErrorCode, ShardingError } from '../domain/errors.ts'
import type { Statement } from '../domain/statement.ts'
import { ConnectedCatalog } from '../manticore/index.ts'
import { type AttemptContext, attemptForward, type AttemptResult } from './attempt.ts'
import { attemptUndo } from './attempt-undo.ts'
import { Journal, type CommandChange } from './journal.ts'
import { JournalConnection } from './journal-connection.ts'
import { JournalWriter } from './journal-writer.ts'
import { LiveCommand } from './live-command.ts'
import { type Presence, Probe } from './probe.ts'

/** What a look gives; `unknown` is a node that does not answer. */
type Look = Presence | 'unknown'

const LOOKS: readonly Look[] = ['present', 'absent', 'partial', 'different', 'in_progress', 'unknown']
const NODE_ERRORS: readonly NodeErrorCode[] = [
  'unreachable',
  'outcome_unknown',
  'conflict',
  'not_primary',
  'busy',
  'syntax',
  'duplicate',
  'missing',
  'refused',
  'unauthorized',
  'not_manticore',
]
const TRANSIENT = NODE_ERRORS.filter((code) => ERROR_RULES[code].retry === 'backoff')
const FATAL = NODE_ERRORS.filter((code) => ERROR_RULES[code].retry === 'never')

class ScriptedProbe extends Probe {
  looks = 0
  readonly #look: Look

  constructor(look: Look) {
    super(new ConnectedCatalog(new ScriptedConnector()), new ScriptedConnector())
    this.#look = look
  }

  override async lookAll(): Promise<Presence> {
    this.looks++
    if (this.#look === 'unknown') throw nodeError('unreachable')
    return await Promise.resolve(this.#look)
  }
}

class RecordingWriter extends JournalWriter {
  readonly changes: CommandChange[] = []

  constructor() {
    const clock = new JumpingClock()
    const connection = new JournalConnection(new ScriptedConnector(), () => [NODE], clock, fixedRandom())
    super(new Journal(connection, null, clock), fenceOf(1))
  }

  override async write(change: CommandChange): Promise<void> {
    this.changes.push(change)
    await Promise.resolve()
  }
}

interface Situation {
  readonly answers?: readonly Answer[]
  readonly look?: Look
  readonly command?: Partial<Command>
  readonly isOver?: boolean
  readonly isGone?: boolean
  readonly guardRefuses?: ErrorCode
}

interface Seen {
  readonly result: AttemptResult
  readonly command: Command
  readonly sent: readonly string[]
  readonly looks: number
  readonly live: LiveCommand
}

function prepared(situation: Situation) {
  const connector = new ScriptedConnector(...(situation.answers ?? ['ok']))
  const probe = new ScriptedProbe(situation.look ?? 'absent')
  const clock = new JumpingClock(1_000)
  const live = new LiveCommand(
    commandOf({ status: 'processing', tries: 1, ...situation.command }),
    new RecordingWriter(),
    () => undefined,
  )
  const context: AttemptContext = {
    connector,
    probe,
    clock,
    deadlineAt: situation.isOver === true ? 1_000 : 1_001,
    signal: new AbortController().signal,
    hurry: new AbortController().signal,
    operationType: 'create',
    isGone: async () => await Promise.resolve(situation.isGone ?? false),
    isAnyGone: async () => await Promise.resolve(situation.isGone ?? false),
    isLeftTo: () => false,
    membersOf: async () => await Promise.resolve([]),
    otherNode: async () => await Promise.resolve(undefined),
    guard: {
      before: async () => {
        if (situation.guardRefuses !== undefined) {
          throw new ShardingError(situation.guardRefuses, 'the guard refuses')
        }
        return await Promise.resolve(false)
      },
    },
  }
  const seen = (result: AttemptResult): Seen => ({
    result,
    command: live.command,
    sent: connector.sent.map(({ sql }) => sql),
    looks: probe.looks,
    live,
  })
  return { live, context, seen }
}

/** A first or later try of a command that no doubt hangs over. */
async function tryForward(situation: Situation): Promise<Seen> {
  const { live, context, seen } = prepared(situation)
  // One that is stored as `processing` is in doubt: a process died while it was in flight.
  live.doubtSettled()
  const result = await attemptForward(live, context)
  if (result.kind === 'settled') await result.recorded
  return seen(result)
}

/** The same after its coordinator was interrupted. */
async function tryInDoubt(situation: Situation): Promise<Seen> {
  const { live, context, seen } = prepared(situation)
  return seen(await attemptForward(live, context))
}

async function tryUndo(situation: Situation, attempt = 1): Promise<Seen> {
  const { live, context, seen } = prepared({
    ...situation,
    command: { status: 'rolling_back', ...situation.command },
  })
  return seen(await attemptUndo(live, context, attempt))
}

interface Row {
  readonly when: string
  readonly situation: Situation
  readonly kind: AttemptResult['kind']
  readonly status: CommandStatus
  readonly outcome: CommandOutcome
}

const first = { tries: 1 }
const second = { tries: 2 }
const accept = { onExisting: 'accept' } as const
const behindPivot = { phase: 'after_pivot', rollbackQuery: '' } as const

/** One answer of the daemon, and what is made of it. */
const FORWARD: readonly Row[] = [
  {
    when: 'the daemon accepts it',
    situation: {},
    kind: 'settled',
    status: 'processed',
    outcome: 'applied',
  },
  ...TRANSIENT.map(
    (code): Row => ({
      when: `${code} before the deadline: it is tried again`,
      situation: { answers: [code] },
      kind: 'again',
      status: 'error',
      outcome: '',
    }),
  ),
  ...TRANSIENT.map(
    (code): Row => ({
      when: `${code} at the deadline: it fails, and nothing happened`,
      situation: { answers: [code], isOver: true },
      kind: 'failed',
      status: 'failed',
      outcome: 'no effect',
    }),
  ),
  ...TRANSIENT.map(
    (code): Row => ({
      when: `${code} behind the pivot, long after the deadline: it is tried again`,
      situation: { answers: [code], isOver: true, command: behindPivot },
      kind: 'again',
      status: 'error',
      outcome: '',
    }),
  ),
  ...FATAL.map(
    (code): Row => ({
      when: `${code} and nothing is there: it fails at once`,
      situation: { answers: [code] },
      kind: 'failed',
      status: 'failed',
      outcome: 'no effect',
    }),
  ),
  {
    when: 'refused, and somebody else has made it: it fails and will not be undone',
    situation: { answers: ['duplicate'], look: 'present', command: first },
    kind: 'failed',
    status: 'failed',
    outcome: 'no effect',
  },
  {
    when: 'refused, and it may be there before: taken as done and never undone',
    situation: { answers: ['duplicate'], look: 'present', command: { ...first, ...accept } },
    kind: 'settled',
    status: 'processed',
    outcome: 'already there',
  },
  {
    when: 'refused at the second try, for it is there: the first one did it',
    situation: { answers: ['duplicate'], look: 'present', command: second },
    kind: 'settled',
    status: 'processed',
    outcome: 'applied',
  },
  {
    when: 'refused at the second try, but it was there when the command was stored',
    situation: {
      answers: ['duplicate'],
      look: 'present',
      command: { ...second, ...accept, existedBefore: true },
    },
    kind: 'settled',
    status: 'processed',
    outcome: 'already there',
  },
  {
    when: 'refused at the second try, it was there before, and that is not accepted',
    situation: { answers: ['duplicate'], look: 'present', command: { ...second, existedBefore: true } },
    kind: 'failed',
    status: 'failed',
    outcome: 'no effect',
  },
  {
    when: 'refused, and another definition stands there',
    situation: { answers: ['duplicate'], look: 'different', command: { ...second, ...accept } },
    kind: 'failed',
    status: 'failed',
    outcome: 'no effect',
  },
  ...(['partial', 'in_progress', 'unknown'] as const).map(
    (look): Row => ({
      when: `a JOIN is refused, and a look says ${look}: it fails, and its undo has to look again`,
      situation: { answers: ['refused'], look, command: { query: "JOIN CLUSTER rs AT '10.0.0.2:9312'" } },
      kind: 'failed',
      status: 'failed',
      outcome: '',
    }),
  ),
  {
    when: 'a CREATE TABLE is refused, and then the node is silent: whatever is there is not ours to drop',
    situation: { answers: ['duplicate'], look: 'unknown' },
    kind: 'failed',
    status: 'failed',
    outcome: 'no effect',
  },
  {
    when: 'a CREATE TABLE is refused at its second try, and then the node is silent: its undo has to look',
    situation: { answers: ['duplicate'], look: 'unknown', command: second },
    kind: 'failed',
    status: 'failed',
    outcome: '',
  },
  {
    when: 'one of several statements is refused, and then the node is silent: its undo has to look',
    situation: {
      answers: ['ok', 'refused'],
      look: 'unknown',
      command: { query: 'CREATE TABLE a (n int); CREATE TABLE b (n int)' },
    },
    kind: 'failed',
    status: 'failed',
    outcome: '',
  },
  ...LOOKS.filter((look) => look !== 'present').map(
    (look): Row => ({
      when: `refused behind the pivot, and a look says ${look}: it is tried again`,
      situation: { answers: ['refused'], look, isOver: true, command: behindPivot },
      kind: 'again',
      status: 'error',
      outcome: '',
    }),
  ),
  {
    when: 'refused behind the pivot, for it is gone already',
    situation: { answers: ['missing'], look: 'present', command: behindPivot },
    kind: 'settled',
    status: 'processed',
    outcome: 'already there',
  },
  {
    when: 'no answer, and it is there: it was us',
    situation: { answers: ['outcome_unknown'], look: 'present' },
    kind: 'settled',
    status: 'processed',
    outcome: 'applied',
  },
  {
    when: 'no answer, it is there, and was there before',
    situation: {
      answers: ['outcome_unknown'],
      look: 'present',
      command: { ...accept, existedBefore: true },
    },
    kind: 'settled',
    status: 'processed',
    outcome: 'already there',
  },
  {
    when: 'no answer, and nothing is there: it is sent again later',
    situation: { answers: ['outcome_unknown'], look: 'absent' },
    kind: 'again',
    status: 'error',
    outcome: '',
  },
  {
    when: 'no answer, and another definition stands there',
    situation: { answers: ['outcome_unknown'], look: 'different' },
    kind: 'failed',
    status: 'failed',
    outcome: 'no effect',
  },
  ...(['partial', 'in_progress', 'unknown'] as const).flatMap((look): Row[] => [
    {
      when: `no answer, and a look says ${look}: it is not sent again, only looked at again`,
      situation: { answers: ['outcome_unknown'], look },
      kind: 'again',
      status: 'processing',
      outcome: '',
    },
    {
      when: `no answer, and at the deadline a look says ${look}: it fails, and its undo has to look again`,
      situation: { answers: ['outcome_unknown'], look, isOver: true },
      kind: 'failed',
      status: 'failed',
      outcome: '',
    },
    {
      when: `no answer behind the pivot, and long after the deadline a look says ${look}: looked at again`,
      situation: { answers: ['outcome_unknown'], look, isOver: true, command: behindPivot },
      kind: 'again',
      status: 'processing',
      outcome: '',
    },
  ]),
  {
    when: 'unreachable, and the cluster goes on without the node: it fails at once',
    situation: { answers: ['unreachable'], isGone: true },
    kind: 'failed',
    status: 'failed',
    outcome: '',
  },
  {
    when: 'unreachable behind the pivot, and the cluster goes on without the node: left to its return',
    situation: { answers: ['unreachable'], isGone: true, command: behindPivot },
    kind: 'settled',
    status: 'processed',
    outcome: 'node gone',
  },
  {
    when: 'no answer from a node that is gone then: it fails at once, and its undo has to look',
    situation: { answers: ['outcome_unknown'], look: 'unknown', isGone: true },
    kind: 'failed',
    status: 'failed',
    outcome: '',
  },
  {
    when: 'busy, and a node of the operation is gone: it does not wait for that',
    situation: { answers: ['busy'], isGone: true },
    kind: 'failed',
    status: 'failed',
    outcome: '',
  },
]

describe('one try forward', () => {
  it.each(FORWARD.map((row) => [row.when, row] as const))(
    '%s',
    async (_when, { situation, kind, status, outcome }) => {
      const { result, command } = await tryForward(situation)
      expect({ kind: result.kind, status: command.status, outcome: command.outcome }).toEqual({
        kind,
        status,
        outcome,
      })
    },
  )

  it('keeps the text of what went wrong, and forgets it when it works', async () => {
    const failed = await tryForward({ answers: ['refused'] })
    expect(failed.command.lastError).toBe(`${NODE}: refused`)
    expect(failed.result).toMatchObject({ kind: 'failed', error: { code: 'refused' } })
    const worked = await tryForward({ command: { lastError: 'busy' } })
    expect(worked.command.lastError).toBe('')
  })

  it('sends its statements one by one and stops at the first that fails', async () => {
    const command = { query: 'DROP TABLE IF EXISTS a; CREATE TABLE b (n int); CREATE TABLE c (n int)' }
    const whole = await tryForward({ command })
    expect(whole.sent).toHaveLength(3)
    const broken = await tryForward({ command, answers: ['ok', 'refused'], look: 'partial' })
    expect(broken.sent).toHaveLength(2)
    expect(broken.command).toMatchObject({ status: 'failed', outcome: '' })
  })

  it('a table that is replaced may be gone when time is over: its undo has to look', async () => {
    const command = { query: 'DROP TABLE IF EXISTS users; CREATE TABLE users (n int)' }
    const seen = await tryForward({ command, answers: ['ok', 'busy'], isOver: true })
    expect(seen.command).toMatchObject({ status: 'failed', outcome: '' })
  })

  it('a table that is replaced is sent again when only the old one was dropped', async () => {
    const command = { query: 'DROP TABLE IF EXISTS users; CREATE TABLE users (n int)' }
    const seen = await tryInDoubt({ command, look: 'partial' })
    expect(seen.command).toMatchObject({ status: 'error', outcome: '' })
    expect(seen.live.inDoubt).toBe(false)
  })

  it('statements that copy may take longer than others', async () => {
    const { live, context } = prepared({
      command: { query: "JOIN CLUSTER rs AT '10.0.0.2:9312'; CREATE TABLE b (n int)" },
    })
    live.doubtSettled()
    const connector = new ScriptedConnector('ok')
    await attemptForward(live, { ...context, connector })
    const [join, create] = connector.sent.map(({ options }) => options?.timeoutMs ?? 0)
    expect(join).toBeGreaterThan(create ?? 0)
    expect(create).toBeGreaterThan(0)
  })

  it('what the guard does itself is not sent', async () => {
    const { live, context } = prepared({
      command: { query: "VERIFY TABLES system.a_s0 ON '10.0.0.1:9312', '10.0.0.2:9312'" },
    })
    live.doubtSettled()
    const connector = new ScriptedConnector('ok')
    const guarded: Statement[] = []
    const guard = {
      before: async (_about: unknown, statement: Statement) => {
        guarded.push(statement)
        return await Promise.resolve(true)
      },
    }
    expect(await attemptForward(live, { ...context, connector, guard })).toMatchObject({ kind: 'settled' })
    expect(guarded.map(({ kind }) => kind)).toEqual(['verify_tables'])
    expect(connector.sent).toEqual([])
  })

  it('what the guard forbids is not sent: copies that differ fail it, a copy that is needed waits', async () => {
    const differ = await tryForward({ guardRefuses: 'copies_differ' })
    expect(differ.command).toMatchObject({ status: 'failed', outcome: 'no effect' })
    const needed = await tryForward({ guardRefuses: 'copy_needed', command: behindPivot, isOver: true })
    expect(needed.command).toMatchObject({ status: 'error', outcome: '' })
    const behind = await tryForward({ guardRefuses: 'copies_differ', command: behindPivot, isOver: true })
    expect(behind.command).toMatchObject({ status: 'error', outcome: '' })
    expect([...differ.sent, ...needed.sent, ...behind.sent]).toEqual([])
  })

  it('an error that is none of ours is not taken for an answer', async () => {
    const { live, context } = prepared({})
    live.doubtSettled()
    const guard = { before: async () => await Promise.reject(new RangeError('a defect')) }
    await expect(attemptForward(live, { ...context, guard })).rejects.toThrow(RangeError)
    expect(live.command.status).toBe('processing')
  })
})

describe('a try that a process left in doubt', () => {
  it.each(LOOKS)('is looked at, not sent again: %s', async (look) => {
    const seen = await tryInDoubt({ look })
    expect(seen.sent).toEqual([])
    expect(seen.looks).toBe(1)
  })

  it('is ours when it is there, though the daemon never told us', async () => {
    const seen = await tryInDoubt({ look: 'present' })
    expect(seen.command).toMatchObject({ status: 'processed', outcome: 'applied' })
  })

  it('stays in doubt until a look says something', async () => {
    const { live, context, seen } = prepared({ look: 'unknown' })
    expect(await attemptForward(live, context)).toEqual({ kind: 'again' })
    expect(await attemptForward(live, context)).toEqual({ kind: 'again' })
    const after = await attemptForward(live, { ...context, probe: new ScriptedProbe('absent') })
    expect(after).toEqual({ kind: 'again' })
    expect(seen(after)).toMatchObject({ sent: [], command: { status: 'error' } })
    expect(live.inDoubt).toBe(false)
  })
})

interface Combination {
  readonly code: NodeErrorCode
  readonly look: Look
  readonly tries: number
  readonly onExisting: Command['onExisting']
  readonly existedBefore: boolean
  readonly phase: Command['phase']
  readonly isOver: boolean
  readonly inDoubt: boolean
}

function* combinations(): Generator<Combination> {
  for (const code of NODE_ERRORS)
    for (const look of LOOKS)
      for (const tries of [1, 2])
        for (const onExisting of ['accept', 'fail'] as const)
          for (const existedBefore of [false, true])
            for (const phase of ['before_pivot', 'after_pivot'] as const)
              for (const isOver of [false, true])
                for (const inDoubt of [false, true]) {
                  const combination = { code, look, tries, onExisting, existedBefore, phase, isOver, inDoubt }
                  if (isPlanned(combination)) yield combination
                }
}

/** Behind the pivot plans only take away: nothing of another kind is in the way, and what is gone is fine. */
function isPlanned({ look, onExisting, existedBefore, phase }: Combination): boolean {
  return phase === 'before_pivot' || (look !== 'different' && onExisting === 'accept' && !existedBefore)
}

describe('whatever the daemon says and a look finds', () => {
  it('what is made of it keeps every promise', async () => {
    let checked = 0
    for (const combination of combinations()) {
      const { code, look, tries, onExisting, existedBefore, phase, isOver, inDoubt } = combination
      const situation: Situation = {
        answers: [code],
        look,
        isOver,
        command: { tries, onExisting, existedBefore, phase },
      }
      const seen = await (inDoubt ? tryInDoubt(situation) : tryForward(situation))
      const { status, outcome } = seen.command
      const what = `${JSON.stringify(combination)} → ${status} '${outcome}'`
      const unknown = inDoubt || code === 'outcome_unknown'
      // Behind the pivot there is no way back.
      if (phase === 'after_pivot') expect(status, what).not.toBe('failed')
      // No outage before the deadline becomes a failure.
      if (!unknown && TRANSIENT.includes(code) && !isOver) expect(status, what).toBe('error')
      // Undo takes away what is `applied`: never what was there before us.
      if (existedBefore) expect(outcome, what).not.toBe('applied')
      if (tries === 1 && !unknown) expect(outcome, what).not.toBe('applied')
      // Undo leaves alone what had no effect: so a look must have excluded it, or the daemon at the first try.
      const isExcluded = look === 'absent' || look === 'different' || look === 'present'
      const isRefused = !unknown && (tries === 1 || existedBefore) && look === 'unknown'
      if (outcome === 'no effect' && (unknown || !TRANSIENT.includes(code))) {
        expect(isExcluded || isRefused, what).toBe(true)
      }
      // What may be half there is never taken for done.
      if (look !== 'present') expect(status, what).not.toBe('processed')
      // Sent again only when nothing of it is there.
      if (unknown && status === 'error') expect(look, what).toBe('absent')
      // What is there through somebody else never counts as ours to go on with when that is not accepted.
      if (status === 'processed' && outcome === 'already there' && phase === 'before_pivot') {
        expect(onExisting, what).toBe('accept')
      }
      expect(seen.result.kind === 'failed', what).toBe(status === 'failed')
      expect(seen.result.kind === 'settled', what).toBe(status === 'processed')
      if (inDoubt) expect(seen.sent, what).toEqual([])
      checked++
    }
    const beforePivot = LOOKS.length * 2 ** 2
    const afterPivot = LOOKS.length - 1
    expect(checked).toBe(NODE_ERRORS.length * (beforePivot + afterPivot) * 2 ** 3)
  })
})

describe('one try of an undo', () => {
  it('of what was applied is sent at once', async () => {
    const seen = await tryUndo({ command: { outcome: 'applied' }, look: 'unknown' })
    expect(seen).toMatchObject({ sent: ['DROP TABLE IF EXISTS users'], looks: 0 })
    expect(seen.command.status).toBe('rolled_back')
  })

  it.each([
    { look: 'absent', existedBefore: false, sent: 0, status: 'rollback_error' },
    { look: 'different', existedBefore: false, sent: 0, status: 'rolled_back' },
    { look: 'present', existedBefore: true, sent: 0, status: 'rolled_back' },
    { look: 'present', existedBefore: false, sent: 1, status: 'rolled_back' },
    { look: 'partial', existedBefore: false, sent: 1, status: 'rolled_back' },
    { look: 'in_progress', existedBefore: false, sent: 0, status: 'rollback_error' },
    { look: 'unknown', existedBefore: false, sent: 0, status: 'rollback_error' },
  ] as const)(
    'of what is in doubt: $look, there before: $existedBefore → $sent sent, $status',
    async ({ look, existedBefore, sent, status }) => {
      const seen = await tryUndo({ look, command: { existedBefore } })
      expect(seen.sent).toHaveLength(sent)
      expect(seen.command.status).toBe(status)
    },
  )

  it('of what is in doubt takes it for undone when three looks find nothing: it may still come', async () => {
    for (const attempt of [1, 2]) {
      const waits = await tryUndo({ look: 'absent' }, attempt)
      expect(waits).toMatchObject({ sent: [], command: { status: 'rollback_error' } })
    }
    expect(await tryUndo({ look: 'absent' }, 3)).toMatchObject({
      sent: [],
      command: { status: 'rolled_back' },
    })
  })

  it('of something that stays in progress is sent at last', async () => {
    for (const attempt of [1, 2, 19]) {
      const waits = await tryUndo({ look: 'in_progress' }, attempt)
      expect(waits).toMatchObject({ sent: [], command: { status: 'rollback_error' } })
    }
    const seen = await tryUndo({ look: 'in_progress' }, 20)
    expect(seen).toMatchObject({ command: { status: 'rolled_back' } })
    expect(seen.sent).toHaveLength(1)
  })

  it('never gives up, whatever the daemon says, unless a look says that all is gone', async () => {
    for (const code of NODE_ERRORS) {
      for (const look of LOOKS) {
        const seen = await tryUndo({ answers: [code], look, isOver: true, command: { outcome: 'applied' } })
        const isGone = !TRANSIENT.includes(code) && look === 'absent'
        expect(seen.command.status, `${code} ${look}`).toBe(isGone ? 'rolled_back' : 'rollback_error')
        expect(seen.result.kind, `${code} ${look}`).toBe(isGone ? 'settled' : 'again')
      }
    }
  })

  it('on a node that the cluster goes on without is left to its return', async () => {
    const seen = await tryUndo({ answers: ['unreachable'], isGone: true, command: { outcome: 'applied' } })
    expect(seen.command).toMatchObject({ status: 'rolled_back', outcome: 'node gone' })
  })

  it('sends all statements of the rollback, in order', async () => {
    const rollbackQuery = 'DROP TABLE IF EXISTS users; CREATE TABLE users (n int)'
    const seen = await tryUndo({ command: { outcome: 'applied', rollbackQuery } })
    expect(seen.sent.map((sql) => sql.split(' ')[0])).toEqual(['DROP', 'CREATE'])
  })

  it('of a command without a rollback has nothing to send', async () => {
    const seen = await tryUndo({ command: { outcome: 'applied', rollbackQuery: '' } })
    expect(seen).toMatchObject({ sent: [], command: { status: 'rolled_back' } })
  })
})

it('the doubles answer as nodes do', async () => {
  const connection = new ScriptedConnector('busy', 'ok').connection(NODE)
  await expect(connection.execute('SELECT 1')).rejects.toMatchObject({ code: 'busy', node: NODE })
  expect(await connection.execute('SELECT 1')).toEqual(EMPTY_REPLY)
})
