import { constants } from 'node:os'

type StopSignal = 'SIGINT' | 'SIGTERM'
const STOP_SIGNALS: readonly StopSignal[] = ['SIGINT', 'SIGTERM']
/** What shells report for a process that a signal ended. */
const SIGNAL_EXIT_BASE = 128

/** The command was asked to stop. */
export class Stopped extends Error {
  /** Exit status that tells so. */
  readonly exitCode: number
  constructor(why: string, exitCode: number) {
    super(`stopped by ${why}`)
    this.name = 'Stopped'
    this.exitCode = exitCode
  }
}

/**
 * Listens for SIGINT and SIGTERM: the first one aborts {@link signal}, so that everything ends in good order; the
 * second one ends the process at once.
 */
export class StopSignals implements Disposable {
  readonly #controller = new AbortController()
  readonly #onFirst: (signal: StopSignal) => void

  constructor(onFirst: (signal: StopSignal) => void) {
    this.#onFirst = onFirst
    for (const name of STOP_SIGNALS) process.on(name, this.#onSignal)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  [Symbol.dispose](): void {
    for (const name of STOP_SIGNALS) process.off(name, this.#onSignal)
  }

  readonly #onSignal = (name: StopSignal): void => {
    const exitCode = SIGNAL_EXIT_BASE + constants.signals[name]
    if (this.signal.aborted) process.exit(exitCode)
    this.#controller.abort(new Stopped(name, exitCode))
    this.#onFirst(name)
  }
}
