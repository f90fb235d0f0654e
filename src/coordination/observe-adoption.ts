import type { CallOptions, NodeCatalog, NodeConnector } from '../domain/ports.ts'
import type { ColumnDefinition, CreateTable } from '../domain/statement.ts'
import { QUEUE_TABLE, STATE_TABLE } from '../domain/system-tables.ts'
import { isBuddySet, type NodeId, parseShardTableName } from '../domain/words.ts'
import type { JournalConnection } from '../engine/journal-connection.ts'
import { text } from '../engine/journal-rows.ts'
import { all, compare, equals, select } from '../engine/where.ts'
import type { ObservedAdoption } from '../planning/adoption.ts'
import type { ObservedState } from '../planning/observed.ts'
import { parseStatement, renderStatement, SqlSyntaxError } from '../sql/index.ts'

/** How long a node may take to show one definition, in milliseconds. */
const CALL: CallOptions = { timeoutMs: 10_000 }
/** Rows read at once; see the daemon's default of 1,000 matches. */
const PAGE_ROWS = 1_000
/** Rows of a shard that tell whether rows lie where they are looked for: a wrong routing shows in a few. */
const SAMPLE_ROWS = 100
/** Under which key Buddy records a table. */
const TABLE_KEY = 'table:'
/** States of Buddy's commands in which nothing more is to happen. */
const FINISHED: ReadonlySet<string> = new Set(['processed', 'done', 'error', 'failed'])

/** Reads what Manticore Buddy has written into tables that are ours, too. */
export class BuddyRecords {
  readonly #connection: JournalConnection
  readonly #connector: NodeConnector

  constructor(connection: JournalConnection, connector: NodeConnector) {
    this.#connection = connection
    this.#connector = connector
  }

  /** A few ids of a shard, in decimal. */
  async sampleIds(node: NodeId, table: string): Promise<string[]> {
    const sample = renderStatement(select(table, null, { columns: ['id'], limit: SAMPLE_ROWS }))
    const { rows } = await this.#connector.connection(node).read(sample, CALL)
    return rows.map(({ id }) => String(id))
  }

  /** Tables that it keeps a record of, sorted. */
  async tables(): Promise<string[]> {
    // What we write has a version.
    const keys = await this.#strings(STATE_TABLE, 'key', equals('version', 0))
    return keys
      .filter((key) => key.startsWith(TABLE_KEY))
      .map((key) => key.slice(TABLE_KEY.length))
      .toSorted()
  }

  async unfinishedCommands(): Promise<number> {
    // Every command of ours has a phase.
    const statuses = await this.#strings(QUEUE_TABLE, 'status', equals('phase', ''))
    return statuses.filter((status) => !FINISHED.has(status)).length
  }

  async #strings(table: string, column: string, where: ReturnType<typeof equals>): Promise<string[]> {
    const found: string[] = []
    for (let after: number | bigint = 0; ; ) {
      const page = select(table, all(where, compare('id', '>', after)), {
        columns: ['id', column],
        limit: PAGE_ROWS,
      })
      const { rows } = await this.#connection.read(page)
      for (const row of rows) {
        found.push(text(row, column))
        if (typeof row['id'] === 'bigint' || typeof row['id'] === 'number') after = row['id']
      }
      if (rows.length < PAGE_ROWS) return found
    }
  }
}

/** Looks at what adopting tables needs to know beyond the observed state. */
export async function observeAdoption(parts: {
  readonly catalog: NodeCatalog
  readonly buddy: BuddyRecords
  readonly observed: ObservedState
}): Promise<ObservedAdoption> {
  const { catalog, buddy, observed } = parts
  const [recorded, unfinishedCommands] = await Promise.all([buddy.tables(), buddy.unfinishedCommands()])
  const definitions = new Map<string, ReadonlyMap<NodeId, CreateTable | null>>()
  const sampledIds = new Map<string, readonly string[]>()
  const columns = new Map<string, readonly ColumnDefinition[]>()
  for (const table of tracedTables(observed, recorded)) {
    const found = await definitionsOf(catalog, observed, table)
    definitions.set(table, found)
    const shards = shardsOf(observed, table)
    columns.set(table, await columnsOf(catalog, found, shards))
    if (![...found.values()].some(isOfOldType)) continue
    for (const [name, node] of shards) sampledIds.set(name, await buddy.sampleIds(node, name))
  }
  return { ...observed, recorded, definitions, columns, sampledIds, unfinishedCommands }
}

function tracedTables(observed: ObservedState, recorded: readonly string[]): ReadonlySet<string> {
  const inSets = observed.replicaSets
    .filter(({ name }) => isBuddySet(name))
    .flatMap(({ tables }) => tables.flatMap((name) => parseShardTableName(name)?.table ?? []))
  return new Set([...recorded, ...inSets, ...(observed.buddyPlacements ?? []).map(({ table }) => table)])
}

async function definitionsOf(
  catalog: NodeCatalog,
  observed: ObservedState,
  table: string,
): Promise<Map<NodeId, CreateTable | null>> {
  const holders = observed.nodes.filter((node) => observed.tables.get(node)?.has(table) === true)
  const found = await Promise.all(
    holders.map(
      async (node) => [node, definitionIn(await catalog.createStatement(node, table, CALL))] as const,
    ),
  )
  return new Map(found)
}

/** A table of type 'distributed' lists none; its shards do. */
async function columnsOf(
  catalog: NodeCatalog,
  definitions: ReadonlyMap<NodeId, CreateTable | null>,
  shards: ReadonlyMap<string, NodeId>,
): Promise<readonly ColumnDefinition[]> {
  const listed = [...definitions.values()].find((found) => (found?.columns?.length ?? 0) > 0)
  if (listed?.columns !== undefined && listed.columns !== null) return listed.columns
  const [shard] = shards
  return shard === undefined ? [] : await catalog.columns(shard[1], shard[0], CALL)
}

/** Null for what only the daemon understands: no sharded table is among that. */
function definitionIn(sql: string): CreateTable | null {
  try {
    const statement = parseStatement(sql)
    return statement.kind === 'create_table' ? statement : null
  } catch (error) {
    if (error instanceof SqlSyntaxError) return null
    throw error
  }
}

function isOfOldType(definition: CreateTable | null): boolean {
  return definition?.options.some(({ name, value }) => name === 'type' && value === 'distributed') === true
}

/** Every shard of a table with one node that holds it. */
function shardsOf(observed: ObservedState, table: string): Map<string, NodeId> {
  const shards = new Map<string, NodeId>()
  for (const [node, tables] of observed.tables) {
    for (const name of tables) if (parseShardTableName(name)?.table === table) shards.set(name, node)
  }
  return shards
}
