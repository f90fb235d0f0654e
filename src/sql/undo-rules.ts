import { InputError, unreachable } from '../domain/errors.ts'
import type { CreateTable, Statement, TableName } from '../domain/statement.ts'
import { effectOf, isShardedDefinition, type Effect } from './effect.ts'
import { otherMembers, type ObservedObjects } from './observed-objects.ts'
import { exactIds, sameIds, type RowId } from './row-ids.ts'
import { renderStatement } from './render.ts'

/** Why a rollback cannot be used. */
export type RollbackProblemCode =
  /** The command or its rollback is not in the language. */
  | 'syntax'
  | 'empty'
  /** The rollback changes nothing although the command does. */
  | 'no_effect'
  /** Nothing can bring back what the command destroys. */
  | 'not_undoable'
  /** The rollback changes something that the command does not touch. */
  | 'other_object'
  /** The right object, but not the opposite of what the command does to it. */
  | 'does_not_undo'
  /** A part of what the command does stays. */
  | 'incomplete'
  | 'wrong_order'
  /** The rollback would take away what was there before the command. */
  | 'destroys_existing'
  /** A second run, after a lost answer, would fail or do damage. */
  | 'not_repeatable'

export interface RollbackProblem {
  readonly code: RollbackProblemCode
  /** What is wrong and what to do, for people. */
  readonly message: string
}

/** One thing that has to be undone. */
export interface Undo {
  readonly statement: Statement
  readonly effect: Effect
  /** Null when `candidate` is about something else; else what is still wrong with it. */
  readonly judge: (candidate: Statement) => readonly RollbackProblem[] | null
}

export function problem(code: RollbackProblemCode, message: string): RollbackProblem {
  return { code, message }
}

/** A statement as a message names it. */
export function shown(statement: Statement): string {
  try {
    return `'${renderStatement(statement)}'`
  } catch (error) {
    // The parser knows escapes, NUL for one, that we never write ourselves.
    if (error instanceof InputError) return `the ${statement.kind.replaceAll('_', ' ')} statement`
    throw error
  }
}

/** Behind a pivot the engine only frees what nobody uses; nothing there needs a way back. */
const BEHIND_PIVOT = 'it is allowed only behind the pivot of an operation'

/** What must be undone after `statement`, or why it cannot be. */
export function undoOf(statement: Statement, observed: ObservedObjects): Undo | RollbackProblem {
  const effect = effectOf(statement)
  const judged = judgeFor(effect, statement, observed)
  if (typeof judged === 'function') return { statement, effect, judge: judged }
  return problem('not_undoable', `${shown(statement)} cannot be undone: ${judged}; ${BEHIND_PIVOT}`)
}

type Judge = Undo['judge']

/** The judge of rollbacks for an effect, or the reason why there is none. */
function judgeFor(effect: Effect, statement: Statement, observed: ObservedObjects): Judge | string {
  switch (effect.kind) {
    case 'none':
      return 'it has no effect'
    case 'table_made':
      return judgeDropOf(effect.definition)
    case 'table_dropped':
      return isShardedDrop(statement, observed)
        ? judgeRemakeOf(effect.table, observed.definitions?.get(effect.table))
        : `the rows of '${effect.table}' are gone`
    case 'table_altered':
      return effect.action === 'add_column'
        ? judgeDropColumn(effect.table, effect.column)
        : `the values of column '${effect.column}' are gone`
    case 'table_emptied':
      return `the rows of '${effect.table}' are gone`
    case 'cluster_made':
      return (candidate) =>
        candidate.kind === 'delete_cluster' && candidate.cluster === effect.cluster ? [] : null
    case 'cluster_joined':
      return judgeLeave(effect.cluster, observed)
    case 'cluster_deleted':
      return judgeRemakeOfCluster(effect.cluster, observed)
    case 'cluster_left':
      return judgeRejoin(effect.cluster)
    case 'tables_added':
    case 'tables_removed':
      return judgeMembershipOfTables(effect)
    case 'members_updated':
      return 'the earlier list of members is not known'
    case 'bootstrapped':
      return 'a cluster that was made primary stays so'
    case 'cluster_configured':
      return `the earlier value of '${effect.variable}' is not known`
    case 'rows_inserted':
      return effect.ids === null
        ? 'the daemon chooses the ids of the rows, so they cannot be named; give the ids in the INSERT'
        : judgeDeleteOfRows(tableOf(statement), effect.ids)
    case 'rows_replaced':
    case 'rows_deleted':
      return effect.ids === null
        ? 'it is not known which rows it touches; name them by id'
        : judgeRowsPutBack(tableOf(statement), effect.ids)
    case 'rows_updated':
      return effect.ids === null
        ? 'it is not known which rows it touches; name them by id'
        : judgeUpdateBack(tableOf(statement), effect.columns, effect.ids)
    default:
      return unreachable(effect)
  }
}

