import { z } from 'zod'
import { ShardingError } from '../domain/errors.ts'
import { OPERATION_TYPES, type OperationType } from '../domain/operation.ts'

/**
 * What somebody wants of the cluster, as a value: it is stored in the journal, and whoever leads makes a plan of it
 * from what is observed then.
 */
export type Goal = z.infer<typeof GOAL>

const NODES = z.array(z.string())

const GOAL = z.discriminatedUnion('kind', [
  /** A new sharded table. `columns` and `options` are SQL as in CREATE TABLE. */
  z.object({
    kind: z.literal('create'),
    table: z.string(),
    columns: z.string(),
    options: z.string(),
    shards: z.int(),
    rf: z.int(),
  }),
  z.object({ kind: z.literal('drop'), table: z.string() }),
  /** Balance with the fewest moves; no tables: of all. */
  z.object({ kind: z.literal('rebalance'), tables: z.array(z.string()).optional() }),
  z.object({ kind: z.literal('drain'), nodes: NODES }),
  /** New copies of what dead nodes held; without `by`, where most room is. */
  z.object({ kind: z.literal('replace'), nodes: NODES, by: z.string().optional() }),
  z.object({ kind: z.literal('reroute') }),
  z.object({ kind: z.literal('clean'), node: z.string() }),
  /** Tables that Manticore Buddy made become ours; those that cannot are left alone. */
  z.object({ kind: z.literal('adopt') }),
  /** Back to where a finished operation moved copies from. */
  z.object({ kind: z.literal('revert'), group: z.string() }),
  /** A plan that somebody has looked at; its commands are in the journal already, as `group`. */
  z.object({
    kind: z.literal('prepared'),
    group: z.string(),
    type: z.enum(OPERATION_TYPES),
    table: z.string(),
    summary: z.string(),
    basis: z.string(),
  }),
  /** Commands that a user added one by one. */
  z.object({ kind: z.literal('custom'), group: z.string() }),
])

/** @throws ShardingError `refused` for what another version of this package has written */
export function goalFromJson(json: string): Goal {
  try {
    return GOAL.parse(JSON.parse(json))
  } catch (error) {
    throw new ShardingError('refused', `this version cannot read what was asked for: ${json.slice(0, 200)}`, {
      cause: error,
    })
  }
}

/** The table that it is about, or `''`. */
export function tableOf(goal: Goal): string {
  if ('table' in goal) return goal.table
  const [table = '', ...others] = goal.kind === 'rebalance' ? (goal.tables ?? []) : []
  return others.length === 0 ? table : ''
}

/** What it is in the history until its plan is made. */
export function typeOf(goal: Goal): OperationType {
  return goal.kind === 'prepared' ? goal.type : goal.kind
}
