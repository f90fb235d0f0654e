import { errorRule, ShardingError } from '../domain/errors.ts'
import type { Random } from '../domain/ports.ts'

/** First wait after a transient failure, in milliseconds: about one state change of a replication cluster. */
const FIRST_BACKOFF_MS = 50
/** Longest wait of a forward command, in milliseconds: an outage of seconds must not cost minutes. */
export const MAX_BACKOFF_MS = 5_000
/** Longest wait of an undo, in milliseconds: it is retried without end, so it must not hammer a dead node. */
export const MAX_UNDO_BACKOFF_MS = 30_000

/** Exponential with full jitter over its upper half; `attempt` counts from 1. */
export function backoffMs(attempt: number, random: Random, maxMs = MAX_BACKOFF_MS): number {
  const ceiling = Math.min(maxMs, FIRST_BACKOFF_MS * 2 ** Math.min(attempt - 1, 20))
  return Math.round(ceiling * (0.5 + random.next() / 2))
}

/** Whether the failure is known to have changed nothing and may be gone later. */
export function isTransient(error: unknown): boolean {
  return error instanceof ShardingError && errorRule(error.code).retry === 'backoff'
}

/** Whether the statement may have taken effect although no answer came. */
export function isOutcomeUnknown(error: unknown): boolean {
  return error instanceof ShardingError && errorRule(error.code).retry === 'probe'
}
