import { Command } from 'commander'
import { loadConfig, type SettingInForce } from '../app/config.ts'
import { type ConfigOptions, configFlagsOf, withConfigOptions } from './config-options.ts'
import type { Terminal } from './terminal.ts'

const DESCRIPTION = `Prints the settings that are in force, and where each of them comes from: a flag, the environment (MSHARD_…),
the configuration file, or the default. The first of these that gives a value wins. Nothing is connected to.`

const HEAD = ['setting', 'value', 'from'] as const
/** Stands for what was left out. */
const NOTHING = '-'

interface ConfigCommandOptions extends ConfigOptions {
  readonly json?: boolean
}

/** `mshard config` */
export function configCommand(context: { readonly output: Terminal }): Command {
  return withConfigOptions(new Command('config'))
    .summary('show the settings in force, and where each comes from')
    .description(DESCRIPTION)
    .option('--json', 'print one JSON object')
    .action(async (options: ConfigCommandOptions) => {
      const { settings } = await loadConfig({ flags: configFlagsOf(options) })
      const lines = options.json === true ? [json(settings)] : table(settings, context.output)
      for (const line of lines) context.output.write(`${line}\n`)
    })
}

function json(settings: readonly SettingInForce[]): string {
  const entries = settings.map(({ setting, shown, origin }) => {
    return [setting.name, { value: shown, from: origin.kind, source: origin.text }]
  })
  return JSON.stringify({ settings: Object.fromEntries(entries) }, null, 2)
}

function table(settings: readonly SettingInForce[], output: Terminal): string[] {
  const rows = settings.map(({ setting, shown, origin }) => [setting.name, textOf(shown), origin.text])
  const widths = HEAD.map((head, column) =>
    Math.max(head.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  const lineOf = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  const lines = settings.map(({ origin }, index) => {
    const line = lineOf(rows[index] ?? [])
    return origin.kind === 'default' ? output.style('dim', line) : line
  })
  return [output.style('bold', lineOf(HEAD)), ...lines]
}

function textOf(shown: unknown): string {
  if (shown === null || (Array.isArray(shown) && shown.length === 0)) return NOTHING
  if (Array.isArray(shown)) return shown.join(',')
  return typeof shown === 'string' ? shown : JSON.stringify(shown)
}
