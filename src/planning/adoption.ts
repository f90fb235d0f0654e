import type { ColumnDefinition, CreateTable } from '../domain/statement.ts'
import { shardOfId } from '../sql/index.ts'
import { isBuddySet, type NodeId, parseShardTableName, shardTableName } from '../domain/words.ts'
import type { BuddyPlacement, ObservedPlacement, ObservedReplicaSet, ObservedState } from './observed.ts'
import { compareText } from './replica-sets.ts'

/** What is needed beyond {@link ObservedState} to adopt tables that Manticore Buddy made. */
export interface ObservedAdoption extends ObservedState {
  /** Tables that Buddy keeps a record of, under `table:<name>` in `system.sharding_state`. */
  readonly recorded: readonly string[]
  /** What each node has under a table's name; null: something that cannot be read as a table. */
  readonly definitions: ReadonlyMap<string, ReadonlyMap<NodeId, CreateTable | null>>
  /** Columns of each table. */
  readonly columns: ReadonlyMap<string, readonly ColumnDefinition[]>
  /** A few ids of each shard of tables that are not `type='shard'`, by the shard's name. */
  readonly sampledIds: ReadonlyMap<string, readonly string[]>
  /** Commands in the queue that Buddy has not finished. */
  readonly unfinishedCommands: number
}

export type AdoptionProblemKind =
  | 'missing_node'
  | 'unfinished_commands'
  | 'unknown_node'
  | 'missing_shard'
  | 'no_definition'
  | 'plain_table'
  | 'unreplicated_copies'
  | 'split_shard'
  | 'set_not_primary'
  | 'misrouted_rows'
  | 'under_replicated'
  | 'mixed_rf'
  | 'stray_copy'
  | 'incomplete_definition'
  | 'old_type'
  | 'orphaned_cluster'

/** Something that is not as it should be. */
export interface AdoptionProblem {
  readonly kind: AdoptionProblemKind
  /** The table it is about, or `''`. */
  readonly table: string
  /** Whether the table (or, when it is about none, everything) cannot be adopted before it is solved. */
  readonly blocking: boolean
  /** One sentence for people. */
  readonly text: string
}

/** A table that Manticore Buddy made, as it was found. */
export interface FoundTable {
  readonly table: string
  readonly shards: number
  /** Copies of the shard that has most. */
  readonly rf: number
  /** Names of its replica sets, sorted. */
  readonly replicaSets: readonly string[]
  readonly adoptable: boolean
  /** What our placement of it is going to be, without row ids. */
  readonly placements: readonly Omit<ObservedPlacement, 'id'>[]
  /** Buddy's rows of it, which go. */
  readonly replaced: readonly BuddyPlacement[]
  /** Nodes whose sharded table has to be made or replaced. */
  readonly switches: readonly NodeId[]
}

export interface AdoptionFindings {
  /** Sorted by name. */
  readonly tables: readonly FoundTable[]
  readonly problems: readonly AdoptionProblem[]
}

/** One shard as the nodes hold it. */
interface FoundShard {
  readonly shard: number
  /** The replica set, or `''`. */
  readonly replicaSet: string
  readonly holders: readonly NodeId[]
}

/**
 * What Manticore Buddy has left, from what the nodes hold; its own rows serve only to know which tables there should
 * be, and how many copies.
 */
export function findAdoptable(observed: ObservedAdoption): AdoptionFindings {
  const problems: AdoptionProblem[] = [...clusterProblems(observed)]
  const tables = candidates(observed).map((table) => {
    const found = new TableFinder(observed, table).find()
    problems.push(...found.problems)
    return found.table
  })
  return { tables, problems }
}

