import type { CallOptions, NodeCatalog, NodeConnector } from '../domain/ports.ts'
import type {
  AlterCluster,
  AlterTable,
  ColumnDefinition,
  CreateTable,
  DeleteRows,
  Expression,
  InsertRows,
  Statement,
  StatementKind,
} from '../domain/statement.ts'
import type { NodeId } from '../domain/words.ts'
import { parseStatement, renderStatement } from '../sql/index.ts'
import { oneOf, select } from './where.ts'

/**
 * What a look at the node says about a statement's effect.
 * - `present`: it is there, exactly.
 * - `absent`: nothing of it is there. Also for statements that can simply be sent again.
 * - `partial`: a part of it is there, or it is there and not usable.
 * - `different`: something else of that name is there.
 * - `in_progress`: the node is still at it.
 */
export type Presence = 'present' | 'absent' | 'partial' | 'different' | 'in_progress'

/** How long one look may take, in milliseconds. */
const PROBE_TIMEOUT_MS = 5_000

interface ProbeContext {
  readonly node: NodeId
  readonly catalog: NodeCatalog
  readonly connector: NodeConnector
  readonly options: CallOptions
}

type Prober<S extends Statement> = (statement: S, context: ProbeContext) => Promise<Presence>

/**
 * Finds out by looking whether a statement has taken effect on its node. After a crash or a lost answer this is
 * the only way to know.
 */
export class Probe {
  readonly #catalog: NodeCatalog
  readonly #connector: NodeConnector

  constructor(catalog: NodeCatalog, connector: NodeConnector) {
    this.#catalog = catalog
    this.#connector = connector
  }

  /** Rejects with NodeError when the node does not answer: then nothing is known. */
  async look(node: NodeId, statement: Statement, signal?: AbortSignal): Promise<Presence> {
    const context: ProbeContext = {
      node,
      catalog: this.#catalog,
      connector: this.#connector,
      options: { timeoutMs: PROBE_TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) },
    }
    return await probeStatement(statement, context)
  }

  /** Several statements of one command: they take effect in order. */
  async lookAll(node: NodeId, statements: readonly Statement[], signal?: AbortSignal): Promise<Presence> {
    const found = new Set<Presence>()
    for (const [index, statement] of statements.entries()) {
      if (isReplaced(statement, statements[index + 1])) continue
      const presence = await this.look(node, statement, signal)
      found.add(isReplaced(statements[index - 1], statement) ? ofReplacement(presence) : presence)
    }
    const [first] = found
    if (found.size === 1 && first !== undefined) return first
    if (found.has('in_progress')) return 'in_progress'
    return found.has('different') ? 'different' : 'partial'
  }
}

/** DROP TABLE of what the next statement makes anew: what it drops is none of our concern. */
export function isReplaced(statement: Statement | undefined, next: Statement | undefined): boolean {
  return (
    statement?.kind === 'drop_table' &&
    next?.kind === 'create_table' &&
    statement.table.name === next.table.name
  )
}

/** Another definition is the one to be replaced; none at all means that it was dropped and not yet made anew. */
function ofReplacement(presence: Presence): Presence {
  return presence === 'different' ? 'absent' : presence === 'absent' ? 'partial' : presence
}

/** Sent again, these do the same again; there is nothing to look for. */
const repeatable = async (): Promise<Presence> => await Promise.resolve('absent')

const PROBERS: { readonly [K in StatementKind]: Prober<Extract<Statement, { kind: K }>> } = {
  create_table: probeCreateTable,
  drop_table: async ({ table }, { catalog, node, options }) =>
    (await catalog.hasTable(node, table.name, options)) ? 'absent' : 'present',
  alter_table: onTable(probeAlterTable),
  truncate_table: repeatable,
  create_cluster: async ({ cluster }, context) => await probeMembership(cluster, context),
  join_cluster: async ({ cluster }, context) => await probeMembership(cluster, context),
  delete_cluster: async ({ cluster }, context) => inverted(await probeMembership(cluster, context)),
  exit_cluster: async ({ cluster }, context) => inverted(await probeMembership(cluster, context)),
  alter_cluster: probeAlterCluster,
  set_cluster: repeatable,
  insert: onTable(probeInsert),
  replace: repeatable,
  update: repeatable,
  delete: onTable(probeDelete),
  select: repeatable,
  show_tables: repeatable,
  show_status: repeatable,
  show_table_status: repeatable,
  show_create_table: repeatable,
  describe: repeatable,
  show_other: repeatable,
  begin: repeatable,
  commit: repeatable,
  rollback: repeatable,
  set_variable: repeatable,
  verify_tables: repeatable,
}

async function probeStatement<K extends StatementKind>(
  statement: Extract<Statement, { kind: K }>,
  context: ProbeContext,
): Promise<Presence> {
  const prober: Prober<Extract<Statement, { kind: K }>> = PROBERS[statement.kind]
  return await prober(statement, context)
}

