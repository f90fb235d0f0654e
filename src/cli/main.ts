import { Command } from 'commander'
import { packageVersion } from '../app/package-version.ts'
import { adoptCommand } from './adopt-command.ts'
import { configCommand } from './config-command.ts'
import { demoCommand } from './demo/command.ts'
import { describeError } from './describe-error.ts'
import { serveCommand } from './serve-command.ts'
import { StopSignals } from './stop-signals.ts'
import { terminalOf } from './terminal.ts'

/**
 * Runs `mshard` with the arguments behind its name. Never rejects.
 *
 * @returns the exit status
 */
export async function main(args: readonly string[]): Promise<number> {
  const [output, errors] = [terminalOf(process.stdout), terminalOf(process.stderr)]
  using stop = new StopSignals((name) => {
    errors.write(`\n${name}: stopping in good order; once more to exit at once\n`)
  })
  // A reader that has gone away, as in `mshard … | head`, is no reason to leave work half-done.
  process.stdout.on('error', ignore)
  process.stderr.on('error', ignore)
  let exitCode = 0
  const context = { output, signal: stop.signal, setExitCode: (code: number) => (exitCode = code) }
  const program = new Command('mshard')
    .description('Shards tables over a Manticore Search cluster, moves shards, and undoes whatever fails.')
    .version(await packageVersion())
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('(mshard --help tells what there is)')
    .addCommand(demoCommand(context).exitOverride())
    .addCommand(serveCommand(context).exitOverride())
    .addCommand(adoptCommand(context).exitOverride())
    .addCommand(configCommand(context).exitOverride())
  try {
    await program.parseAsync(args, { from: 'user' })
    return exitCode
  } catch (error) {
    const report = describeError(error)
    for (const line of report.lines) errors.write(`${line}\n`)
    return report.exitCode
  }
}

function ignore(): void {
  // Whoever writes sees that the stream is not writable any more.
}