/** Tables of which there are traces: Buddy's rows and records, and shards in sets that Buddy made. */
function candidates(observed: ObservedAdoption): string[] {
  const ours = new Set(observed.placements.map(({ table }) => table))
  const inSets = observed.replicaSets
    .filter(({ name }) => isBuddySet(name))
    .flatMap(({ tables }) => tables.flatMap((name) => parseShardTableName(name)?.table ?? []))
  // Records outlive their tables.
  const there = new Set([...observed.tables.values()].flatMap((names) => [...names].map(tableOfName)))
  const recorded = observed.recorded.filter((table) => there.has(table))
  const traces = [...recorded, ...inSets].filter((table) => !ours.has(table))
  const rows = (observed.buddyPlacements ?? []).map(({ table }) => table)
  return [...new Set([...rows, ...traces])].toSorted(compareText)
}

function tableOfName(name: string): string {
  return parseShardTableName(name)?.table ?? name
}

function clusterProblems(observed: ObservedAdoption): AdoptionProblem[] {
  const problems: AdoptionProblem[] = []
  const add = (kind: AdoptionProblemKind, blocking: boolean, text: string) =>
    problems.push({ kind, table: '', blocking, text })
  for (const node of observed.missingNodes) {
    add('missing_node', true, `${node} does not answer: what it holds is not known`)
  }
  if (observed.unfinishedCommands > 0) {
    const text = `Buddy's queue has ${observed.unfinishedCommands} unfinished commands, which will not be run; make sure that Buddy does not go on with them`
    add('unfinished_commands', false, text)
  }
  const known = new Set([...observed.nodes, ...observed.missingNodes])
  const strange = new Set(
    (observed.buddyPlacements ?? []).map(({ node }) => node).filter((n) => !known.has(n)),
  )
  for (const node of strange) {
    add(
      'unknown_node',
      false,
      `Buddy placed copies on ${node || 'an unnamed node'}, which is no node of this cluster`,
    )
  }
  for (const { name, members, tables } of observed.replicaSets) {
    if (!isBuddySet(name) || tables.length > 0) continue
    const text = `replication cluster ${name} on ${members.join(', ')} holds no table; DELETE CLUSTER ${name} ends it`
    add('orphaned_cluster', false, text)
  }
  return problems
}

/** Finds out about one table. */
class TableFinder {
  readonly #observed: ObservedAdoption
  readonly #table: string
  readonly #rows: readonly BuddyPlacement[]
  readonly #definitions: ReadonlyMap<NodeId, CreateTable | null>
  readonly #problems: AdoptionProblem[] = []

  constructor(observed: ObservedAdoption, table: string) {
    this.#observed = observed
    this.#table = table
    this.#rows = (observed.buddyPlacements ?? []).filter((row) => row.table === table)
    this.#definitions = observed.definitions.get(table) ?? new Map<NodeId, CreateTable | null>()
  }

  find(): { readonly table: FoundTable; readonly problems: readonly AdoptionProblem[] } {
    const table = this.#table
    // Adopted before, and Buddy has written rows again: ours hold.
    const isOurs = this.#observed.placements.some((row) => row.table === table)
    const shards = isOurs ? [] : this.#shards()
    const switches = isOurs ? [] : this.#checkDefinitions(shards)
    const rf = Math.max(0, ...shards.map(({ holders }) => holders.length))
    this.#checkCopies(shards, rf)
    const blocked = this.#problems.some(({ blocking }) => blocking) || this.#observed.missingNodes.length > 0
    return {
      table: {
        table,
        shards: shards.length,
        rf,
        replicaSets: [...new Set(shards.map(({ replicaSet }) => replicaSet))]
          .filter((name) => name !== '')
          .toSorted(compareText),
        adoptable: !blocked,
        placements: placementsOf(table, shards),
        replaced: this.#rows,
        switches,
      },
      problems: this.#problems,
    }
  }

