import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import { NODE_STATES, type NodeView } from '../coordination/node-watch.ts'
import type { Command } from '../domain/command.ts'
import type { OperationState } from '../domain/operation.ts'
import type { Clock, NodeRequest } from '../domain/ports.ts'
import type { Statement, StatementKind } from '../domain/statement.ts'
import type { Backlog } from '../engine/backlog.ts'
import type { ProgressEvent } from '../engine/events.ts'
import { isReplaced } from '../engine/probe.ts'
import { isShardedDefinition } from '../sql/index.ts'
import { LabelValues } from './label-values.ts'
import { type MetricDefinition, METRICS } from './metric-definitions.ts'

/** Nodes with time series of their own; a cluster has some dozens. */
const MAX_NODES = 256
/** Kinds of clients' statements with time series of their own. */
const MAX_STATEMENT_KINDS = 64
const MAX_STATEMENT_OUTCOMES = 16
/** How long reading the journal may hold up the metrics, in milliseconds. */
const BACKLOG_TIMEOUT_MS = 2_000
const MS_PER_S = 1_000

export interface MetricsParts {
  readonly clock: Clock
  readonly version: string
  /** What the journal holds now; asked for whenever the metrics are. Left out: nothing is told of it. */
  readonly backlog?: (signal: AbortSignal) => Promise<Backlog>
  /** Also tell about this process: memory, processor, event loop. Starts observers that never end. */
  readonly ofProcess?: boolean
}

/** A statement of a client, answered. */
export interface AnsweredStatement {
  readonly kind: string
  readonly outcome: string
  readonly durationMs: number
}

/** Counts what happens, for Prometheus. Several of them do not know of each other. */
export class Metrics {
  readonly #parts: MetricsParts
  readonly #registry = new Registry()
  readonly #leader = this.#gauge(METRICS.leader)
  readonly #epoch = this.#gauge(METRICS.epoch)
  readonly #nodes = this.#gauge(METRICS.nodes)
  readonly #operations = this.#counter(METRICS.operations)
  readonly #openOperations = this.#gauge(METRICS.openOperations)
  readonly #oldestOperation = this.#gauge(METRICS.oldestOperation)
  readonly #openCommands = this.#gauge(METRICS.openCommands)
  readonly #journalUp = this.#gauge(METRICS.backlogUp)
  readonly #commands = this.#counter(METRICS.commands)
  readonly #commandDuration = this.#histogram(METRICS.commandDuration)
  readonly #retries = this.#counter(METRICS.retries)
  readonly #rollbacks = this.#counter(METRICS.rollbacks)
  readonly #rollbackDuration = this.#histogram(METRICS.rollbackDuration)
  readonly #rollingBack = this.#gauge(METRICS.rollingBack)
  readonly #moves = this.#counter(METRICS.moves)
  readonly #movedBytes = this.#counter(METRICS.movedBytes)
  readonly #gaps = this.#histogram(METRICS.gaps)
  readonly #requests = this.#histogram(METRICS.requests)
  readonly #requestFailures = this.#counter(METRICS.requestFailures)
  readonly #statements = this.#counter(METRICS.statements)
  readonly #statementDuration = this.#histogram(METRICS.statementDuration)
  readonly #nodeLabels = new LabelValues(MAX_NODES)
  readonly #kindLabels = new LabelValues(MAX_STATEMENT_KINDS)
  readonly #outcomeLabels = new LabelValues(MAX_STATEMENT_OUTCOMES)
  /** When the undoing of each operation began. */
  readonly #undoing = new Map<string, number>()
  #reading: Promise<void> | undefined

