import { CommanderError } from 'commander'
import { errorRule, ShardingError } from '../domain/errors.ts'
import { Stopped } from './stop-signals.ts'

/** A command line that cannot be understood; as in sysexits.h, and as for other bad input. */
const USAGE_EXIT_CODE = errorRule('invalid_input').exitCode
/** An error that nobody foresaw: a bug. */
const UNEXPECTED_EXIT_CODE = 70

export interface ErrorReport {
  /** For standard error; empty when everything was said already. */
  readonly lines: readonly string[]
  readonly exitCode: number
}

/** What the command line says about an error, and the exit status for it. */
export function describeError(error: unknown): ErrorReport {
  // Commander has written its own message, or the help that was asked for.
  if (error instanceof CommanderError) {
    return { lines: [], exitCode: error.exitCode === 0 ? 0 : USAGE_EXIT_CODE }
  }
  const stopped = stoppedBy(error)
  if (stopped !== undefined) return { lines: [stopped.message], exitCode: stopped.exitCode }
  if (error instanceof ShardingError) {
    return {
      lines: [`error: ${error.message}`, `hint: ${error.next}`],
      exitCode: errorRule(error.code).exitCode,
    }
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { lines: [`error: unexpected: ${text}`], exitCode: UNEXPECTED_EXIT_CODE }
}

/** What was broken off by a stop often says so only as its cause. */
function stoppedBy(error: unknown): Stopped | undefined {
  let current = error
  while (current instanceof Error) {
    if (current instanceof Stopped) return current
    current = current.cause
  }
  return undefined
}