/** Only `type='shard'` tables are dropped with force, so force tells when the definition is not known. */
export function isShardedDrop(statement: Statement, observed: ObservedObjects): boolean {
  if (statement.kind !== 'drop_table') return false
  const definition = observed.definitions?.get(statement.table.name)
  return definition === undefined ? statement.force : isShardedDefinition(definition)
}

function tableOf(statement: Statement): TableName {
  return 'table' in statement ? statement.table : { cluster: null, name: '' }
}

function judgeDropOf(definition: CreateTable): Judge {
  const { name } = definition.table
  return (candidate) => {
    if (candidate.kind !== 'drop_table' || candidate.table.name !== name) return null
    const problems: RollbackProblem[] = []
    if (!candidate.ifExists) {
      const hint = `write DROP TABLE IF EXISTS ${name}, so that it can be sent again after a lost answer`
      problems.push(problem('not_repeatable', hint))
    }
    if (isShardedDefinition(definition) && !candidate.force) {
      const hint = `the sharded table '${name}' can only be dropped with OPTION force=1`
      problems.push(problem('does_not_undo', hint))
    }
    return problems
  }
}

function judgeRemakeOf(table: string, definition: CreateTable | undefined): Judge {
  return (candidate) => {
    if (candidate.kind !== 'create_table' || candidate.table.name !== table) return null
    const problems: RollbackProblem[] = []
    if (!candidate.ifNotExists) {
      const hint = `write CREATE TABLE IF NOT EXISTS ${table}, so that it can be sent again after a lost answer`
      problems.push(problem('not_repeatable', hint))
    }
    if (!isShardedDefinition(candidate)) {
      const hint = `'${table}' was a sharded table; the rollback makes a plain one (type='shard' is missing)`
      problems.push(problem('does_not_undo', hint))
    } else if (definition !== undefined && !sameDefinition(definition, candidate)) {
      const hint = `the rollback makes '${table}' with another definition than it had`
      problems.push(problem('does_not_undo', hint))
    }
    return problems
  }
}

/** The daemon lists an `id bigint` that nobody gave, and the order of shards does not matter to it. */
function sameDefinition(a: CreateTable, b: CreateTable): boolean {
  const text = ({ columns, options }: CreateTable): string =>
    JSON.stringify([
      (columns ?? []).filter(({ name }) => name !== 'id'),
      options.map(({ name, value }) => `${name}=${value}`).sort(),
    ])
  return text(a) === text(b)
}

function judgeDropColumn(table: string, column: string): Judge {
  return (candidate) =>
    candidate.kind === 'alter_table' &&
    candidate.table.name === table &&
    candidate.action === 'drop_column' &&
    candidate.column === column
      ? []
      : null
}

function judgeLeave(cluster: string, observed: ObservedObjects): Judge {
  return (candidate) => {
    if (candidate.kind === 'exit_cluster') return candidate.cluster === cluster ? [] : null
    if (candidate.kind !== 'delete_cluster' || candidate.cluster !== cluster) return null
    // Who joins has a donor: only a positive observation says that nobody else is in the cluster.
    if (otherMembers(observed, cluster)?.length === 0) return []
    const hint = `DELETE CLUSTER takes '${cluster}' from all its members; write EXIT CLUSTER ${cluster}`
    return [problem('destroys_existing', hint)]
  }
}

function judgeRemakeOfCluster(cluster: string, observed: ObservedObjects): Judge | string {
  const others = otherMembers(observed, cluster) ?? []
  if (others.length > 0) return `the cluster is deleted on its other members too (${others.join(', ')})`
  const details = observed.clusterDetails?.get(cluster)
  if (details !== undefined && details.tables.length > 0) return 'its tables would have to be added again'
  return (candidate) => {
    if (candidate.kind !== 'create_cluster' || candidate.cluster !== cluster) return null
    if (details === undefined || details.path === candidate.path) return []
    return [
      problem('does_not_undo', `the cluster '${cluster}' was in another folder: '${details.path ?? ''}'`),
    ]
  }
}

function judgeRejoin(cluster: string): Judge {
  return (candidate) => {
    if (candidate.kind !== 'join_cluster' || candidate.cluster !== cluster) return null
    if (candidate.at !== null) return []
    return [problem('does_not_undo', `name a member to join: JOIN CLUSTER ${cluster} AT 'host:port'`)]
  }
}