  constructor(parts: MetricsParts) {
    this.#parts = parts
    this.#gauge(METRICS.build).set({ version: parts.version }, 1)
    for (const result of ROLLBACK_RESULTS.values()) this.#rollbacks.inc({ result }, 0)
    if (parts.ofProcess === true) collectDefaultMetrics({ register: this.#registry })
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** Takes note of what now stands in the journal. */
  observe(event: ProgressEvent): void {
    if (event.kind === 'operation') this.#observeOperation(event)
    else this.#observeCommand(event)
  }

  setLeadership({ leads, epoch }: { readonly leads: boolean; readonly epoch: number }): void {
    this.#leader.set(leads ? 1 : 0)
    this.#epoch.set(leads ? epoch : 0)
    if (leads) return
    // Whoever leads now goes on with them.
    this.#undoing.clear()
    this.#rollingBack.set(0)
  }

  /** @param views of all nodes; none: nothing is known of them here */
  setNodes(views: readonly Pick<NodeView, 'state'>[]): void {
    this.#nodes.reset()
    if (views.length === 0) return
    for (const state of NODE_STATES) {
      this.#nodes.set({ state }, views.filter((view) => view.state === state).length)
    }
  }

  observeRequest({ node, kind, outcome, durationMs }: NodeRequest): void {
    const labels = { node: this.#nodeLabels.of(node), kind }
    this.#requests.observe(labels, durationMs / MS_PER_S)
    if (outcome !== 'ok') this.#requestFailures.inc({ ...labels, class: outcome })
  }

  observeStatement({ kind, outcome, durationMs }: AnsweredStatement): void {
    const label = this.#kindLabels.of(kind)
    this.#statements.inc({ kind: label, outcome: this.#outcomeLabels.of(outcome) })
    this.#statementDuration.observe({ kind: label }, durationMs / MS_PER_S)
  }

  /** All of it in the text format of Prometheus. Does not reject when the journal cannot be read. */
  async text(): Promise<string> {
    // Several who ask at once share one look at the journal.
    this.#reading ??= this.#readBacklog().finally(() => (this.#reading = undefined))
    await this.#reading
    return await this.#registry.metrics()
  }

  #observeOperation({ group, type, state }: Extract<ProgressEvent, { kind: 'operation' }>): void {
    this.#operations.inc({ type, state })
    const now = this.#parts.clock.now()
    if (state === 'reverting') this.#undoing.set(group, now)
    const result = ROLLBACK_RESULTS.get(state)
    const startedAt = this.#undoing.get(group)
    // What ends as `finishing` was undone only if it was being undone; `rolled_back` says so itself.
    if (result !== undefined && (startedAt !== undefined || state === 'rolled_back')) {
      this.#undoing.delete(group)
      this.#rollbacks.inc({ result })
      if (startedAt !== undefined) this.#rollbackDuration.observe((now - startedAt) / MS_PER_S)
    }
    this.#rollingBack.set(this.#undoing.size)
  }

  #observeCommand(event: Extract<ProgressEvent, { kind: 'command' }>): void {
    const { command, statements, failure } = event
    const { status } = command
    const kind = kindOf(statements)
    switch (status) {
      case 'processed':
        this.#observeProcessed(command, statements)
        break
      case 'failed':
      case 'skipped':
      case 'rolled_back':
        break
      case 'error':
        return this.#retries.inc({ class: failure === '' ? 'halted' : failure, step: 'command' })
      case 'rollback_error':
        return this.#retries.inc({ class: failure === '' ? 'halted' : failure, step: 'rollback' })
      case 'rolling_back':
        // An undo that another process began goes on here.
        if (!this.#undoing.has(event.group)) this.#undoing.set(event.group, this.#parts.clock.now())
        return this.#rollingBack.set(this.#undoing.size)
      case 'created':
      case 'processing':
        return
    }
    this.#commands.inc({ kind, status, outcome: command.outcome === '' ? 'unknown' : command.outcome })
  }

  #observeProcessed(command: Command, statements: readonly Statement[]): void {
    const { outcome, duration, savepoint, copyBytes } = command
    if (outcome !== 'applied') return
    if (savepoint > 0 && statements.some(({ kind }) => kind === 'join_cluster')) {
      this.#moves.inc()
      this.#movedBytes.inc(copyBytes)
    }
    // What was found to be done after its answer was lost has no duration.
    if (duration === 0) return
    this.#commandDuration.observe({ kind: kindOf(statements) }, duration / MS_PER_S)
    if (replacesShardedTable(statements)) this.#gaps.observe(duration / MS_PER_S)
  }

  async #readBacklog(): Promise<void> {
    const { backlog, clock } = this.#parts
    for (const metric of [this.#openOperations, this.#oldestOperation, this.#openCommands]) metric.reset()
    if (backlog === undefined) return
    try {
      const { commands, operations } = await backlog(AbortSignal.timeout(BACKLOG_TIMEOUT_MS))
      this.#journalUp.set(1)
      for (const [status, count] of commands) this.#openCommands.set({ status }, count)
      for (const [state, { count, oldestAt }] of operations) {
        this.#openOperations.set({ state }, count)
        this.#oldestOperation.set({ state }, Math.max(0, clock.now() - oldestAt) / MS_PER_S)
      }
    } catch {
      // That it cannot be read is what there is to tell.
      this.#journalUp.set(0)
    }
  }

  #counter<L extends string>(definition: MetricDefinition<L>): Counter<L> {
    return new Counter({ ...named(definition), registers: [this.#registry] })
  }

  #gauge<L extends string>(definition: MetricDefinition<L>): Gauge<L> {
    return new Gauge({ ...named(definition), registers: [this.#registry] })
  }

  #histogram<L extends string>(definition: MetricDefinition<L>): Histogram<L> {
    const buckets = [...(definition.buckets ?? [])]
    return new Histogram({ ...named(definition), buckets, registers: [this.#registry] })
  }
}

/** States that end the undoing of an operation. */
const ROLLBACK_RESULTS: ReadonlyMap<OperationState, string> = new Map<OperationState, string>([
  ['rolled_back', 'rolled_back'],
  ['finishing', 'kept'],
])

function named<L extends string>({ name, help, labels }: MetricDefinition<L>) {
  return { name, help, labelNames: [...labels] }
}

/** One word for what a command does. */
function kindOf(statements: readonly Statement[]): StatementKind | 'replace_table' | 'script' {
  const [first, second] = statements
  if (first !== undefined && second === undefined) return first.kind
  return statements.length === 2 && isReplaced(first, second) ? 'replace_table' : 'script'
}

function replacesShardedTable(statements: readonly Statement[]): boolean {
  return statements.some((statement, index) => {
    const next = statements[index + 1]
    return isReplaced(statement, next) && next?.kind === 'create_table' && isShardedDefinition(next)
  })
}
