import { Command, InvalidArgumentError, Option } from 'commander'
import { connect } from '../src/app/connect.ts'
import { HttpNodeConnector, parseNodeUrl } from '../src/manticore/index.ts'
import { benchCreate, type CreateResult, FLOOR_LIMITS } from './create.ts'
import { type BenchNodes, givenNodes, LATENCIES, type Latency, startEmbeddedNodes } from './nodes.ts'
import { renderCreateResults } from './report.ts'
import { Workload } from './workload.ts'

/** As many as the floor ever sends to one node at once. */
const CONNECTIONS_BY_HAND = Math.max(...FLOOR_LIMITS)
const EMBEDDED_NODES = 3

interface CreateFlags {
  readonly shards: readonly number[]
  readonly rounds: number
  readonly caseSeconds: number
  readonly nodes?: readonly string[]
  readonly cluster: string
  readonly latency: Latency
  readonly deleteEmptySets: boolean
  readonly json: boolean
  readonly check: boolean
}

const program = new Command('bench').description('Benchmarks of manticore-sharding.')

program
  .command('create')
  .description('time of creating and dropping sharded tables, over that of their bare statements')
  .option('--shards <list>', 'numbers of shards, separated by commas', positiveIntegers, [4, 60, 300])
  .option('--rounds <n>', 'rounds a case, at most', positiveInteger, 9)
  .option('--case-seconds <n>', 'no new round of a case begins after so many seconds', positiveInteger, 90)
  .option('--nodes <urls>', 'real nodes, separated by commas, instead of embedded ones', listed)
  .option('--cluster <name>', 'the cluster of the real nodes', 'c')
  .addOption(
    new Option('--latency <kind>', 'how long statements take on embedded nodes')
      .choices(LATENCIES)
      .default('measured'),
  )
  .option('--delete-empty-sets', 'first delete replica sets without tables, whoever made them', false)
  .option('--json', 'print the results as JSON', false)
  .option('--check', 'exit with 1 when a goal is missed', false)
  .action(async (flags: CreateFlags) => await runCreate(flags))

await program.parseAsync()

async function runCreate(flags: CreateFlags): Promise<void> {
  const interrupted = new AbortController()
  // What is running is cleaned up first; a second Ctrl-C ends the process as usual.
  process.once('SIGINT', () => interrupted.abort(new Error('interrupted')))
  const nodes =
    flags.nodes === undefined
      ? await startEmbeddedNodes(EMBEDDED_NODES, flags.latency)
      : givenNodes(flags.nodes, flags.cluster)
  try {
    const results = await createOn(nodes, flags, interrupted.signal)
    const { description } = nodes
    process.stdout.write(
      flags.json
        ? `${JSON.stringify({ benchmark: 'create', nodes: description, results }, null, 2)}\n`
        : `${description}\n\n${renderCreateResults(results)}\n`,
    )
    if (flags.check && results.some(({ goalMet }) => !goalMet)) process.exitCode = 1
  } finally {
    await nodes.close()
  }
}

async function createOn(nodes: BenchNodes, flags: CreateFlags, signal: AbortSignal): Promise<CreateResult[]> {
  const { client, cluster } = await connect({ nodes: nodes.urls, cluster: nodes.cluster })
  const [entry] = nodes.urls.map(parseNodeUrl)
  const byHand = new HttpNodeConnector({
    ...(entry === undefined ? {} : { scheme: entry.scheme, auth: entry.auth }),
    connections: CONNECTIONS_BY_HAND,
  })
  try {
    const workload = new Workload(client, cluster, byHand)
    await workload.prepare(flags.deleteEmptySets)
    return await benchCreate(workload, {
      shards: flags.shards,
      rounds: flags.rounds,
      caseBudgetMs: flags.caseSeconds * 1_000,
      signal,
      onProgress: (text) => process.stderr.write(`${text}\n`),
    })
  } finally {
    await byHand.close()
    await client.close()
  }
}

function listed(text: string): string[] {
  return text.split(',').filter((part) => part !== '')
}

function positiveInteger(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('a whole number of at least 1')
  return value
}

function positiveIntegers(text: string): number[] {
  return listed(text).map(positiveInteger)
}