function judgeMembershipOfTables(
  effect: Extract<Effect, { kind: 'tables_added' | 'tables_removed' }>,
): Judge {
  const { cluster, tables } = effect
  const opposite = effect.kind === 'tables_added' ? 'drop' : 'add'
  return (candidate) => {
    const isOpposite = candidate.kind === 'alter_cluster' && candidate.action === opposite
    if (!isOpposite || candidate.cluster !== cluster) return null
    if (!candidate.tables.some((table) => tables.includes(table))) return null
    const problems: RollbackProblem[] = []
    const left = tables.filter((table) => !candidate.tables.includes(table))
    const more = candidate.tables.filter((table) => !tables.includes(table))
    if (left.length > 0) problems.push(problem('incomplete', `it leaves out ${quotedList(left)}`))
    if (more.length > 0) {
      problems.push(problem('other_object', `the command does not touch ${quotedList(more)}`))
    }
    return problems
  }
}

function judgeDeleteOfRows(table: TableName, ids: readonly RowId[]): Judge {
  return (candidate) => {
    if (candidate.kind !== 'delete' || candidate.table.name !== table.name) return null
    const named = exactIds(candidate.where)
    if (named === null) {
      const hint = `delete exactly the rows that were inserted, by id: WHERE id IN (${ids.join(',')})`
      return [problem('destroys_existing', hint)]
    }
    return [...prefixProblems(table, candidate.table), ...idProblems(ids, named)]
  }
}

/** Rows that were overwritten or deleted come back when the rollback brings them along. */
function judgeRowsPutBack(table: TableName, ids: readonly RowId[]): Judge {
  return (candidate) => {
    if (candidate.kind !== 'replace' && candidate.kind !== 'insert') return null
    if (candidate.table.name !== table.name) return null
    const problems = [...prefixProblems(table, candidate.table)]
    if (candidate.kind === 'insert') {
      problems.push(
        problem('not_repeatable', 'write REPLACE: a second INSERT of the same ids fails as duplicate'),
      )
    }
    const effect = effectOf(candidate)
    const named = effect.kind === 'rows_inserted' || effect.kind === 'rows_replaced' ? effect.ids : null
    if (named !== null) return [...problems, ...idProblems(ids, named)]
    return [...problems, problem('does_not_undo', 'give the ids of the rows that are put back')]
  }
}

function judgeUpdateBack(table: TableName, columns: readonly string[], ids: readonly RowId[]): Judge {
  return (candidate) => {
    if (candidate.kind !== 'update' || candidate.table.name !== table.name) return null
    const problems = [...prefixProblems(table, candidate.table)]
    const effect = effectOf(candidate)
    const named = effect.kind === 'rows_updated' ? effect.ids : null
    if (named === null) {
      const hint = `name the rows to be set back by id: WHERE id IN (${ids.join(',')})`
      problems.push(problem('destroys_existing', hint))
    } else {
      problems.push(...idProblems(ids, named))
    }
    const set = candidate.assignments.map(({ column }) => column)
    const left = columns.filter((column) => !set.includes(column))
    const more = set.filter((column) => !columns.includes(column))
    if (left.length > 0) problems.push(problem('incomplete', `it does not set back ${quotedList(left)}`))
    if (more.length > 0) {
      problems.push(problem('other_object', `the command does not set ${quotedList(more)}`))
    }
    return problems
  }
}

/** A table in a cluster takes writes with the prefix only, one outside without it only. */
function prefixProblems(forward: TableName, rollback: TableName): RollbackProblem[] {
  if (forward.cluster === rollback.cluster) return []
  const name = forward.cluster === null ? forward.name : `${forward.cluster}:${forward.name}`
  return [problem('does_not_undo', `write to '${name}', as the command does`)]
}

function idProblems(expected: readonly RowId[], named: readonly RowId[]): RollbackProblem[] {
  if (sameIds(expected, named)) return []
  const left = expected.filter((id) => !named.includes(id))
  const more = named.filter((id) => !expected.includes(id))
  return [
    ...(left.length > 0 ? [problem('incomplete', `it leaves out the rows ${left.join(', ')}`)] : []),
    ...(more.length > 0
      ? [problem('other_object', `the command does not touch the rows ${more.join(', ')}`)]
      : []),
  ]
}

function quotedList(names: readonly string[]): string {
  return names.map((name) => `'${name}'`).join(', ')
}
