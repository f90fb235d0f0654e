import type { Command } from '../../domain/command.ts'
import { unreachable } from '../../domain/errors.ts'
import type { OperationSummary } from '../../library/operation-error.ts'
import type { Style, Terminal } from '../terminal.ts'
import type { Compared, DemoEvent, DemoReport, DemoResult, TableShape } from './events.ts'
import { duration, failureReason, fit, number, plural, shardsByNodes } from './text.ts'

/** Columns of the names of steps. */
const LABEL_COLUMNS = 9
/** Columns of the time that a step took: `123 ms`. */
const TIME_COLUMNS = 6
const INDENT = ' '.repeat(4 + LABEL_COLUMNS + 1 + TIME_COLUMNS + 2)
/** Columns of the state of an undone command: `rolled back`. */
const STATE_COLUMNS = 11
/** What dropping a shard of the demo takes, which is the undo that there are most of. */
const UNDO_COLUMNS = 46
/** A command that has less room than this is left out: what it is undone with tells enough. */
const MIN_COMMAND_COLUMNS = 30
/** Narrower than this, nothing would be readable. */
const MIN_COLUMNS = 80
/** Wider than this, the eye loses the line. */
const MAX_COLUMNS = 150

type Of<Kind extends DemoEvent['kind']> = DemoEvent & { readonly kind: Kind }

/**
 * Tells the demo to people: a line for each step when it is done, and one for each command that is undone, as it
 * happens. On a terminal the last line shows what is going on right now.
 */
export class TextReport implements DemoReport {
  readonly #output: Terminal
  readonly #columns: number
  /** What is going on, on the line that is written over. */
  #current = ''
  #currentShown = false
  #undoShown = false
  #nodeColumns = 0

  constructor(output: Terminal) {
    this.#output = output
    this.#columns = Math.min(Math.max(output.columns, MIN_COLUMNS), MAX_COLUMNS)
  }

  on(event: DemoEvent): void {
    switch (event.kind) {
      case 'starting':
        return this.#starting(event)
      case 'nodes':
        return this.#nodes(event)
      case 'taking_up':
        return this.#now('looking for operations that were left unfinished')
      case 'taken_up':
        return this.#takenUp(event)
      case 'creating':
        return this.#now(`making ${event.shape.table}`)
      case 'created':
        return this.#created(event)
      case 'writing':
        return this.#now(`writing through ${event.nodes.join(' and ')}`)
      case 'written':
        return this.#written(event)
      case 'reading':
        return this.#now(`reading through ${event.node}`)
      case 'read':
        return this.#read(event)
      case 'failing':
        return this.#failing(event)
      case 'failing_command':
        return this.#failingCommand(event.command)
      case 'undone':
        return this.#undone(event)
      case 'dropping':
        return this.#now(`dropping ${event.table}`)
      case 'dropped':
        return this.#dropped(event)
      case 'growing':
        this.#line()
        return this.#now(`clients write ${event.table} and read it, a fourth node comes`)
      case 'grown':
        return this.#grown(event)
      case 'losing':
        return this.#now(`clients go on, ${event.node} is killed`)
      case 'lost':
        return this.#lost(event)
      case 'returned':
        return this.#good('returned', `${event.node} is back, and free of what others have taken over`)
      case 'progress':
        return this.#progress(event)
      case 'tidying':
        return this.#now('putting everything back')
      case 'tidied':
        return this.#tidied(event)
      default:
        return unreachable(event)
    }
  }

  end(result: DemoResult, ms: number): void {
    this.#line()
    if (result.ok) this.#line(this.#style(['bold', 'green'], `All of it held, in ${duration(ms)}.`))
    else this.#line(this.#style(['bold', 'red'], `Not all of it held: see the lines with ✗ above.`))
  }

  fail(_error: unknown): void {
    this.#clearCurrent()
    this.#current = ''
  }

