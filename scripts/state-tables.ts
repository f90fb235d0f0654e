import { readFileSync, writeFileSync } from 'node:fs'
import { COMMAND_TRANSITIONS } from '../src/domain/command.ts'
import { OPERATION_TRANSITIONS } from '../src/domain/operation.ts'

/** `node scripts/state-tables.ts`: writes the state tables of the code into docs/architecture.md. */
const FILE = 'docs/architecture.md'

function markdown(transitions: Readonly<Record<string, Readonly<Record<string, string>>>>): string {
  const rows = Object.entries(transitions).map(([state, events]) => {
    const steps = Object.entries(events).map(([event, to]) => `${event} → \`${to}\``)
    return `| \`${state}\` | ${steps.length > 0 ? steps.join(', ') : 'none: it ends here'} |`
  })
  return ['| state | event → next state |', '|---|---|', ...rows].join('\n')
}

function fill(text: string, marker: string, table: string): string {
  const [start, end] = [`<!-- ${marker} -->`, `<!-- /${marker} -->`]
  const [from, to] = [text.indexOf(start), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${FILE} has no markers ${start} … ${end}`)
  return `${text.slice(0, from + start.length)}\n${table}\n${text.slice(to)}`
}

let text = readFileSync(FILE, 'utf8')
text = fill(text, 'command-states', markdown(COMMAND_TRANSITIONS))
text = fill(text, 'operation-states', markdown(OPERATION_TRANSITIONS))
writeFileSync(FILE, text)
