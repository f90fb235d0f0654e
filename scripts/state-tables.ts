import { readFileSync, writeFileSync } from 'node:fs'
import { COMMAND_TRANSITIONS } from '../src/domain/command.ts'
import { OPERATION_TRANSITIONS } from '../src/domain/operation.ts'

/** `node scripts/state-tables.ts`: writes the state tables of the code into docs/architecture.md. */
const FILE = 'docs/architecture.md'

function markdown(transitions: Readonly<Record<string, Readonly<Record<string, string>>>>): string {
  const rows = Object.entries(transitions).map(([state, events]): [string, string] => {
    const steps = Object.entries(events).map(([event, to]) => `${event} → \`${to}\``)
    return [`\`${state}\``, steps.length > 0 ? steps.join(', ') : 'none: it ends here']
  })
  return aligned([['state', 'event → next state'], ...rows])
}

/** A Markdown table as the formatter writes it: cells padded to the width of their column. */
function aligned(rows: readonly (readonly [string, string])[]): string {
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  const rule = line(widths.map((width) => '-'.repeat(width)))
  return [line(rows[0] ?? []), rule, ...rows.slice(1).map(line)].join('\n')
}

function fill(text: string, marker: string, table: string): string {
  const [start, end] = [`<!-- ${marker} -->`, `<!-- /${marker} -->`]
  const [from, to] = [text.indexOf(start), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${FILE} has no markers ${start} … ${end}`)
  return `${text.slice(0, from + start.length)}\n${table}\n${text.slice(to)}`
}

/** The document with its state tables as the code has them now. */
export function withStateTables(text: string): string {
  const commands = fill(text, 'command-states', markdown(COMMAND_TRANSITIONS))
  return fill(commands, 'operation-states', markdown(OPERATION_TRANSITIONS))
}

if (import.meta.main) writeFileSync(FILE, withStateTables(readFileSync(FILE, 'utf8')))
