import type { Command } from '../../domain/command.ts'
import type { NodeId, Placement } from '../../domain/words.ts'
import type { OperationSummary } from '../../library/operation-error.ts'

/** Shards and copies of a table of the demo. */
export interface TableShape {
  readonly table: string
  readonly shards: number
  readonly rf: number
}

/** How much of a catalog was compared, over all nodes. */
export interface Compared {
  readonly tables: number
  readonly memberships: number
}

/** What the demo does, step by step, for whoever shows it. Times are in milliseconds. */
export type DemoEvent =
  | { readonly kind: 'starting'; readonly embedded: boolean }
  | {
      readonly kind: 'nodes'
      readonly nodes: readonly NodeId[]
      readonly cluster: string
      readonly embedded: boolean
      /** The folder of embedded nodes when it is kept. */
      readonly folder: string | null
      readonly ms: number
    }
  | { readonly kind: 'taking_up' }
  | {
      readonly kind: 'taken_up'
      readonly operations: readonly OperationSummary[]
      /** Tables of interrupted demos that were dropped. */
      readonly dropped: readonly string[]
      readonly ms: number
    }
  | { readonly kind: 'creating'; readonly shape: TableShape }
  | {
      readonly kind: 'created'
      readonly shape: TableShape
      readonly commands: number
      readonly placements: readonly Placement[]
      readonly ms: number
    }
  | { readonly kind: 'writing'; readonly nodes: readonly NodeId[]; readonly rows: number }
  | {
      readonly kind: 'written'
      readonly nodes: readonly NodeId[]
      readonly rows: number
      readonly ms: number
    }
  | { readonly kind: 'reading'; readonly node: NodeId; readonly rows: number }
  | {
      readonly kind: 'read'
      readonly node: NodeId
      readonly rows: RowsRead
      readonly ms: number
    }
  | {
      readonly kind: 'failing'
      readonly shape: TableShape
      /** One sentence: what goes wrong on the way. */
      readonly story: string
    }
  /** A command of the table that fails, each time its state changes. */
  | { readonly kind: 'failing_command'; readonly command: Command }
  | {
      readonly kind: 'undone'
      readonly outcome: FailedTable
      readonly skipped: number
      readonly compared: Compared
      readonly ms: number
    }
  | { readonly kind: 'dropping'; readonly table: string }
  | {
      readonly kind: 'dropped'
      readonly table: string
      readonly leftovers: readonly string[]
      /** Replica sets that stay for the next table. */
      readonly replicaSets: readonly string[]
      readonly compared: Compared
      readonly ms: number
    }
  | { readonly kind: 'growing'; readonly table: string }
  | {
      readonly kind: 'grown'
      /** The node that came. */
      readonly node: NodeId
      readonly result: Rebalanced
      /** What clients wrote and read meanwhile. */
      readonly rows: number
      readonly reads: number
      readonly placements: readonly Placement[]
      readonly ms: number
    }
  | { readonly kind: 'losing'; readonly node: NodeId }
  | {
      readonly kind: 'lost'
      readonly node: NodeId
      readonly result: FailedOver
      readonly rows: number
      readonly ms: number
    }
  | { readonly kind: 'returned'; readonly node: NodeId }
  /** `done` of `total` of what the current step does. */
  | { readonly kind: 'progress'; readonly done: number; readonly total: number; readonly unit: string }
  | { readonly kind: 'tidying' }
  /** After an error; `failure` is why something may be left, or `''`. */
  | { readonly kind: 'tidied'; readonly tables: readonly string[]; readonly failure: string }

/** What came back of the rows that were written. */
export interface RowsRead {
  readonly expected: number
  /** By COUNT(*). */
  readonly counted: number
  /** Rows that came back as they had been written, column by column. */
  readonly equal: number
  /** Checksums of what was written and of what came back. */
  readonly digests: { readonly written: string; readonly read: string }
}

/** The table that could not be made. */
export interface FailedTable {
  readonly state: string
  readonly commands: number
  readonly rolledBack: number
  /** Differences to before; empty when everything was put back. */
  readonly leftovers: readonly string[]
}

/** What clients saw while copies moved to a new node. */
export interface Rebalanced {
  readonly moves: number
  /** Acknowledged rows that are missing, doubled or changed, and counts that were wrong. */
  readonly rowsLost: number
  readonly failedRequests: number
  /** Longest time in which one node answered no request. */
  readonly longestGapMs: number
}

/** What became of a dead node's copies. */
export interface FailedOver {
  readonly rowsLost: number
  readonly rfRestored: boolean
}

/** What the demo has shown. `ok` only if all of it held. */
export interface DemoResult {
  readonly ok: boolean
  readonly nodes: number
  readonly created: TableShape & { readonly commands: number; readonly ms: number }
  readonly rows: { readonly written: number; readonly read: number }
  readonly failed: FailedTable
  readonly dropped: { readonly leftovers: readonly string[] }
  /** Null where no node may be added or killed. */
  readonly rebalanced: Rebalanced | null
  readonly failover: FailedOver | null
}

/** Renders what the demo does. */
export interface DemoReport {
  on(event: DemoEvent): void
  /** It came to its end. `ms` is what all of it took. */
  end(result: DemoResult, ms: number): void
  /** It was broken off. */
  fail(error: unknown): void
}
