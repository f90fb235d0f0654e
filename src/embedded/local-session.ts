import type { StatementResult } from './store.ts'

/** What a node says of itself in SHOW SETTINGS and SHOW META. */
export interface NodeDescription {
  /** `host:port` of the API/HTTP listener. */
  readonly address: string
  /** `host:port`, or null when it speaks no MySQL. */
  readonly mysqlAddress: string | null
  readonly replicationAddress: string
  readonly dataDir: string
  /** Milliseconds; any origin. */
  readonly now: () => number
}

export interface LastQuery {
  readonly rows: number
  /** Rows that match without LIMIT; counted when asked for. */
  readonly found: () => number
  readonly warning: string
  readonly durationMs: number
}

/** What a client's next statement may ask about the ones before. */
export class NodeSession {
  readonly node: NodeDescription | null
  #lastQuery: LastQuery | null = null
  #warning = ''

  constructor(node: NodeDescription | null) {
    this.node = node
  }

  /** The last SELECT, or null before the first. */
  get lastQuery(): LastQuery | null {
    return this.#lastQuery
  }

  /** Of the last statement. */
  get warning(): string {
    return this.#warning
  }

  /** Milliseconds for measuring; 0 when the session knows no clock. */
  now(): number {
    return this.node?.now() ?? 0
  }

  /** Keeps what SHOW META tells about a SELECT. */
  lastResult(result: StatementResult, found = (): number => result.total, durationMs = 0): void {
    this.#warning = result.warning
    this.#lastQuery = { rows: result.rows.length, found, warning: result.warning, durationMs }
  }

  /** Keeps what SHOW WARNINGS tells about any other statement. */
  lastStatement(result: StatementResult): void {
    this.#warning = result.warning
  }
}

export function createNodeSession(node: NodeDescription | null = null): NodeSession {
  return new NodeSession(node)
}
