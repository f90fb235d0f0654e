import type { ColumnDefinition, ColumnType, Select, ShowTableStatus } from '../domain/statement.ts'
import { likeMatcher, textRows } from './local-results.ts'
import { runSelectOverRows } from './store-rows-select.ts'
import {
  DaemonError,
  type StatementResult,
  type StoredRow,
  type StoredTable,
  type TableStore,
} from './store.ts'

/** What the daemon answers for a sharded table, whatever its shards hold. */
const SHARDED_ROWS = 1_000

/** Columns of SHOW TABLE STATUS and what every table has in them, behind its name; `Rows` is filled in. */
const STATUS_CELLS = {
  Engine: 'InnoDB',
  Version: '10',
  Row_format: 'Dynamic',
  Rows: 0,
  Avg_row_length: '4096',
  Data_length: '0',
  Max_data_length: '0',
  Index_length: '0',
  Data_free: '0',
  Auto_increment: '5',
  Create_time: null,
  Update_time: null,
  Check_time: null,
  Collation: 'utf8',
  Checksum: null,
  Create_options: '',
  Comment: '',
} as const

/** SHOW TABLE STATUS: of all that it tells only names and numbers of rows mean anything. */
export function showTableStatus(store: TableStore, statement: ShowTableStatus): StatementResult {
  const matches = likeMatcher(statement.like)
  const tables = store.tables().filter(({ name }) => matches(name))
  const { columns } = textRows(['Name', ...Object.keys(STATUS_CELLS)], [])
  const rows = tables.map((table) => ({ Name: table.name, ...STATUS_CELLS, Rows: rowsOf(store, table) }))
  return { columns, rows, total: rows.length, warning: '' }
}

function rowsOf(store: TableStore, { name, kind }: StoredTable): number {
  if (kind === 'shard') return SHARDED_ROWS
  const { rows } = store.select({
    kind: 'select',
    items: [
      {
        expression: { kind: 'call', name: 'count', distinct: false, arguments: [{ kind: 'star' }] },
        alias: 'rows',
      },
    ],
    from: { cluster: null, name },
    where: null,
    groupBy: [],
    having: null,
    orderBy: [],
    limit: 1,
    offset: 0,
    options: [],
  })
  return Number(rows[0]?.['rows'] ?? 0)
}

const CHUNKS_SUFFIX = '.@status'

const CHUNK_COLUMNS: readonly ColumnDefinition[] = [
  column('chunk_id', 'int'),
  column('base_name', 'string'),
  column('indexed_documents', 'int'),
  ...[
    'indexed_bytes',
    'ram_bytes',
    'disk_bytes',
    'disk_mapped',
    'disk_mapped_cached',
    'disk_mapped_doclists',
    'disk_mapped_cached_doclists',
    'disk_mapped_hitlists',
    'disk_mapped_cached_hitlists',
    'killed_documents',
  ].map((name) => column(name, 'bigint')),
  column('optimizing', 'int'),
]

function column(name: string, type: ColumnType): ColumnDefinition {
  return { name, type, properties: [] }
}

/**
 * A SELECT on `table.@status`, or null when it is on anything else. All rows of an embedded node's table are one
 * chunk on disk.
 */
export function selectChunks(store: TableStore, select: Select, dataDir: string): StatementResult | null {
  const source = select.from?.name ?? ''
  if (!source.endsWith(CHUNKS_SUFFIX)) return null
  const name = source.slice(0, -CHUNKS_SUFFIX.length)
  const table = store.table(name)
  if (table?.kind !== 'rt') {
    throw new DaemonError(`table ${source}: select TABLE.@status requires an existing table`)
  }
  const documents = rowsOf(store, table)
  const bytes = store.sizeBytes(name)
  const chunk: StoredRow = new Map<string, string | number>([
    ['id', 1],
    ['chunk_id', 0],
    ['base_name', `${dataDir}/${name}/${name}.0`],
    ['indexed_documents', documents],
    ['indexed_bytes', bytes],
    ['ram_bytes', 0],
    ['disk_bytes', bytes],
    ['disk_mapped', 0],
    ['disk_mapped_cached', 0],
    ['disk_mapped_doclists', 0],
    ['disk_mapped_cached_doclists', 0],
    ['disk_mapped_hitlists', 0],
    ['disk_mapped_cached_hitlists', 0],
    ['killed_documents', 0],
    ['optimizing', 0],
  ])
  const chunks: StoredTable = { name: source, kind: 'rt', columns: CHUNK_COLUMNS, options: [] }
  const result = runSelectOverRows(chunks, documents === 0 ? [] : [chunk], select)
  return documents === 0 ? { ...result, rows: [], total: 0 } : result
}
