import { createHash } from 'node:crypto'
import { ShardingError } from '../domain/errors.ts'
import type { Plan } from '../domain/plan.ts'
import type { ObservedState } from '../planning/observed.ts'

/** A plan together with what it was made from: it can be looked at now and run later, if nothing has changed. */
export interface PreparedPlan extends Plan {
  /** Digest of the nodes, tables, replica sets and placements that it was made from. */
  readonly basis: string
}

export function prepared(plan: Plan, observed: ObservedState): PreparedPlan {
  return { ...plan, basis: basisOf(observed) }
}

/** @throws ShardingError `plan_stale` when the cluster is not as it was any more */
export function assertBasis(
  { basis, summary }: Pick<PreparedPlan, 'basis' | 'summary'>,
  observed: ObservedState,
): void {
  if (basis === basisOf(observed)) return
  throw new ShardingError('plan_stale', `the cluster has changed since this plan was made: ${summary}`)
}

function basisOf(observed: ObservedState): string {
  const { nodes, missingNodes, tables, replicaSets, placements } = observed
  const others = (observed.buddyPlacements ?? []).map((row) => ({ ...row, id: String(row.id) }))
  const catalog = [...tables].map(([node, names]) => [node, [...names].toSorted()])
  return createHash('sha256')
    .update(JSON.stringify([nodes, missingNodes, catalog, replicaSets, placements, others]))
    .digest('hex')
}
