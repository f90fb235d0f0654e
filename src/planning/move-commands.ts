import type { IdSource } from '../domain/ports.ts'
import type { ColumnDefinition, CreateTable, Statement } from '../domain/statement.ts'
import { markersOf, markerTableName, type NodeId, shardTableName } from '../domain/words.ts'
import { renderStatement } from '../sql/index.ts'
import type { Move } from './layout.ts'
import type { ObservedPlacement } from './observed.ts'
import type { PlanBuilder } from './plan-builder.ts'
import { compareText, temporarySetName } from './replica-sets.ts'
import {
  alterReplicaSet,
  createMarkerTable,
  createReplicaSet,
  createShardedTable,
  createTable,
  deletePlacements,
  dropTable,
  insertPlacements,
  joinReplicaSet,
  replaceShardedTable,
} from './statements.ts'
import { ends, idsOf, placementsAfter, shardNames, type Transfer, verifyTables } from './transfers.ts'
import { locationsOf, type ObservedTopology, servingLocations, type ShardUnit } from './topology.ts'

/**
 * Characters that all switches of one operation may have in the journal, definition and rollback together. A
 * table of 3,000 shards on 100 nodes takes about 40 million for one switch of all nodes.
 */
const MAX_SWITCH_CHARACTERS = 64_000_000

/** A part of an operation: what came to its new place and has to be freed at the old one. */
export interface MoveCommands {
  readonly transfers: readonly Transfer[]
  /** Key of the last command before the pivot. */
  readonly last: string
}

/** Writes the commands of moves into a plan. */
export class MoveWriter {
  readonly #builder: PlanBuilder
  readonly #topology: ObservedTopology
  readonly #units: ReadonlyMap<string, ShardUnit>
  readonly #ids: IdSource
  readonly #columns: ReadonlyMap<string, readonly ColumnDefinition[]>
  /** As they are when all commands so far have run. */
  #placements: readonly ObservedPlacement[]
  readonly #definitions: Map<string, Map<NodeId, CreateTable>>
  readonly #holders: Map<string, readonly NodeId[]>
  readonly #joins = new Map<string, string>()
  readonly #tables = new Set<string>()
  /** Switches go one after the other over all tables and nodes: only one node at a time has a gap. */
  #lastSwitch: string | undefined
  /** Counts the calls of {@link bring}. */
  #round = 0
  /** The last command that frees something of a set: its members leave one after the other. */
  readonly #freed = new Map<string, string>()

