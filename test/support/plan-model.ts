import { deepEqual, equal, ok } from 'node:assert/strict'
import type { Plan, PlannedCommand } from '../../src/domain/plan.ts'
import type { CreateTable, Literal, Statement } from '../../src/domain/statement.ts'
import { PLACEMENT_TABLE } from '../../src/domain/system-tables.ts'
import { markersOf, type NodeId, parseShardTableName } from '../../src/domain/words.ts'
import type { ObservedPlacement } from '../../src/planning/observed.ts'
import type { ObservedTopology } from '../../src/planning/topology.ts'

/** A cluster as plans change it: names and members only, no rows. */
export class PlanModel {
  readonly cluster = 'c'
  readonly nodes: NodeId[]
  readonly tables = new Map<NodeId, Map<string, CreateTable>>()
  readonly sets = new Map<string, { members: Set<NodeId>; tables: Set<string> }>()
  readonly placements = new Map<number, ObservedPlacement>()
  readonly dead = new Set<NodeId>()

  constructor(nodes: readonly NodeId[]) {
    this.nodes = [...nodes]
    for (const node of nodes) this.tables.set(node, new Map())
  }

  addNode(node: NodeId): void {
    this.nodes.push(node)
    this.tables.set(node, new Map())
  }

  topology(): ObservedTopology {
    const live = this.nodes.filter((node) => !this.dead.has(node)).toSorted()
    const names = new Map(live.map((node) => [node, new Set(this.#of(node).keys())]))
    const sharded = [...new Set([...this.placements.values()].map(({ table }) => table))].toSorted()
    return {
      cluster: this.cluster,
      nodes: live,
      missingNodes: [...this.dead].toSorted(),
      tables: names,
      replicaSets: [...this.sets]
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, set]) => ({
          name,
          members: [...set.members],
          liveMembers: [...set.members].filter((node) => !this.dead.has(node)),
          primary: true,
          tables: [...set.tables].toSorted(),
        })),
      placements: [...this.placements.values()].toSorted((a, b) => a.id - b.id),
      definitions: new Map(
        sharded.map((table) => [
          table,
          new Map(
            live.flatMap((node) => {
              const definition = this.#of(node).get(table)
              return definition === undefined ? [] : [[node, definition] as const]
            }),
          ),
        ]),
      ),
      traits: new Map(),
      drained: new Set(),
      sizes: new Map(),
      busySets: new Map(),
    }
  }

  /** Runs all commands in the order of the plan, with `check` after each. */
  run(plan: Plan, check: (command: PlannedCommand) => void = () => undefined): void {
    const done = new Set<string>()
    for (const command of plan.commands) {
      for (const dependency of command.dependsOn)
        ok(done.has(dependency), `${command.key} comes before ${dependency}`)
      for (const statement of command.statements) this.#apply(command.node, statement)
      done.add(command.key)
      check(command)
    }
  }

  /** Runs the rollbacks of the first `count` commands, last one first. */
  undo(plan: Plan, count: number): void {
    for (const { node, rollback } of plan.commands.slice(0, count).toReversed()) {
      for (const statement of rollback) this.#apply(node, statement)
    }
  }

  /** Everything, as text that can be compared. */
  snapshot(): string[] {
    const lines = [...this.tables].flatMap(([node, tables]) =>
      [...tables].map(([name, definition]) => `${node} ${name} ${layoutOf(definition)}`),
    )
    const sets = [...this.sets].map(
      ([name, { members, tables }]) =>
        `set ${name}: ${[...members].toSorted().join(' ')} | ${[...tables].toSorted().join(' ')}`,
    )
    const rows = [...this.placements.values()].map((row) => JSON.stringify(row))
    return [...lines, ...sets, ...rows].toSorted()
  }

  /** Every shard that a sharded table names lies on that node, in the set of its other copies. */
  expectServed(what: string): void {
    for (const [node, tables] of this.tables) {
      if (this.dead.has(node)) continue
      for (const definition of tables.values()) {
        for (const [shard, holders] of shardsOf(definition, node)) {
          const there = holders.filter((holder) => this.tables.get(holder)?.has(shard) === true)
          deepEqual(there, holders, `${what}: ${shard} as ${node} names it`)
          this.#expectInOneSet(shard, holders, what)
        }
      }
    }
  }

  #expectInOneSet(shard: string, holders: readonly NodeId[], what: string): void {
    if (holders.length < 2) return
    const set = [...this.sets.values()].find(({ tables }) => tables.has(shard))
    for (const holder of holders) ok(set?.members.has(holder), `${what}: ${holder} is in the set of ${shard}`)
  }