/** What works on a table that is not there had no effect, and has nothing to undo. */
function onTable<S extends AlterTable | InsertRows | DeleteRows>(prober: Prober<S>): Prober<S> {
  return async (statement, context) => {
    const { catalog, node, options } = context
    if (!(await catalog.hasTable(node, statement.table.name, options))) return 'absent'
    return await prober(statement, context)
  }
}

/** For statements that take something away: their effect is that nothing is there. */
function inverted(presence: Presence): Presence {
  return presence === 'absent' ? 'present' : presence === 'present' ? 'absent' : presence
}

async function probeCreateTable(
  statement: CreateTable,
  { catalog, node, options }: ProbeContext,
): Promise<Presence> {
  const name = statement.table.name
  if (!(await catalog.hasTable(node, name, options))) return 'absent'
  if (isSharded(statement)) {
    const text = await catalog.createStatement(node, name, options)
    const found = parseStatement(text)
    return found.kind === 'create_table' && sameLayout(found, statement) ? 'present' : 'different'
  }
  const columns = await catalog.columns(node, name, options)
  return sameColumns(columns, statement.columns ?? []) ? 'present' : 'different'
}

function isSharded(statement: CreateTable): boolean {
  return statement.options.some(({ name, value }) => name === 'type' && value === 'shard')
}

function sameLayout(a: CreateTable, b: CreateTable): boolean {
  return sameColumns(a.columns ?? [], b.columns ?? []) && layout(a) === layout(b)
}

function layout(statement: CreateTable): string {
  return statement.options
    .filter(({ name }) => name === 'local' || name === 'agent')
    .map(({ name, value }) => `${name}=${value}`)
    .toSorted()
    .join('\n')
}

function sameColumns(a: readonly ColumnDefinition[], b: readonly ColumnDefinition[]): boolean {
  const text = (columns: readonly ColumnDefinition[]) =>
    columns
      .filter(({ name }) => name !== 'id')
      .map(({ name, type }) => `${name} ${type}`)
      .toSorted()
      .join(', ')
  return text(a) === text(b)
}

async function probeAlterTable(
  { table, action, column }: AlterTable,
  { catalog, node, options }: ProbeContext,
): Promise<Presence> {
  const columns = await catalog.columns(node, table.name, options)
  const there = columns.some(({ name }) => name === column)
  return there === (action === 'add_column') ? 'present' : 'absent'
}

async function probeMembership(cluster: string, { catalog, node, options }: ProbeContext): Promise<Presence> {
  const status = await catalog.cluster(node, cluster, options)
  if (status === undefined) return 'absent'
  if (status.status === 'primary' && (status.nodeState === 'synced' || status.nodeState === 'donor')) {
    return 'present'
  }
  return status.nodeState === 'joining' || status.nodeState === 'joined' ? 'in_progress' : 'partial'
}

async function probeAlterCluster(
  { cluster, action, tables }: AlterCluster,
  { catalog, node, options }: ProbeContext,
): Promise<Presence> {
  if (action === 'update_nodes') return 'absent'
  const status = await catalog.cluster(node, cluster, options)
  const inside = new Set(status?.tables ?? [])
  const count = tables.filter((table) => inside.has(table)).length
  if (count === 0) return action === 'add' ? 'absent' : 'present'
  if (count < tables.length) return 'partial'
  return action === 'add' ? 'present' : 'absent'
}

async function probeInsert(statement: InsertRows, context: ProbeContext): Promise<Presence> {
  const idColumn = statement.columns?.indexOf('id') ?? 0
  const ids = statement.rows.flatMap((row) => {
    const id = row[idColumn]
    return typeof id === 'number' || typeof id === 'bigint' ? [id] : []
  })
  const found = await countById(statement.table.name, ids, context)
  if (found === 0) return 'absent'
  return found === statement.rows.length ? 'present' : 'partial'
}

async function probeDelete({ table, where }: DeleteRows, context: ProbeContext): Promise<Presence> {
  const ids = idsOf(where)
  if (ids === undefined) return 'absent'
  return (await countById(table.name, ids, context)) === 0 ? 'present' : 'absent'
}

function idsOf(where: Expression | null): readonly (string | number | bigint)[] | undefined {
  if (
    where?.kind === 'in' &&
    !where.negated &&
    where.operand.kind === 'column' &&
    where.operand.column === 'id'
  ) {
    return where.values
  }
  if (
    where?.kind === 'binary' &&
    where.operator === '=' &&
    where.left.kind === 'column' &&
    where.left.column === 'id' &&
    where.right.kind === 'literal'
  ) {
    return [where.right.value]
  }
  return undefined
}

async function countById(
  table: string,
  ids: readonly (string | number | bigint)[],
  { connector, node, options }: ProbeContext,
): Promise<number> {
  if (ids.length === 0) return 0
  const query = select(table, oneOf('id', ids), { columns: ['id'], limit: ids.length })
  const reply = await connector.connection(node).read(renderStatement(query), options)
  return reply.rows.length
}
