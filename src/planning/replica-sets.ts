import type { NodeId, ReplicaSet } from '../domain/words.ts'
import type { ObservedReplicaSet } from './observed.ts'

/**
 * How many replica sets a node takes part in. Each one costs every member about 25 MB of memory, four threads
 * and a cache file; two are enough to spread the load of a lost node over two others.
 */
export const REPLICA_SETS_PER_NODE = 2

/** Sets that can take shards with `rf` copies now: complete, connected, and with quorum. */
export function usableReplicaSets(
  sets: readonly ObservedReplicaSet[],
  nodes: readonly NodeId[],
  rf: number,
): ReplicaSet[] {
  const known = new Set(nodes)
  return sets
    .filter(
      (set) =>
        set.primary &&
        set.members.length === rf &&
        set.liveMembers.length === rf &&
        set.members.every((member) => known.has(member)),
    )
    .map(({ name, members }) => ({ name, members }))
    .toSorted((a, b) => compareText(a.name, b.name))
}

export interface ReplicaSetChoice {
  /** The sets that shards go to, existing ones first. */
  readonly sets: readonly ReplicaSet[]
  /** The part of them that has to be made. */
  readonly missing: readonly ReplicaSet[]
}

/**
 * Chooses the sets for `shards` shards with `rf` copies: existing ones are shared, new ones are made until
 * every node takes part in {@link REPLICA_SETS_PER_NODE} of them, as far as there are shards to fill them.
 *
 * A new set is the run of neighbouring nodes whose members take part in the fewest sets so far, so JOINs are
 * spread over the nodes and run side by side.
 */
export function chooseReplicaSets(input: {
  readonly nodes: readonly NodeId[]
  readonly existing: readonly ReplicaSet[]
  readonly shards: number
  readonly rf: number
  readonly newName: () => string
}): ReplicaSetChoice {
  const { nodes, existing, shards, rf } = input
  const wanted = Math.min(shards, wantedSetCount(nodes.length, rf))
  const load = new Map<NodeId, number>(nodes.map((node) => [node, 0]))
  const taken = new Set<string>()
  const book = (members: readonly NodeId[]) => {
    taken.add(memberKey(members))
    for (const member of members) load.set(member, (load.get(member) ?? 0) + 1)
  }
  for (const set of existing) book(set.members)

  const missing: ReplicaSet[] = []
  // An existing set counts once for its members; two sets of the same members add nothing.
  while (taken.size < wanted || uncovered(load, shards, taken.size)) {
    const members = nextMembers(nodes, rf, load, taken)
    if (members === undefined) break
    book(members)
    missing.push({ name: input.newName(), members })
  }
  return { sets: [...existing, ...missing], missing }
}

/** `2 × nodes ÷ rf` sets give every node two; with all nodes in every set, one is enough. */
function wantedSetCount(nodeCount: number, rf: number): number {
  if (rf >= nodeCount) return 1
  return Math.ceil((REPLICA_SETS_PER_NODE * nodeCount) / rf)
}

/** Whether a node takes part in no set although there are shards enough to use one more. */
function uncovered(load: ReadonlyMap<NodeId, number>, shards: number, setCount: number): boolean {
  return setCount < shards && [...load.values()].includes(0)
}

function nextMembers(
  nodes: readonly NodeId[],
  rf: number,
  load: ReadonlyMap<NodeId, number>,
  taken: ReadonlySet<string>,
): readonly NodeId[] | undefined {
  let best: { members: NodeId[]; cost: number } | undefined
  for (const [start] of nodes.entries()) {
    const members = Array.from({ length: rf }, (_, step) => nodes[(start + step) % nodes.length]).filter(
      (node) => node !== undefined,
    )
    if (taken.has(memberKey(members))) continue
    const cost = members.reduce((sum, member) => sum + (load.get(member) ?? 0), 0)
    if (best === undefined || cost < best.cost) best = { members, cost }
  }
  return best?.members
}

function memberKey(members: readonly NodeId[]): string {
  return members.toSorted(compareText).join(' ')
}

/** Order by code unit: the same on every machine, whatever its locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