  #apply(node: NodeId, statement: Statement): void {
    const tables = this.#of(node)
    switch (statement.kind) {
      case 'create_table':
        ok(!tables.has(statement.table.name), `${statement.table.name} on ${node}`)
        tables.set(statement.table.name, statement)
        return
      case 'drop_table':
        ok(!this.#isInSet(node, statement.table.name), `${statement.table.name} is in a set`)
        tables.delete(statement.table.name)
        return
      case 'create_cluster':
        equal(markersOf(statement.cluster, new Set(tables.keys())).length, 1)
        this.sets.set(statement.cluster, { members: new Set([node]), tables: new Set() })
        return
      case 'join_cluster':
        return this.#join(node, statement.cluster, statement.at)
      case 'exit_cluster':
        this.sets.get(statement.cluster)?.members.delete(node)
        return
      case 'delete_cluster':
        this.sets.delete(statement.cluster)
        return
      case 'alter_cluster':
        return this.#alter(node, statement)
      case 'insert':
      case 'replace':
        equal(statement.table.name, PLACEMENT_TABLE)
        for (const row of statement.rows) this.#place(statement.columns ?? [], row)
        return
      case 'delete':
        if (statement.where?.kind === 'in')
          for (const id of statement.where.values) this.placements.delete(Number(id))
        return
      case 'verify_tables':
        for (const holder of statement.nodes) {
          for (const table of statement.tables) ok(this.#of(holder).has(table), `${table} on ${holder}`)
        }
        return
      case 'alter_table':
      case 'begin':
      case 'commit':
      case 'describe':
      case 'rollback':
      case 'select':
      case 'set_cluster':
      case 'set_variable':
      case 'show_create_table':
      case 'show_other':
      case 'show_status':
      case 'show_table_status':
      case 'show_tables':
      case 'truncate_table':
      case 'update':
        throw new Error(`a plan has a statement '${statement.kind}' that the model does not know`)
    }
  }

  #join(node: NodeId, name: string, at: NodeId | null): void {
    const set = this.sets.get(name)
    if (set === undefined || at === null) throw new Error(`there is no set ${name} to join`)
    ok(set.members.has(at), `${at} is in ${name}`)
    equal(markersOf(name, new Set(this.#of(node).keys())).length, 1, `home of ${name} on ${node}`)
    set.members.add(node)
    for (const table of set.tables) {
      const definition = this.#of(at).get(table)
      if (definition !== undefined) this.#of(node).set(table, definition)
    }
  }

  #alter(node: NodeId, { cluster, action, tables }: Extract<Statement, { kind: 'alter_cluster' }>): void {
    const set = this.sets.get(cluster)
    if (action === 'update_nodes') return
    ok(set?.members.has(node), `${node} is in ${cluster}`)
    for (const table of tables) {
      if (action === 'add') set?.tables.add(table)
      else set?.tables.delete(table)
    }
  }

  #place(columns: readonly string[], row: readonly Literal[]): void {
    const cell = (name: string) => row[columns.indexOf(name)]
    const shards = cell('shards')
    const id = Number(cell('id'))
    this.placements.set(id, {
      id,
      table: String(cell('table')),
      node: String(cell('node')),
      replicaSet: String(cell('cluster')),
      shards: Array.isArray(shards) ? shards.map(Number) : [],
    })
  }

  #isInSet(node: NodeId, table: string): boolean {
    return [...this.sets.values()].some(({ members, tables }) => members.has(node) && tables.has(table))
  }

  #of(node: NodeId): Map<string, CreateTable> {
    const tables = this.tables.get(node)
    if (tables === undefined) throw new Error(`there is no node ${node}`)
    return tables
  }
}

/** The shards that a sharded table names, with the nodes where it looks for each. */
export function shardsOf(definition: CreateTable, node: NodeId): Map<string, readonly NodeId[]> {
  const shards = new Map<string, readonly NodeId[]>()
  for (const { name, value } of definition.options) {
    if (name === 'local') shards.set(value, [node])
    if (name !== 'agent') continue
    const mirrors = (value.split('[', 1)[0] ?? '').split('|').map((mirror) => mirror.split(':'))
    const [table = ''] = mirrors[0]?.slice(2) ?? []
    shards.set(
      table,
      mirrors.map((parts) => parts.slice(0, 2).join(':')),
    )
  }
  return new Map([...shards].filter(([table]) => parseShardTableName(table) !== undefined))
}

function layoutOf({ options }: CreateTable): string {
  return options
    .map(({ name, value }) => `${name}=${value}`)
    .toSorted()
    .join(' ')
}
