import type { IdSource } from '../domain/ports.ts'
import { isBuddySet, type NodeId, type ReplicaSet } from '../domain/words.ts'
import type { NodeTraits } from './layout.ts'
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
 * spread over the nodes and run side by side. Where nodes have zones, its members are of distinct ones as far as
 * there are enough, and existing sets that are not are left to the tables that they have.
 */
export function chooseReplicaSets(input: {
  readonly nodes: readonly NodeId[]
  readonly existing: readonly ReplicaSet[]
  readonly shards: number
  readonly rf: number
  readonly newName: () => string
  readonly traitsOf?: (node: NodeId) => NodeTraits
}): ReplicaSetChoice {
  const { nodes, shards, rf, traitsOf = () => NO_TRAITS } = input
  const zoneOf = (node: NodeId) => traitsOf(node).zone
  const enoughZones = zoneCount(nodes, zoneOf) >= rf
  const existing = input.existing.filter(
    ({ members }) => !enoughZones || zoneCollisions(members, zoneOf) === 0,
  )
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
  const relative = (node: NodeId) => (load.get(node) ?? 0) / traitsOf(node).weight
  while (sets.length < wanted || uncovered(load, shards, sets.length)) {
    const candidates = nodes.map((_, start) => membersFrom(nodes, start, rf, relative, zoneOf))
    const members = bestOf(candidates, relative, zoneOf, taken)
    if (members === undefined) break
    book(members)
    const set = { name: input.newName(), members }
    sets.push(set)
    missing.push(set)
  }
  return { sets, missing }
}

const NO_TRAITS: NodeTraits = { zone: null, weight: 1, capacityBytes: null }

type ZoneOf = (node: NodeId) => string | null

function zoneCount(nodes: readonly NodeId[], zoneOf: ZoneOf): number {
  return new Set(nodes.map(zoneOf).filter((zone) => zone !== null)).size
}

/** How many members share their zone with an earlier one. Nodes without a zone share none. */
function zoneCollisions(members: readonly NodeId[], zoneOf: ZoneOf): number {
  const zones = members.map(zoneOf).filter((zone) => zone !== null)
  return zones.length - new Set(zones).size
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

/**
 * The node at `start` and the next ones behind it; one that shares its zone with a member is passed over for one that
 * does not, the least loaded of them.
 */
function membersFrom(
  nodes: readonly NodeId[],
  start: number,
  rf: number,
  load: (node: NodeId) => number,
  zoneOf: ZoneOf,
): NodeId[] {
  const ring = [...nodes.slice(start), ...nodes.slice(0, start)]
  const members: NodeId[] = []
  while (members.length < rf && ring.length > 0) {
    const [next] = ring
    const apart = ring.filter(
      (node) => zoneCollisions([...members, node], zoneOf) === zoneCollisions(members, zoneOf),
    )
    const [lightest] = apart.toSorted((a, b) => load(a) - load(b))
    const member = next !== undefined && apart.includes(next) ? next : (lightest ?? next)
    if (member === undefined) break
    members.push(member)
    ring.splice(ring.indexOf(member), 1)
  }
  return members
}

function bestOf(
  candidates: readonly (readonly NodeId[])[],
  load: (node: NodeId) => number,
  zoneOf: ZoneOf,
  taken: ReadonlyMap<string, number>,
): readonly NodeId[] | undefined {
  let best: { members: readonly NodeId[]; collisions: number; taken: number; cost: number } | undefined
  for (const members of candidates) {
    const candidate = {
      members,
      collisions: zoneCollisions(members, zoneOf),
      // The same members once more only when all other choices are taken as often.
      taken: taken.get(memberKey(members)) ?? 0,
      cost: members.reduce((sum, member) => sum + load(member), 0),
    }
    const better =
      best === undefined ||
      (candidate.collisions - best.collisions || candidate.taken - best.taken || candidate.cost - best.cost) <
        0
    if (better) best = candidate
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
