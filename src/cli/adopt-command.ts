import { Command } from 'commander'
import { connect } from '../app/connect.ts'
import { adoptionText } from '../library/adoption-text.ts'
import type { Adoption } from '../library/cluster.ts'
import type { Terminal } from './terminal.ts'

/** Some tables could not be adopted. */
const NOT_ALL_EXIT_CODE = 1

const DESCRIPTION = `Takes over tables that the sharding of Manticore Buddy has made, so that they are shown, rebalanced and dropped
like all others. Looks at what the nodes hold, and writes placement rows; rows of tables stay where they are.
Exits with 0 when all of them are adopted, or could be; with 1 when some cannot.`

export interface AdoptContext {
  /** Standard output. */
  readonly output: Terminal
  /** Aborted when the command is asked to stop. */
  readonly signal: AbortSignal
  setExitCode(code: number): void
}

interface AdoptOptions {
  readonly nodes: string
  readonly cluster?: string
  readonly dryRun?: boolean
  readonly json?: boolean
}

/** `mshard adopt` */
export function adoptCommand(context: AdoptContext): Command {
  return new Command('adopt')
    .summary('take over tables that Manticore Buddy has sharded')
    .description(DESCRIPTION)
    .requiredOption('--nodes <urls>', 'URLs of some of the nodes, with commas between')
    .option('--cluster <name>', 'replication cluster of the nodes; left out: one standalone node')
    .option('--dry-run', 'say what there is and what would be done, and do nothing of it')
    .option('--json', 'print nothing but one JSON object')
    .action(async (options: AdoptOptions) => {
      const adoption = await adopt(options, context.signal)
      context.output.write(options.json === true ? adoptionJson(adoption) : adoptionText(adoption))
      context.setExitCode(adoption.problems.some(({ blocking }) => blocking) ? NOT_ALL_EXIT_CODE : 0)
    })
}

async function adopt({ nodes, cluster, dryRun }: AdoptOptions, signal: AbortSignal): Promise<Adoption> {
  const urls = nodes.split(',').map((url) => url.trim())
  const { client, cluster: opened } = await connect({
    nodes: urls.filter((url) => url !== ''),
    ...(cluster === undefined ? {} : { cluster }),
  })
  try {
    return await opened.adopt({ dryRun: dryRun === true, signal })
  } finally {
    await client.close()
  }
}

function adoptionJson({ tables, problems, plan, operation }: Adoption): string {
  // Row ids of the daemon are beyond what JSON numbers can hold exactly.
  const exact = (_key: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value)
  return `${JSON.stringify({ tables, problems, plan, operation }, exact, 2)}\n`
}