  /** In the order of their numbers; without those that are nowhere. */
  #shards(): FoundShard[] {
    const numbers = this.#shardNumbers()
    if (numbers.size === 0) {
      this.#add(
        'missing_shard',
        true,
        `Buddy knows table '${this.#table}', and no node holds any of its shards`,
      )
    }
    const count = Math.max(-1, ...numbers) + 1
    return Array.from({ length: count }, (_, shard) => this.#shard(shard)).filter(
      (found) => found !== undefined,
    )
  }

  #shardNumbers(): Set<number> {
    const numbers = new Set(this.#rows.flatMap(({ shards }) => shards))
    for (const definition of this.#definitions.values()) {
      for (const shard of locationsIn(definition, '').keys()) numbers.add(shard)
    }
    for (const tables of this.#observed.tables.values()) {
      for (const name of tables) {
        const parsed = parseShardTableName(name)
        if (parsed?.table === this.#table) numbers.add(parsed.shard)
      }
    }
    return numbers
  }

  #shard(shard: number): FoundShard | undefined {
    const name = shardTableName(this.#table, shard)
    const copies = this.#observed.nodes.filter((node) => this.#observed.tables.get(node)?.has(name) === true)
    if (copies.length === 0) {
      this.#add('missing_shard', true, `no node holds ${name}`)
      return undefined
    }
    const [set, ...others] = this.#observed.replicaSets.filter(({ tables }) => tables.includes(name))
    if (set === undefined) return this.#withoutSet(shard, copies)
    if (others.length > 0) {
      const names = [set, ...others].map((one) => one.name).join(', ')
      this.#add('split_shard', true, `${name} is in several replication clusters: ${names}`)
    }
    if (!set.primary) this.#add('set_not_primary', true, `replica set ${set.name} of ${name} is not primary`)
    this.#checkMembers(set, name, copies)
    return { shard, replicaSet: set.name, holders: copies.filter((node) => set.members.includes(node)) }
  }

  #withoutSet(shard: number, copies: readonly NodeId[]): FoundShard {
    if (copies.length > 1) {
      const text = `${shardTableName(this.#table, shard)} is on ${copies.join(', ')} without a replica set: nothing keeps the copies equal; drop all but the right one`
      this.#add('unreplicated_copies', true, text)
    }
    return { shard, replicaSet: '', holders: copies }
  }

  #checkMembers(set: ObservedReplicaSet, name: string, copies: readonly NodeId[]): void {
    for (const node of copies.filter((copy) => !set.members.includes(copy))) {
      this.#add(
        'stray_copy',
        false,
        `${name} on ${node} is outside of replica set ${set.name} and is left alone`,
      )
    }
  }

  #checkCopies(shards: readonly FoundShard[], rf: number): void {
    for (const { shard, holders } of shards) {
      const wanted = new Set(this.#rows.filter((row) => row.shards.includes(shard)).map(({ node }) => node))
        .size
      if (holders.length >= wanted) continue
      const text = `${shardTableName(this.#table, shard)} is on ${holders.length} nodes and was to be on ${wanted}`
      this.#add('under_replicated', false, text)
    }
    const counts = [...new Set(shards.map(({ holders }) => holders.length))].toSorted((a, b) => a - b)
    if (counts.length < 2) return
    const few = shards.filter(({ holders }) => holders.length < rf).map(({ shard }) => shard)
    const text = `shards of '${this.#table}' have ${counts.join(' or ')} copies; fewer than ${rf}: ${few.join(', ')}`
    this.#add('mixed_rf', false, text)
  }

  /** Returns the nodes whose sharded table is not as it must be. */
  #checkDefinitions(shards: readonly FoundShard[]): NodeId[] {
    const sharded = [...this.#definitions.values()].filter((found) => typeOf(found) !== '')
    if (sharded.length === 0 && shards.length > 0) {
      this.#add('no_definition', true, `no node has a sharded table '${this.#table}' over its shards`)
      return []
    }
    return this.#observed.nodes.filter((node) => shards.length > 0 && this.#isWrong(node, shards))
  }

  #isWrong(node: NodeId, shards: readonly FoundShard[]): boolean {
    const found = this.#definitions.get(node)
    const table = `table '${this.#table}' on ${node}`
    if (found === undefined) {
      this.#add('incomplete_definition', false, `${node} has no table '${this.#table}'; it gets one`)
      return true
    }
    const type = typeOf(found)
    if (type === '') {
      this.#add('plain_table', true, `${table} is no sharded table; rename or drop it`)
      return false
    }
    if (type === 'distributed') {
      this.#add('old_type', false, `${table} is of type 'distributed'; it becomes one of type 'shard'`)
      this.#checkRouting(shards)
      return true
    }
    const locations = locationsIn(found, node)
    const lacking = shards.filter(({ shard }) => !locations.has(shard)).map(({ shard }) => shard)
    if (lacking.length > 0) {
      const text = `${table} lacks shards ${lacking.join(', ')}: rows that it wrote may lie elsewhere; it is replaced`
      this.#add('incomplete_definition', false, text)
      return true
    }
    const wrong = shards.find(({ shard, holders }) =>
      (locations.get(shard) ?? []).some((place) => !holders.includes(place)),
    )
    if (wrong === undefined) return false
    const text = `${table} looks for shard ${wrong.shard} where it is not; it is replaced`
    this.#add('incomplete_definition', false, text)
    return true
  }

  /** Rows that lie where `type='shard'` does not look for them would be written twice. */
  #checkRouting(shards: readonly FoundShard[]): void {
    if (this.#problems.some(({ kind }) => kind === 'misrouted_rows')) return
    for (const { shard } of shards) {
      const name = shardTableName(this.#table, shard)
      const id = this.#observed.sampledIds.get(name)?.find((row) => shardOfId(row, shards.length) !== shard)
      if (id === undefined) continue
      const text = `row ${id} lies in ${name}, and a table of type 'shard' looks for it in shard ${shardOfId(id, shards.length)}; make a new table and copy the rows`
      this.#add('misrouted_rows', true, text)
      return
    }
  }

  #add(kind: AdoptionProblemKind, blocking: boolean, text: string): void {
    this.#problems.push({ kind, table: this.#table, blocking, text })
  }
}

