import { messageOf, ShardingError } from '../../domain/errors.ts'
import type { Terminal } from '../terminal.ts'
import type { DemoEvent, DemoReport, DemoResult } from './events.ts'

/** One JSON object on one line at the end, and nothing else. */
export class JsonReport implements DemoReport {
  readonly #output: Terminal

  constructor(output: Terminal) {
    this.#output = output
  }

  on(_event: DemoEvent): void {
    // Only the end is told.
  }

  end(result: DemoResult): void {
    const { ok, nodes, created, rows, failed, dropped, rebalanced, failover } = result
    const { table, shards, rf, commands, ms } = created
    const moved = { rebalanced, failover }
    this.#print({ ok, nodes, created: { table, shards, rf, commands, ms }, rows, failed, dropped, ...moved })
  }

  fail(error: unknown): void {
    const known = error instanceof ShardingError ? { code: error.code, next: error.next } : {}
    this.#print({ ok: false, error: { message: messageOf(error), ...known } })
  }

  #print(value: unknown): void {
    this.#output.write(`${JSON.stringify(value)}\n`)
  }
}
