import type { IdSource } from '../domain/ports.ts'
import { isBuddySet, type NodeId, type ReplicaSet } from '../domain/words.ts'
import type { ObservedReplicaSet } from './observed.ts'

/**
 * How many replica sets a node takes part in. Each one costs every member about 25 MB of memory, four threads
 * and a cache file; two are enough to spread the load of a lost node over two others.
 */
export const REPLICA_SETS_PER_NODE = 2

/** Beginning of the names of sets that exist only while shards with a single copy move. */
const TEMPORARY_PREFIX = 'mv_'

export function temporarySetName(ids: IdSource): string {
  return `${TEMPORARY_PREFIX}${ids.next().toString(36)}`
}

export function isTemporarySet(name: string): boolean {
  return name.startsWith(TEMPORARY_PREFIX)
}

/**
 * Sets that can take shards with `rf` copies now: complete, connected, and with quorum. Those that Buddy made take no
 * further tables; they go with their last one.
 */
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
        !isTemporarySet(set.name) &&
        !isBuddySet(set.name) &&
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
  const taken = new Map<string, number>()
  const book = (members: readonly NodeId[]) => {
    taken.set(memberKey(members), (taken.get(memberKey(members)) ?? 0) + 1)
    for (const member of members) load.set(member, (load.get(member) ?? 0) + 1)
  }
  for (const set of existing) book(set.members)

  const sets = [...existing]
  const missing: ReplicaSet[] = []
  while (sets.length < wanted || uncovered(load, shards, sets.length)) {
    const members = nextMembers(nodes, rf, load, taken)
    if (members === undefined) break
    book(members)
    const set = { name: input.newName(), members }
    sets.push(set)
    missing.push(set)
  }
  return { sets, missing }
}

/**
 * `2 × nodes ÷ rf` sets give every node two. Also when all nodes are in every set: sets are what moves when the
 * cluster grows, and a single one could never be spread over more nodes.
 */
function wantedSetCount(nodeCount: number, rf: number): number {
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
  taken: ReadonlyMap<string, number>,
): readonly NodeId[] | undefined {
  let best: { members: NodeId[]; taken: number; cost: number } | undefined
  for (const [start] of nodes.entries()) {
    const members = Array.from({ length: rf }, (_, step) => nodes[(start + step) % nodes.length]).filter(
      (node) => node !== undefined,
    )
    // The same members once more only when all other choices are taken as often.
    const times = taken.get(memberKey(members)) ?? 0
    const cost = members.reduce((sum, member) => sum + (load.get(member) ?? 0), 0)
    const better = best === undefined || times < best.taken || (times === best.taken && cost < best.cost)
    if (better) best = { members, taken: times, cost }
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
