import { Command } from 'commander'
import { loadConfig } from '../app/config.ts'
import { openLog } from '../app/logging.ts'
import { serve } from '../app/serve.ts'
import { type ConfigOptions, configFlagsOf, withConfigOptions } from './config-options.ts'

const DESCRIPTION = `Runs the coordinator until it is stopped: it leads when no other one does, runs what is asked for by any client
of the cluster, goes on where a dead one stopped, and moves copies when nodes come, go or die. Any number of them may
run. SIGTERM and SIGINT end it in good order: what is unfinished stays in the journal, and the next one goes on.
Metrics and health are served over HTTP: /metrics, /healthz, /readyz. The log goes to standard output.`

/** `mshard serve` */
export function serveCommand(context: { readonly signal: AbortSignal }): Command {
  return withConfigOptions(new Command('serve'))
    .summary('run the coordinator')
    .description(DESCRIPTION)
    .action(async (options: ConfigOptions) => {
      const { config } = await loadConfig({ flags: configFlagsOf(options) })
      await serve({ config, log: openLog(config.logs, process.stdout), signal: context.signal })
    })
}
