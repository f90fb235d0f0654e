import type { NodeId, Placement } from '../domain/words.ts'

/** Where copies of shards can go together: the members of a replica set, or one node. */
export interface ShardTarget {
  /** Name of the replica set, or `''` for a single node. */
  readonly replicaSet: string
  readonly members: readonly NodeId[]
}

export interface ShardAssignment extends ShardTarget {
  /** Ascending. */
  readonly shards: readonly number[]
}

/**
 * Gives every shard to the target whose members hold the fewest copies for their weight: of this table first, then
 * of all tables. Ties go to the earlier target, so the same input always gives the same assignment.
 *
 * @param weightOf a node of weight 2 takes twice as many copies as one of weight 1
 */
export function assignShards(
  shards: number,
  targets: readonly ShardTarget[],
  placements: readonly Placement[],
  weightOf: (node: NodeId) => number = () => 1,
): ShardAssignment[] {
  const held = copiesPerNode(placements)
  const own = new Map<NodeId, number>()
  const assigned = new Map<ShardTarget, number[]>(targets.map((target) => [target, []]))
  for (let shard = 0; shard < shards; shard++) {
    const target = lightest(
      targets,
      { own, held, weightOf },
      (candidate) => assigned.get(candidate)?.length ?? 0,
    )
    if (target === undefined) break
    assigned.get(target)?.push(shard)
    for (const member of target.members) own.set(member, (own.get(member) ?? 0) + 1)
  }
  return [...assigned]
    .filter(([, numbers]) => numbers.length > 0)
    .map(([target, numbers]) => ({ replicaSet: target.replicaSet, members: target.members, shards: numbers }))
}

export function copiesPerNode(placements: readonly Placement[]): Map<NodeId, number> {
  const copies = new Map<NodeId, number>()
  for (const { node, shards } of placements) copies.set(node, (copies.get(node) ?? 0) + shards.length)
  return copies
}

interface Load {
  readonly own: ReadonlyMap<NodeId, number>
  readonly held: ReadonlyMap<NodeId, number>
  readonly weightOf: (node: NodeId) => number
}

function lightest(
  targets: readonly ShardTarget[],
  { own, held, weightOf }: Load,
  assigned: (target: ShardTarget) => number,
): ShardTarget | undefined {
  let best: { target: ShardTarget; own: number; held: number; assigned: number } | undefined
  for (const target of targets) {
    const ownLoad = total(target.members, own, weightOf)
    const candidate = {
      target,
      own: ownLoad,
      held: total(target.members, held, weightOf) + ownLoad,
      // Two sets of the same members are equally loaded; they share the shards.
      assigned: assigned(target),
    }
    if (best === undefined || isLighter(candidate, best)) best = candidate
  }
  return best?.target
}

interface Weight {
  readonly own: number
  readonly held: number
  readonly assigned: number
}

function isLighter(a: Weight, b: Weight): boolean {
  return (a.own - b.own || a.held - b.held || a.assigned - b.assigned) < 0
}

function total(
  members: readonly NodeId[],
  counts: ReadonlyMap<NodeId, number>,
  weightOf: (node: NodeId) => number,
): number {
  return members.reduce((sum, member) => sum + (counts.get(member) ?? 0) / weightOf(member), 0)
}