/** `shard`, `distributed`, or `''` for everything else. */
function typeOf(definition: CreateTable | null | undefined): string {
  const type = definition?.options.find(({ name }) => name === 'type')?.value ?? ''
  return type === 'shard' || type === 'distributed' ? type : ''
}

/** Where a sharded table of `node` looks for each of its shards. */
function locationsIn(definition: CreateTable | null, node: NodeId): Map<number, NodeId[]> {
  const locations = new Map<number, NodeId[]>()
  const add = (shardTable: string, place: NodeId) => {
    const shard = parseShardTableName(shardTable)?.shard
    if (shard !== undefined) locations.set(shard, [...(locations.get(shard) ?? []), place])
  }
  for (const { name, value } of typeOf(definition) === '' ? [] : (definition?.options ?? [])) {
    if (name === 'local') add(value, node)
    if (name !== 'agent') continue
    const [mirrors = ''] = value.split('[', 1)
    for (const mirror of mirrors.split('|')) {
      const end = mirror.lastIndexOf(':')
      add(mirror.slice(end + 1), mirror.slice(0, end))
    }
  }
  return locations
}

/** One row for every node and replica set, as a table of ours has them. */
function placementsOf(table: string, shards: readonly FoundShard[]): Omit<ObservedPlacement, 'id'>[] {
  const rows = new Map<string, { node: NodeId; replicaSet: string; shards: number[] }>()
  for (const { shard, replicaSet, holders } of shards) {
    for (const node of holders) {
      const key = `${replicaSet} ${node}`
      const row = rows.get(key) ?? { node, replicaSet, shards: [] }
      row.shards.push(shard)
      rows.set(key, row)
    }
  }
  return [...rows].toSorted(([a], [b]) => compareText(a, b)).map(([, row]) => ({ table, ...row }))
}