  #starting({ embedded }: Of<'starting'>): void {
    const where = embedded ? 'on nodes inside this process' : 'on nodes that run already'
    this.#line(`${this.#style('bold', 'manticore-sharding demo')} ${this.#style('dim', where)}`)
    this.#line()
    this.#now(embedded ? 'starting three nodes' : 'connecting')
  }

  #nodes({ nodes, cluster, folder, ms }: Of<'nodes'>): void {
    this.#nodeColumns = Math.max(...nodes.map((node) => node.length))
    this.#good('nodes', `${nodes.join('  ')}  in cluster '${cluster}'`, ms)
    if (folder !== null) this.#detail(`kept in ${folder}; --data-dir ${folder} uses them again`)
  }

  #takenUp({ operations, dropped, ms }: Of<'taken_up'>): void {
    this.#now('')
    if (operations.length === 0 && dropped.length === 0) return
    this.#good('taken up', `what earlier runs left unfinished`, ms)
    for (const operation of operations) this.#detail(takenUpText(operation))
    for (const table of dropped) this.#detail(`table ${table} of an interrupted demo: dropped`)
  }

  #created({ shape, commands, placements, ms }: Of<'created'>): void {
    this.#good('table', `${shapeText(shape)} with ${plural(commands, 'command')}`, ms)
    for (const line of shardsByNodes(placements)) this.#detail(line)
  }

  #written({ nodes, rows, ms }: Of<'written'>): void {
    const speed = ms > 0 ? `, ${number(Math.round((rows / ms) * 1_000))} rows/s` : ''
    this.#good('written', `${number(rows)} rows through ${nodes.join(' and ')}${speed}`, ms)
  }

  #read({ node, rows, ms }: Of<'read'>): void {
    const { expected, counted, equal, digests } = rows
    const digest = (hex: string) => hex.slice(0, 12)
    if (counted === expected && equal === expected && digests.read === digests.written) {
      const text = `${number(equal)} rows through ${node}, every one as it was written`
      this.#good('read', `${text} (sha256 ${digest(digests.read)}… on both sides)`, ms)
      return
    }
    this.#bad(
      'read',
      `of ${number(expected)} rows only ${number(equal)} came back as they were through ${node}`,
    )
    this.#detail(
      `COUNT(*) says ${number(counted)}; sha256 ${digest(digests.written)}… written, ${digest(digests.read)}… read`,
    )
  }

  #failing({ shape, story }: Of<'failing'>): void {
    this.#line()
    this.#step('!', 'yellow', 'failure', `${shapeText(shape)}, but ${story}`)
    this.#now(`making ${shape.table}`)
  }

  #failingCommand(command: Command): void {
    const { node, query, rollbackQuery, lastError, status } = command
    switch (status) {
      case 'failed':
        this.#detail(`${this.#style('red', '✗')} ${node}  ${this.#fitDetail(query, node.length + 4)}`)
        return this.#detail(`  ${this.#style('red', failureReason(lastError, node))}`)
      case 'rolling_back':
        return this.#now(`${node}  ${rollbackQuery}`)
      case 'rolled_back':
        return this.#undoLine(command, 'green', 'rolled back')
      case 'rollback_error':
        return this.#undoLine(command, 'yellow', 'tried again')
      case 'created':
      case 'processing':
      case 'processed':
      case 'error':
      case 'skipped':
        return
      default:
        return unreachable(status)
    }
  }

  #undoLine({ node, query, rollbackQuery }: Command, style: Style, state: string): void {
    if (!this.#undoShown) {
      this.#undoShown = true
      this.#line()
      const head = this.#undoCells('node', 'command', 'undone with, the last command first')
      this.#line(this.#style('dim', `${head}state`))
    }
    this.#line(`${this.#undoCells(node, query, rollbackQuery)}${this.#style(style, state)}`)
  }

  /** Everything in a line about an undone command but its state. */
  #undoCells(node: string, command: string, undo: string): string {
    const nodeCell = `    ${node.padEnd(this.#nodeColumns)}  `
    const rest = this.#columns - nodeCell.length - 2 - STATE_COLUMNS
    const commandColumns = Math.min(Math.floor(rest / 2), rest - UNDO_COLUMNS) - 2
    if (commandColumns < MIN_COMMAND_COLUMNS) return `${nodeCell}${fit(undo, rest)}  `
    return `${nodeCell}${fit(command, commandColumns)}  ${fit(undo, rest - commandColumns - 2)}  `
  }

  #undone({ outcome, skipped, compared, ms }: Of<'undone'>): void {
    const { state, commands, rolledBack, leftovers } = outcome
    if (this.#undoShown) this.#line()
    const others = `${commands - rolledBack - skipped} without effect, ${skipped} never begun`
    const counts = `${rolledBack} of ${commands} commands undone, ${others}`
    if (state === 'rolled_back') this.#good('undone', counts, ms)
    else this.#bad('undone', `the operation ended as '${state}': ${counts}`)
    this.#proof(leftovers, compared, 'everything is as it was before')
  }

  #dropped({ table, leftovers, replicaSets, compared, ms }: Of<'dropped'>): void {
    this.#line()
    this.#good('dropped', table, ms)
    this.#proof(leftovers, compared, 'nothing of it is left')
    if (replicaSets.length === 0) return
    const sets = plural(replicaSets.length, 'replica set')
    this.#detail(this.#style('dim', `${sets} stay for the next table: ${replicaSets.join(', ')}`))
  }

  #proof(leftovers: readonly string[], { tables, memberships }: Compared, claim: string): void {
    if (leftovers.length === 0) {
      const what = `${plural(tables, 'table')} and ${plural(memberships, 'cluster membership')} on all nodes compared`
      return this.#good('proof', `${claim}: ${what}`)
    }
    this.#bad('proof', `${plural(leftovers.length, 'difference')} to before:`)
    for (const leftover of leftovers) this.#detail(this.#style('red', leftover))
  }

  #grown({ node, result, rows, reads, placements, ms }: Of<'grown'>): void {
    const { moves, rowsLost, failedRequests, longestGapMs } = result
    this.#good('added', `${node}: ${plural(moves, 'replica set')} moved a copy to it, online`, ms)
    for (const line of shardsByNodes(placements)) this.#detail(line)
    const seen = `${number(rows)} rows written and ${number(reads)} counts read meanwhile`
    const gaps = `${plural(failedRequests, 'request')} failed, longest gap ${duration(longestGapMs)}`
    this.#rowsProof(rowsLost, `${seen}, ${gaps}`)
  }

  #lost({ node, result, rows, ms }: Of<'lost'>): void {
    if (result.rfRestored) this.#good('killed', `${node}: its copies were made anew on the others`, ms)
    else this.#bad('killed', `${node}: not every shard has all its copies again`)
    this.#rowsProof(result.rowsLost, `${number(rows)} rows written meanwhile`)
  }

  #rowsProof(rowsLost: number, seen: string): void {
    if (rowsLost === 0) this.#good('proof', `no row is missing or doubled: ${seen}`)
    else this.#bad('proof', `${plural(rowsLost, 'row')} lost or wrong: ${seen}`)
  }

  #progress({ done, total, unit }: Of<'progress'>): void {
    if (this.#current === '') return
    this.#showCurrent(`${this.#current}: ${number(done)} of ${number(total)} ${unit}`)
  }

  #tidied({ tables, failure }: Of<'tidied'>): void {
    this.#now('')
    if (failure !== '') return this.#bad('tidied', `${tables.join(' and ')} may still be there: ${failure}`)
    const what = tables.length === 0 ? 'there was nothing to remove' : `${tables.join(' and ')} removed`
    this.#good('tidied', what)
  }

  #good(label: string, text: string, ms?: number): void {
    this.#step('✓', 'green', label, text, ms)
  }

  #bad(label: string, text: string): void {
    this.#step('✗', 'red', label, text)
  }

  #step(mark: string, style: Style, label: string, text: string, ms?: number): void {
    const name = this.#style('bold', label.padEnd(LABEL_COLUMNS))
    const time = this.#style('dim', (ms === undefined ? '' : duration(ms)).padStart(TIME_COLUMNS))
    this.#line(`  ${this.#style(style, mark)} ${name} ${time}  ${text}`)
  }

  #detail(text: string): void {
    this.#line(`${INDENT}${text}`)
  }

  /** As much of the text as fits behind `used` columns of a detail. */
  #fitDetail(text: string, used: number): string {
    return fit(text, this.#columns - INDENT.length - used).trimEnd()
  }

  /** A line that stays. What was shown of the current moment makes room for it. */
  #line(text = ''): void {
    this.#clearCurrent()
    this.#output.write(`${text}\n`)
  }

  #now(text: string): void {
    this.#current = text
    this.#showCurrent(text)
  }

  #showCurrent(text: string): void {
    this.#clearCurrent()
    if (!this.#output.live || text === '') return
    this.#currentShown = true
    this.#output.write(this.#style('dim', fit(`  · ${text}`, this.#output.columns - 1).trimEnd()))
  }

  #clearCurrent(): void {
    if (!this.#currentShown) return
    this.#currentShown = false
    this.#output.write('\r\u001B[2K')
  }

  #style(style: Style, text: string): string {
    return this.#output.style(style, text)
  }
}

function shapeText({ table, shards, rf }: TableShape): string {
  return `${table}: ${plural(shards, 'shard')} × ${rf} copies`
}

function takenUpText({ type, table, state, commands, rolledBack }: OperationSummary): string {
  const what = table === '' ? type : `${type} of ${table}`
  const how = state === 'rolled_back' ? `rolled back, ${rolledBack} of ${commands} commands undone` : state
  return `${what}: ${how}`
}
