import { Command, Option } from 'commander'
import { InputError } from '../../domain/errors.ts'
import type { Terminal } from '../terminal.ts'
import { DEFAULT_CLUSTER, type DemoPlace, openDemoNodes } from './demo-nodes.ts'
import type { DemoReport, DemoResult } from './events.ts'
import { JsonReport } from './report-json.ts'
import { TextReport } from './report-text.ts'
import { runDemo } from './scenario.ts'
import { systemClock } from '../../app/runtime.ts'

/** Something that was promised did not hold. */
const BROKEN_PROMISE_EXIT_CODE = 1

const DESCRIPTION = `Shows on three nodes what sharding does: makes a table, writes and reads 10,000 rows, lets a second table
fail half-way and undoes it, drops the first one, and proves by the catalogs of all nodes that nothing is left.
Without options the nodes run in this process, in a temporary folder. Exits with 0 only if all of it held.`

export interface CommandContext {
  /** Standard output. */
  readonly output: Terminal
  /** Aborted when the command is asked to stop. */
  readonly signal: AbortSignal
  setExitCode(code: number): void
}

interface DemoOptions {
  readonly json?: boolean
  readonly nodes?: string
  readonly cluster?: string
  readonly dataDir?: string
  readonly keep?: boolean
}

/** `mshard demo` */
export function demoCommand(context: CommandContext): Command {
  return new Command('demo')
    .summary('show on three nodes what sharding does, and prove it')
    .description(DESCRIPTION)
    .option('--json', 'print nothing but one JSON object at the end')
    .addOption(
      new Option('--nodes <urls>', 'use nodes that run already: URLs of some of them, with commas between'),
    )
    .option('--cluster <name>', `replication cluster of the nodes (embedded nodes: '${DEFAULT_CLUSTER}')`)
    .addOption(
      new Option(
        '--data-dir <folder>',
        'folder of the embedded nodes; kept, and used again: what an interrupted run left there is taken up',
      ).conflicts('nodes'),
    )
    .addOption(
      new Option('--keep', 'keep the temporary folder of the embedded nodes').conflicts(['nodes', 'dataDir']),
    )
    .action(async (options: DemoOptions) => {
      const report = options.json === true ? new JsonReport(context.output) : new TextReport(context.output)
      try {
        context.setExitCode(await demo(placeOf(options), report, context.signal))
      } catch (error) {
        report.fail(error)
        throw error
      }
    })
}

async function demo(place: DemoPlace, report: DemoReport, signal: AbortSignal): Promise<number> {
  const startedAt = systemClock.now()
  const result = await playOn(place, report, signal)
  report.end(result, systemClock.now() - startedAt)
  return result.ok ? 0 : BROKEN_PROMISE_EXIT_CODE
}

/** The result counts only when the nodes could be closed in good order, too. */
async function playOn(place: DemoPlace, report: DemoReport, signal: AbortSignal): Promise<DemoResult> {
  const startedAt = systemClock.now()
  report.on({ kind: 'starting', embedded: place.kind === 'embedded' })
  const nodes = await openDemoNodes(place)
  try {
    signal.throwIfAborted()
    report.on({
      kind: 'nodes',
      nodes: nodes.nodes,
      cluster: place.cluster,
      embedded: nodes.embedded,
      folder: nodes.folder,
      ms: systemClock.now() - startedAt,
    })
    return await runDemo(nodes, (event) => report.on(event), signal)
  } finally {
    await nodes.close()
  }
}

function placeOf(options: DemoOptions): DemoPlace {
  const { nodes, cluster, dataDir, keep } = options
  if (nodes === undefined) {
    return {
      kind: 'embedded',
      cluster: cluster ?? DEFAULT_CLUSTER,
      dataDir: dataDir ?? null,
      keep: keep === true,
    }
  }
  if (cluster === undefined) {
    throw new InputError(
      'cluster',
      'the nodes were given, but not the cluster they are in: add --cluster <name>',
    )
  }
  const urls = nodes.split(',').map((url) => url.trim())
  return { kind: 'given', cluster, urls: urls.filter((url) => url !== '') }
}