  constructor(builder: PlanBuilder, topology: ObservedTopology, units: readonly ShardUnit[], ids: IdSource) {
    this.#builder = builder
    this.#topology = topology
    this.#units = new Map(units.map((unit) => [unit.name, unit]))
    this.#ids = ids
    this.#placements = topology.placements
    this.#definitions = new Map(
      [...topology.definitions].map(([table, definitions]) => [table, new Map(definitions)]),
    )
    this.#columns = new Map(
      [...topology.definitions].map(([table, definitions]) => [
        table,
        [...definitions.values()][0]?.columns ?? [],
      ]),
    )
    this.#holders = new Map(units.map(({ name, holders }) => [name, holders]))
  }

  /** Tables whose shards are moved, sorted. */
  tables(): string[] {
    return [...this.#tables].toSorted(compareText)
  }

  /** As few as possible, unless the definitions are so long that the journal would grow without measure. */
  movesPerSavepoint(moves: readonly Move[]): number {
    let characters = 0
    for (const definitions of this.#topology.definitions.values()) {
      for (const definition of definitions.values()) characters += 2 * renderStatement(definition).length
    }
    return Math.max(1, Math.ceil((moves.length * characters) / MAX_SWITCH_CHARACTERS))
  }

  /** New copies, verified, then named by the sharded tables and by the placement. */
  bring(moves: readonly Move[]): MoveCommands {
    this.#round++
    const transfers = this.#transfersOf(moves)
    const verified = transfers.map((transfer) => this.#copy(transfer))
    const before = this.#placements
    for (const transfer of transfers)
      this.#placements = placementsAfter(this.#placements, transfer, this.#ids)
    const touched = new Set(transfers.flatMap(({ shards }) => shards.map(({ table }) => table)))
    const switched = [...touched].toSorted(compareText).flatMap((table) => {
      this.#tables.add(table)
      return this.#switch(table, verified)
    })
    const last = this.#recordPlacements(
      before,
      transfers,
      switched.length > 0 ? switched.slice(-1) : verified,
    )
    return { transfers, last }
  }

  /** Nodes that lack a table get it, although none of its copies moves. */
  complete(tables: readonly string[]): void {
    for (const table of tables.filter((name) => !this.#tables.has(name))) {
      const definitions = this.#definitions.get(table)
      const lacking = this.#topology.nodes.filter((node) => definitions?.has(node) !== true)
      if (lacking.length === 0) continue
      this.#tables.add(table)
      this.#switch(table, [], lacking)
    }
  }

  /** The old copies leave their sets and are dropped. */
  free({ transfers, last }: MoveCommands): void {
    for (const transfer of transfers) {
      const before = this.#freed.get(transfer.set)
      const waits = before === undefined ? [last] : [last, before]
      // Where nobody answers nothing can be freed; it is cleaned up if that node ever returns.
      const freed = transfer.fromServes
        ? this.#freeServing(transfer, waits)
        : this.#updateMembers(transfer, waits)
      this.#freed.set(transfer.set, freed)
    }
  }

  #transfersOf(moves: readonly Move[]): Transfer[] {
    const transfers: Transfer[] = []
    const single = new Map<string, { move: Move; bytes: number; shards: ShardUnit['shards'][number][] }>()
    for (const move of moves) {
      const unit = this.#units.get(move.unit)
      if (unit === undefined) continue
      const holders = (this.#holders.get(unit.name) ?? []).map((node) =>
        node === move.from ? move.to : node,
      )
      this.#holders.set(unit.name, holders)
      if (unit.set !== null) {
        const fromServes = this.#topology.nodes.includes(move.from)
        const { name: set, shards, bytes } = unit
        const marker = markerTableName(set, this.#ids.next().toString(36))
        transfers.push({ set, temporary: false, ...ends(move), marker, shards, bytes, holders, fromServes })
        continue
      }
      const key = `${move.from} ${move.to}`
      const bundle = single.get(key) ?? { move, bytes: 0, shards: [] }
      bundle.shards.push(...unit.shards)
      bundle.bytes += unit.bytes
      single.set(key, bundle)
    }
    for (const { move, shards, bytes } of single.values()) {
      const set = temporarySetName(this.#ids)
      const holders = [move.to]
      const marker = markerTableName(set)
      transfers.push({
        set,
        temporary: true,
        ...ends(move),
        marker,
        shards,
        bytes,
        holders,
        fromServes: true,
      })
    }
    return transfers
  }

  /** Returns the key after which the new copies are known to be complete. */
  #copy(transfer: Transfer): string {
    const { set, to, shards } = transfer
    const donors = transfer.temporary ? [transfer.from] : this.#liveHolders(set)
    const [donor] = donors
    const marker = this.#marker(transfer, to)
    const ready = [marker, ...shards.map(({ table, shard }) => this.#emptyShard(table, shard, to, set))]
    if (transfer.temporary) ready.push(this.#temporarySet(transfer))
    const before = this.#joins.get(set)
    if (before !== undefined) ready.push(before)
    const joined = this.#builder.add(`join ${set} on ${to}`, {
      node: to,
      statements: [joinReplicaSet(set, donor ?? transfer.from, transfer.marker)],
      rollback: [{ kind: 'exit_cluster', cluster: set }],
      dependsOn: ready,
      onExisting: 'fail',
      copyBytes: transfer.bytes,
      why: `copies ${shards.length} shards from ${donor ?? transfer.from} while clients go on`,
    })
    this.#joins.set(set, joined)
    return this.#builder.add(`verify ${set} on ${to}`, {
      node: to,
      statements: [verifyTables(shards, [to, ...donors])],
      rollback: [],
      dependsOn: [joined],
      onExisting: 'accept',
      why: 'nothing relies on the new copies before they are known to equal the old ones',
    })
  }

  #liveHolders(set: string): readonly NodeId[] {
    const unit = this.#units.get(set)
    const live = unit?.set?.liveMembers ?? []
    return (unit?.holders ?? []).filter((node) => live.includes(node))
  }

  #marker({ set, marker }: Transfer, node: NodeId): string {
    return this.#builder.add(`marker ${set} on ${node}`, {
      node,
      statements: [createMarkerTable(marker)],
      rollback: [dropTable(marker)],
      onExisting: 'fail',
      why: `its folder is the home of ${set} on this node`,
    })
  }

  #emptyShard(table: string, shard: number, node: NodeId, set: string): string {
    const name = shardTableName(table, shard)
    return this.#builder.add(`shard ${name} on ${node}`, {
      node,
      statements: [createTable(name, this.#columns.get(table) ?? [], [])],
      rollback: [dropTable(name)],
      onExisting: 'fail',
      why: `the place of the copy that ${set} brings`,
    })
  }

  /** Shards with a single copy get a set of two for the time of their move. */
  #temporarySet(transfer: Transfer): string {
    const { set, from, shards } = transfer
    const marker = this.#marker(transfer, from)
    const created = this.#builder.add(`temporary set ${set} on ${from}`, {
      node: from,
      statements: [createReplicaSet(set, transfer.marker)],
      rollback: [{ kind: 'delete_cluster', cluster: set }],
      dependsOn: [marker],
      onExisting: 'fail',
      why: 'while they move, writes to these shards must reach both nodes',
    })
    const names = shardNames(shards)
    return this.#builder.add(`add shards to ${set}`, {
      node: from,
      statements: [alterReplicaSet(set, 'add', names)],
      rollback: [alterReplicaSet(set, 'drop', names)],
      dependsOn: [created],
      onExisting: 'fail',
      why: 'a node that joins the set gets them',
    })
  }

  /** One command a node; returns their keys in order. */
  #switch(table: string, dependsOn: readonly string[], nodes = this.#topology.nodes): string[] {
    const placed = locationsOf(this.#placements).get(table) ?? new Map<number, NodeId[]>()
    const locations = servingLocations(placed, (node) => this.#topology.nodes.includes(node))
    const columns = this.#columns.get(table) ?? []
    const definitions = this.#definitions.get(table) ?? new Map<NodeId, CreateTable>()
    return nodes.map((node) => {
      const definition = createShardedTable(table, columns, locations, node)
      const previous = definitions.get(node)
      definitions.set(node, definition)
      const waits = this.#lastSwitch === undefined ? [] : [this.#lastSwitch]
      this.#lastSwitch = this.#builder.add(`switch ${table} on ${node} (${this.#round})`, {
        node,
        statements: replaceShardedTable(definition),
        rollback: previous === undefined ? [dropTable(table, true)] : replaceShardedTable(previous),
        dependsOn: [...dependsOn, ...waits],
        onExisting: 'accept',
        why: 'from here on this node reads and writes the new copies',
      })
      return this.#lastSwitch
    })
  }

  /** Writes what changed in the placement, all of it on one node. */
  #recordPlacements(
    before: readonly ObservedPlacement[],
    transfers: readonly Transfer[],
    dependsOn: readonly string[],
  ): string {
    const [node] = this.#topology.nodes
    const { cluster } = this.#topology
    const old = new Map(before.map((row) => [row.id, row]))
    const now = new Map(this.#placements.map((row) => [row.id, row]))
    const made = this.#placements.filter(({ id }) => !old.has(id))
    const gone = before.filter(({ id }) => !now.has(id))
    const changed = this.#placements.filter((row) => old.has(row.id) && old.get(row.id) !== row)
    const what = transfers.map(({ set, to }) => `${set} to ${to}`).join(', ')
    const add = (key: string, waits: readonly string[], statement: Statement, rollback: Statement) =>
      this.#builder.add(`${key} of ${what}`, {
        node: node ?? '',
        statements: [statement],
        rollback: [rollback],
        dependsOn: waits,
        onExisting: 'accept',
        why: 'records which shard is on which nodes',
      })
    let last = dependsOn
    if (changed.length > 0) {
      const previous = changed.flatMap(({ id }) => old.get(id) ?? [])
      const put = (rows: readonly ObservedPlacement[]) => insertPlacements('replace', cluster, rows)
      last = [add('placement', last, put(changed), put(previous))]
    }
    if (made.length > 0) {
      const insert = insertPlacements('insert', cluster, made)
      last = [add('new placement', last, insert, deletePlacements(cluster, idsOf(made)))]
    }
    if (gone.length > 0) {
      const back = insertPlacements('replace', cluster, gone)
      last = [add('old placement', last, deletePlacements(cluster, idsOf(gone)), back)]
    }
    const [key] = last
    if (key === undefined) throw new TypeError('a move changes the placement')
    return key
  }

  #freeServing(transfer: Transfer, waits: readonly string[]): string {
    const { set, from, to, temporary, holders, shards } = transfer
    const verified = this.#freeing(`verify ${set} before ${from} leaves`, to, waits, {
      statements: [verifyTables(shards, [from, ...this.#serving(holders)])],
      why: 'a copy goes only when the others are known to hold the same rows',
    })
    const left = this.#freeing(`exit ${set} on ${from}`, from, [verified], {
      statements: [{ kind: 'exit_cluster', cluster: set }],
      why: 'its copies are no longer used',
    })
    const apart = temporary ? this.#deleteTemporarySet(transfer, left) : this.#updateMembers(transfer, [left])
    for (const name of shardNames(shards)) {
      this.#freeing(`drop shard ${name} on ${from}`, from, [apart], {
        statements: [dropTable(name)],
        why: 'frees its disk space',
      })
    }
    const markers = temporary
      ? [transfer.marker]
      : markersOf(set, this.#topology.tables.get(from) ?? new Set())
    for (const marker of markers) {
      this.#freeing(`drop marker ${marker} on ${from}`, from, [left], {
        statements: [dropTable(marker)],
        why: `${set} has no home here any more`,
      })
    }
    return apart
  }

  #deleteTemporarySet({ set, to, shards, marker }: Transfer, left: string): string {
    const out = this.#freeing(`take shards out of ${set}`, to, [left], {
      statements: [alterReplicaSet(set, 'drop', shardNames(shards))],
      why: 'with a single copy they need no set',
    })
    const deleted = this.#freeing(`delete ${set}`, to, [out], {
      statements: [{ kind: 'delete_cluster', cluster: set }],
      why: 'it was needed for the move only',
    })
    return this.#freeing(`drop marker ${marker} on ${to}`, to, [deleted], {
      statements: [dropTable(marker)],
      why: `${set} is gone`,
    })
  }

  #updateMembers({ set, to, from }: Transfer, dependsOn: readonly string[]): string {
    return this.#freeing(`members of ${set} without ${from}`, to, dependsOn, {
      statements: [{ kind: 'alter_cluster', cluster: set, action: 'update_nodes', tables: [] }],
      why: `${from} is no member any more`,
    })
  }

  #freeing(
    key: string,
    node: NodeId,
    dependsOn: readonly string[],
    parts: { readonly statements: readonly Statement[]; readonly why: string },
  ): string {
    return this.#builder.add(key, { node, dependsOn, rollback: [], onExisting: 'accept', ...parts })
  }

  #serving(nodes: readonly NodeId[]): NodeId[] {
    return nodes.filter((node) => this.#topology.nodes.includes(node))
  }
}
