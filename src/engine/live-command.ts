import { type Command, type CommandEvent, commandTransition } from '../domain/command.ts'
import type { Statement, StatementKind } from '../domain/statement.ts'
import { parseScript } from '../sql/index.ts'
import type { JournalWriter } from './journal-writer.ts'
import { isReplaced } from './probe.ts'

/** What is known beyond the state when a command changes. */
export interface CommandPatch {
  readonly outcome?: Command['outcome']
  readonly lastError?: string
  /** Milliseconds. */
  readonly duration?: number
  /** The failure behind it, for those who are told; the journal has its text. */
  readonly cause?: unknown
}

/** A command while its operation runs: every change of it goes through the journal first. */
export class LiveCommand {
  readonly statements: readonly Statement[]
  readonly rollbackStatements: readonly Statement[]
  readonly #writer: JournalWriter
  readonly #onChange: (command: Command, cause: unknown) => void
  #command: Command
  /** An answer was lost, or a process died while it was in flight: look before sending it again. */
  #inDoubt: boolean
  #causeOfDoubt: unknown = new Error('its coordinator was interrupted')

  constructor(command: Command, writer: JournalWriter, onChange: (command: Command, cause: unknown) => void) {
    this.#command = command
    this.#writer = writer
    this.#onChange = onChange
    this.statements = parseScript(command.query, { dialect: 'extended' })
    this.rollbackStatements = command.rollbackQuery === '' ? [] : parseScript(command.rollbackQuery)
    this.#inDoubt = command.status === 'processing'
  }

  get command(): Command {
    return this.#command
  }

  get inDoubt(): boolean {
    return this.#inDoubt
  }

  get causeOfDoubt(): unknown {
    return this.#causeOfDoubt
  }

  doubt(cause: unknown): void {
    this.#inDoubt = true
    this.#causeOfDoubt = cause
  }

  doubtSettled(): void {
    this.#inDoubt = false
  }

  /**
   * Whether what is found on the node may be the effect of an earlier try. Of a first try that the daemon
   * refused it cannot be.
   */
  get mayBeOurs(): boolean {
    return !this.#command.existedBefore && (this.#inDoubt || this.#command.tries > 1)
  }

  /** Whether it makes its node take in copies that take as long as they are large. */
  get copies(): boolean {
    return this.#command.savepoint > 0 && this.statements.some(({ kind }) => kind === 'join_cluster')
  }

  /** It puts one definition of a table in the place of another, so it can be sent again at any time. */
  get replaces(): boolean {
    return this.statements.some((statement, index) => isReplaced(statement, this.statements[index + 1]))
  }

  /** When the daemon refuses it, nothing of it has happened. */
  get isAtomic(): boolean {
    return this.statements.length === 1 && !this.heavy
  }

  /** Nodes work off such statements one at a time, and each may take seconds. */
  get heavy(): boolean {
    return this.statements.some(({ kind }) => HEAVY_KINDS.has(kind))
  }

  /**
   * Writes the change to the journal; when this resolves, it stands there.
   *
   * @throws ShardingError `illegal_transition`, or `leadership_lost` when it is not ours any more
   */
  async change(event: CommandEvent, patch: CommandPatch = {}): Promise<void> {
    const from = this.#command.status
    const next: Command = {
      ...this.#command,
      status: commandTransition(from, event),
      tries: event === 'start' ? this.#command.tries + 1 : this.#command.tries,
      outcome: patch.outcome ?? this.#command.outcome,
      lastError: patch.lastError ?? this.#command.lastError,
      duration: patch.duration ?? this.#command.duration,
    }
    const { id, status: to, tries, outcome, lastError, duration } = next
    await this.#writer.write({ id, from, to, tries, outcome, lastError, duration })
    this.#command = next
    this.#onChange(next, patch.cause)
  }
}

const HEAVY_KINDS: ReadonlySet<StatementKind> = new Set<StatementKind>([
  'create_cluster',
  'join_cluster',
  'delete_cluster',
  'exit_cluster',
  'alter_cluster',
])
