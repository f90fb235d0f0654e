import type { Command } from '../domain/command.ts'
import { PLACEMENT_TABLE, SYSTEM_TABLES } from '../domain/system-tables.ts'
import type { InsertRows, Statement, StatementKind } from '../domain/statement.ts'
import { parseShardTableName } from '../domain/words.ts'
import { parseScript } from '../sql/index.ts'

/** What an operation works on; two operations that share any of it must not run side by side. */
export interface Touched {
  /** Sharded tables, and tables of users' own commands. */
  readonly tables: ReadonlySet<string>
  readonly sets: ReadonlySet<string>
  /** Those of them whose members change. */
  readonly changedSets: ReadonlySet<string>
}

export function touchedBy(statements: Iterable<Statement>): Touched {
  const tables = new Set<string>()
  const sets = new Set<string>()
  const changedSets = new Set<string>()
  for (const statement of statements) {
    touch(statement, tables, sets)
    if (MEMBERSHIP.has(statement.kind) && 'cluster' in statement) changedSets.add(statement.cluster)
  }
  return { tables, sets, changedSets }
}

export function statementsOf(commands: readonly Pick<Command, 'query'>[]): Statement[] {
  return commands.flatMap(({ query }) => parseScript(query, { dialect: 'extended' }))
}

const MEMBERSHIP: ReadonlySet<StatementKind> = new Set<StatementKind>([
  'create_cluster',
  'join_cluster',
  'exit_cluster',
  'delete_cluster',
])

function touch(statement: Statement, tables: Set<string>, sets: Set<string>): void {
  if ('cluster' in statement) sets.add(statement.cluster)
  if (!('table' in statement)) return
  const { name } = statement.table
  if (name === PLACEMENT_TABLE && 'rows' in statement)
    for (const table of placedBy(statement)) tables.add(table)
  if (!SYSTEM_TABLES.has(name)) tables.add(parseShardTableName(name)?.table ?? name)
}

/** The tables whose placement rows are written. */
function placedBy({ columns, rows }: InsertRows): string[] {
  const position = columns?.indexOf('table') ?? -1
  return rows.flatMap((row) => {
    const table = row[position]
    return typeof table === 'string' ? [table] : []
  })
}
