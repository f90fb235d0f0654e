import { InputError } from '../domain/errors.ts'
import type { CallOptions, NodeCatalog, NodeConnection, NodeConnector, TableSize } from '../domain/ports.ts'
import type { ColumnDefinition, ColumnType } from '../domain/statement.ts'
import type { Reply, Row } from '../domain/values.ts'
import type { NodeId } from '../domain/words.ts'
import { type ClusterReport, type Counter, decodeClusters } from './cluster-status.ts'
import { statementError } from './statement-error.ts'

export interface CatalogTable {
  /** Lower case; `system.…` for tables of the hidden database. */
  readonly name: string
  /** The daemon's word: `rt`, `shard`, `percolate`, `distributed`, … */
  readonly type: string
}

/** Rows that the size of rows in memory is estimated from: what a SELECT returns without a LIMIT. */
const SAMPLE_ROWS = 20

const SYSTEM_PREFIX = 'system.'
const TABLE_NAME = /^(system\.)?[a-z_][a-z0-9_]*$/
const CLUSTER_NAME = /^\w+$/

/** All tables of a node, those of the hidden `system` database included, sorted by name. */
export async function readTables(
  connection: NodeConnection,
  options?: CallOptions,
): Promise<readonly CatalogTable[]> {
  const [visible, hidden] = await Promise.all([
    readWhole(connection, 'SHOW TABLES', options),
    readWhole(connection, 'SHOW TABLES FROM system', options),
  ])
  return [...visible.rows, ...hidden.rows].map(tableOf).sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** One table of a node, or null when it has none of that name. */
async function readTable(
  connection: NodeConnection,
  table: string,
  options?: CallOptions,
): Promise<CatalogTable | null> {
  const name = checkedTable(table)
  const source = name.startsWith(SYSTEM_PREFIX) ? 'SHOW TABLES FROM system' : 'SHOW TABLES'
  // `_` stands for any character there: others may come along.
  const reply = await readWhole(connection, `${source} LIKE '${name}'`, options)
  return reply.rows.map(tableOf).find((found) => found.name === name) ?? null
}

/** All replication clusters of a node. */
export async function readClusters(
  connection: NodeConnection,
  options?: CallOptions,
): Promise<readonly ClusterReport[]> {
  return decodeClusters(await readCounters(connection, 'cluster_%', options))
}

/** One replication cluster of a node, or null when the node is in none of that name. */
export async function readCluster(
  connection: NodeConnection,
  name: string,
  options?: CallOptions,
): Promise<ClusterReport | null> {
  if (!CLUSTER_NAME.test(name)) return null
  // This also gives the clusters whose names begin with this one and an underscore.
  const counters = await readCounters(connection, `cluster_${name}_%`, options)
  return decodeClusters(counters).find((cluster) => cluster.name === name) ?? null
}

/**
 * The columns of a table without `id`, in the table's order.
 *
 * @throws NodeError `missing` when there is no such table, `refused` for a column type that shards cannot have.
 */
export async function readColumns(
  connection: NodeConnection,
  table: string,
  options?: CallOptions,
): Promise<readonly ColumnDefinition[]> {
  const sql = `DESC ${checkedTable(table)}`
  const reply = await readWhole(connection, sql, options)
  try {
    return decodeColumns(reply.rows)
  } catch (error) {
    if (!(error instanceof UnknownColumnType)) throw error
    throw statementError('refused', connection.node, sql, error.message, '', { cause: error })
  }
}

/**
 * The statement that makes a table again; for a sharded table with its layout. The daemon has none for
 * `system.` tables.
 *
 * @throws NodeError `missing` when there is no such table.
 */
export async function readCreateTable(
  connection: NodeConnection,
  table: string,
  options?: CallOptions,
): Promise<string> {
  const sql = `SHOW CREATE TABLE ${checkedTable(table)} OPTION force=1`
  const [row] = (await readWhole(connection, sql, options)).rows
  if (row === undefined) throw statementError('missing', connection.node, sql, 'no statement came back')
  return cell(row, 'Create Table')
}

/**
 * Rows and bytes of a table that has rows of its own. The daemon tells the sizes of what lies on disk; the rows
 * that it still has in memory are taken to be as long as a few that it shows.
 *
 * @throws NodeError `missing` when there is no such table, `refused` for a sharded one.
 */
export async function readTableSize(
  connection: NodeConnection,
  table: string,
  options?: CallOptions,
): Promise<TableSize> {
  const name = checkedTable(table)
  // `_` stands for any character there: others may come along.
  const sql = `SHOW TABLE STATUS LIKE '${name}'`
  const listed = (await readWhole(connection, sql, options)).rows
  const status = listed.find((row) => cell(row, 'Name') === name)
  if (status === undefined) {
    throw statementError('missing', connection.node, sql, `no such table '${name}'`)
  }
  const rows = Number(cell(status, 'Rows'))
  const chunks = await readWhole(
    connection,
    'SELECT SUM(disk_bytes) AS bytes, SUM(indexed_documents) AS documents, SUM(killed_documents) AS killed ' +
      `FROM ${name}.@status`,
    options,
  )
  // No row comes back for a table that has nothing on disk.
  const total = chunks.rows[0] ?? {}
  const onDisk = Number(cell(total, 'documents')) - Number(cell(total, 'killed'))
  const inMemory = Math.max(0, rows - onDisk)
  const rowBytes = inMemory === 0 ? 0 : await sampledRowBytes(connection, name, options)
  return { rows, bytes: Number(cell(total, 'bytes')) + Math.round(inMemory * rowBytes) }
}

async function sampledRowBytes(
  connection: NodeConnection,
  table: string,
  options?: CallOptions,
): Promise<number> {
  const { rows } = await readWhole(connection, `SELECT * FROM ${table} LIMIT ${SAMPLE_ROWS}`, options)
  const bytes = rows
    .flatMap((row) => Object.values(row))
    .reduce<number>((sum, value) => sum + Buffer.byteLength(String(value)), 0)
  return bytes / Math.max(1, rows.length)
}

/** The daemon's version as it spells it, or `''` when it does not tell. */
export async function readVersion(connection: NodeConnection, options?: CallOptions): Promise<string> {
  const counters = await readCounters(connection, 'version', options)
  return counters.find(({ name }) => name === 'version')?.value ?? ''
}

/** The catalog of any node, read over the connections of a connector. */
export class ConnectedCatalog implements NodeCatalog {
  readonly #connector: NodeConnector

  constructor(connector: NodeConnector) {
    this.#connector = connector
  }

  async tables(node: NodeId, options?: CallOptions): Promise<ReadonlyMap<string, string>> {
    const tables = await readTables(this.#connector.connection(node), options)
    return new Map(tables.map(({ name, type }) => [name, type]))
  }

  async hasTable(node: NodeId, table: string, options?: CallOptions): Promise<boolean> {
    return (await readTable(this.#connector.connection(node), table, options)) !== null
  }

  async columns(node: NodeId, table: string, options?: CallOptions): Promise<readonly ColumnDefinition[]> {
    return readColumns(this.#connector.connection(node), table, options)
  }

  async createStatement(node: NodeId, table: string, options?: CallOptions): Promise<string> {
    return readCreateTable(this.#connector.connection(node), table, options)
  }

  async tableSize(node: NodeId, table: string, options?: CallOptions): Promise<TableSize> {
    return readTableSize(this.#connector.connection(node), table, options)
  }

  async clusters(node: NodeId, options?: CallOptions): Promise<readonly ClusterReport[]> {
    return readClusters(this.#connector.connection(node), options)
  }

  async cluster(node: NodeId, name: string, options?: CallOptions): Promise<ClusterReport | undefined> {
    return (await readCluster(this.#connector.connection(node), name, options)) ?? undefined
  }
}

async function readCounters(
  connection: NodeConnection,
  pattern: string,
  options?: CallOptions,
): Promise<Counter[]> {
  const reply = await readWhole(connection, `SHOW STATUS LIKE '${pattern}'`, options)
  return reply.rows.map((row) => ({ name: cell(row, 'Counter'), value: cell(row, 'Value') }))
}

/** A part of a catalog is worse than none: who misses a table in it would take it for dropped. */
async function readWhole(connection: NodeConnection, sql: string, options?: CallOptions): Promise<Reply> {
  const reply = await connection.read(sql, options)
  if (reply.warning !== '') {
    throw statementError('busy', connection.node, sql, `only a part came back: ${reply.warning}`)
  }
  if (reply.total > reply.rows.length) {
    const counts = `${reply.rows.length} of ${reply.total} rows`
    throw statementError('busy', connection.node, sql, `only a part came back: ${counts}`)
  }
  return reply
}

function tableOf(row: Row): CatalogTable {
  return { name: cell(row, 'Table'), type: cell(row, 'Type') }
}

/** The daemon's words for column types, and those of CREATE TABLE. */
const COLUMN_TYPES: Readonly<Record<string, ColumnType>> = {
  text: 'text',
  string: 'string',
  uint: 'int',
  bigint: 'bigint',
  float: 'float',
  bool: 'bool',
  timestamp: 'timestamp',
  mva: 'multi',
  mva64: 'multi64',
  json: 'json',
}

class UnknownColumnType extends Error {
  override readonly name = 'UnknownColumnType'
}

function decodeColumns(rows: readonly Row[]): ColumnDefinition[] {
  const columns = new Map<string, ColumnDefinition>()
  for (const row of rows) {
    const name = cell(row, 'Field')
    if (name === 'id') continue
    const type = COLUMN_TYPES[cell(row, 'Type')]
    if (type === undefined) {
      throw new UnknownColumnType(
        `column '${name}' has the type '${cell(row, 'Type')}', which is not supported`,
      )
    }
    const properties = cell(row, 'Properties')
      .split(/\s+/)
      .filter((word) => word !== '')
    // A string that is also indexed as text comes as two rows of one name.
    const other = columns.get(name)
    const column = { name, type, properties: [...(other?.properties ?? []), ...properties] }
    columns.set(name, other === undefined ? column : { ...column, type: 'string' })
  }
  return [...columns.values()]
}

function cell(row: Row, column: string): string {
  const value = row[column]
  return value === undefined || value === null ? '' : String(value)
}

/** Names go into statements as they are, so nothing else than a name may get there. */
function checkedTable(table: string): string {
  const name = table.toLowerCase()
  if (!TABLE_NAME.test(name)) throw new InputError('table', `'${table}' is no name of a table`)
  return name
}
