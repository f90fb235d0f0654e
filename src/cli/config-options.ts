import { type Command, InvalidArgumentError, Option } from 'commander'
import type { ConfigFlags } from '../app/config-sources.ts'
import { LOG_FORMATS, LOG_LEVELS } from '../app/config-schema.ts'

/** What commander makes of {@link withConfigOptions}. */
export interface ConfigOptions {
  readonly config?: string
  readonly nodes?: string
  readonly cluster?: string
  readonly logLevel?: string
  readonly logFormat?: string
  readonly set?: readonly SetFlag[]
}

interface SetFlag {
  readonly name: string
  readonly text: string
}

/** Adds the options by which every command that is configured takes its settings. */
export function withConfigOptions(command: Command): Command {
  return command
    .option('--config <file>', 'configuration file; else mshard.config.json, .yaml or .yml, if there is one')
    .option('--nodes <urls>', 'URLs of some of the nodes, with commas between')
    .option('--cluster <name>', 'the replication cluster of all nodes')
    .addOption(new Option('--log-level <level>', 'the least that is logged').choices(LOG_LEVELS))
    .addOption(new Option('--log-format <format>', 'how it is logged').choices(LOG_FORMATS))
    .option('--set <name=value>', 'any other setting, as often as needed', collect)
}

/** What the command line says about settings. */
export function configFlagsOf(options: ConfigOptions): ConfigFlags {
  const short: readonly (readonly [string, string | undefined, string])[] = [
    ['nodes', options.nodes, '--nodes'],
    ['cluster', options.cluster, '--cluster'],
    ['logs.level', options.logLevel, '--log-level'],
    ['logs.format', options.logFormat, '--log-format'],
  ]
  return {
    ...(options.config === undefined ? {} : { file: options.config }),
    values: [
      ...(options.set ?? []).map(({ name, text }) => ({ name, text, flag: '--set' })),
      // What has an option of its own was meant most of all.
      ...short.flatMap(([name, text, flag]) => (text === undefined ? [] : [{ name, text, flag }])),
    ],
  }
}

function collect(argument: string, before: readonly SetFlag[] = []): SetFlag[] {
  const end = argument.indexOf('=')
  if (end < 1) {
    throw new InvalidArgumentError('Expected name=value, e.g. coordination.graceDelayMs=30000.')
  }
  return [...before, { name: argument.slice(0, end).trim(), text: argument.slice(end + 1) }]
}
