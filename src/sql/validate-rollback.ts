import { InputError, messageOf } from '../domain/errors.ts'
import type { Statement } from '../domain/statement.ts'
import { effectOf, isShardedDefinition, type Effect } from './effect.ts'
import { SqlSyntaxError } from './errors.ts'
import { inverseOfScript } from './inverse.ts'
import { isAlreadyThere, isMember, observedAfter, type ObservedObjects } from './observed-objects.ts'
import { parseScript } from './parse.ts'
import { renderStatement } from './render.ts'
import { isShardedDrop, problem, shown, undoOf, type RollbackProblem, type Undo } from './undo-rules.ts'

export type RollbackValidation =
  | { readonly valid: true; readonly forward: readonly Statement[]; readonly rollback: readonly Statement[] }
  | { readonly valid: false; readonly problems: readonly RollbackProblem[] }

/**
 * Whether `rollback` undoes `forward` on the same node: its effect on the same objects, in reverse order,
 * nothing that was there before, and so that it can be sent twice. Both may be several statements separated by
 * `;`. `observed` is what was there before the command ran.
 */
export function validateRollback(
  forward: string,
  rollback: string,
  observed: ObservedObjects,
): RollbackValidation {
  const problems: RollbackProblem[] = []
  const forwardStatements = parseSide('command', forward, problems)
  const rollbackStatements = parseSide('rollback', rollback, problems)
  if (problems.length === 0) problems.push(...compare(forwardStatements, rollbackStatements, observed))
  return problems.length === 0
    ? { valid: true, forward: forwardStatements, rollback: rollbackStatements }
    : { valid: false, problems }
}

/**
 * Like {@link validateRollback}, and throws what is wrong.
 *
 * @throws InputError field `rollback`, code `rollback_invalid`, with every problem and, when there is one, a
 *   rollback that would do
 */
export function assertRollback(
  forward: string,
  rollback: string,
  observed: ObservedObjects,
): { readonly forward: readonly Statement[]; readonly rollback: readonly Statement[] } {
  const validation = validateRollback(forward, rollback, observed)
  if (validation.valid) return { forward: validation.forward, rollback: validation.rollback }
  const wrong = validation.problems.map(({ message }) => message).join('; ')
  const suggestion = suggestRollback(forward, observed)
  const hint = suggestion === null ? '' : `. This would undo it: ${suggestion}`
  throw new InputError(
    'rollback',
    `the rollback of '${forward.trim()}' cannot be used: ${wrong}${hint}`,
    'rollback_invalid',
  )
}

/** A rollback for a command, or null when there is none or the command itself cannot be parsed. */
export function suggestRollback(forward: string, observed: ObservedObjects): string | null {
  try {
    const inverses = inverseOfScript(parseScript(forward), observed)
    if (inverses === null || inverses.length === 0) return null
    return inverses.map((inverse) => renderStatement(inverse)).join('; ')
  } catch (error) {
    if (error instanceof SqlSyntaxError || error instanceof InputError) return null
    throw error
  }
}

function parseSide(side: string, text: string, problems: RollbackProblem[]): Statement[] {
  try {
    const statements = parseScript(text)
    if (statements.length === 0) problems.push(problem('empty', `the ${side} is empty`))
    return statements
  } catch (error) {
    if (!(error instanceof SqlSyntaxError)) throw error
    problems.push(problem('syntax', `the ${side} is not valid SQL: ${messageOf(error)}`))
    return []
  }
}

function compare(
  forward: readonly Statement[],
  rollback: readonly Statement[],
  observed: ObservedObjects,
): RollbackProblem[] {
  const { undos, problems } = undosOf(forward, observed)
  // A rollback of what cannot be undone needs no further comment.
  if (problems.length > 0) return problems
  const steps = rollback.filter((statement) => effectOf(statement).kind !== 'none')
  if (steps.length === 0 && undos.length > 0) {
    return [problem('no_effect', 'the rollback changes nothing, so it cannot undo the command')]
  }
  return matchSteps(steps, { forward, undos, observed })
}

/** What has to be undone, last effect first. What was there already or is gone again does not count. */
function undosOf(
  forward: readonly Statement[],
  before: ObservedObjects,
): { undos: Undo[]; problems: RollbackProblem[] } {
  const problems: RollbackProblem[] = []
  let observed = before
  let undos: Undo[] = []
  for (const statement of forward) {
    const effect = effectOf(statement)
    const wasMadeHere =
      effect.kind === 'table_dropped' && undos.some((undo) => makesTable(undo.effect, effect.table))
    if (wasMadeHere) {
      undos = undos.filter((undo) => subjectOf(undo.effect) !== subjectOf(effect))
    } else if (changesSomething(statement, observed)) {
      const undo = undoOf(statement, observed)
      if ('code' in undo) problems.push(undo)
      else undos.unshift(undo)
    }
    observed = observedAfter(statement, observed)
  }
  return { undos, problems }
}

function changesSomething(statement: Statement, observed: ObservedObjects): boolean {
  if (effectOf(statement).kind === 'none' || isAlreadyThere(statement, observed)) return false
  // For a plain table "not there" is not taken for granted: somebody may make it before the command runs.
  const dropsNothing =
    statement.kind === 'drop_table' &&
    statement.ifExists &&
    !observed.tables.has(statement.table.name) &&
    isShardedDrop(statement, observed)
  return !dropsNothing
}

function makesTable(effect: Effect, table: string): boolean {
  return effect.kind === 'table_made' && effect.table === table
}

interface Surroundings {
  readonly forward: readonly Statement[]
  readonly undos: readonly Undo[]
  readonly observed: ObservedObjects
}

function matchSteps(steps: readonly Statement[], surroundings: Surroundings): RollbackProblem[] {
  const problems: RollbackProblem[] = []
  let open = [...surroundings.undos]
  for (const [index, step] of steps.entries()) {
    const found = open.find((undo) => undo.judge(step) !== null)
    if (found === undefined) {
      if (!isPreparation(step, steps[index + 1], open)) problems.push(strayProblem(step, surroundings))
      continue
    }
    if (found !== open[0]) {
      const text = `undo in reverse order: ${shown(step)} comes too early`
      problems.push(problem('wrong_order', text))
    }
    const isPrepared = dropsBefore(steps[index - 1], step)
    const judged = found.judge(step) ?? []
    // CREATE right behind DROP IF EXISTS of the same table can be sent any number of times.
    problems.push(...judged.filter(({ code }) => code !== 'not_repeatable' || !isPrepared))
    open = open.filter((undo) => undo !== found)
  }
  if (problems.length > 0) return problems
  return open.map(({ statement }) => problem('incomplete', `the rollback does not undo ${shown(statement)}`))
}

/** Whether `step` clears a sharded table away so that `next` can make it again, as one of the undos wants. */
function isPreparation(step: Statement, next: Statement | undefined, open: readonly Undo[]): boolean {
  if (next?.kind !== 'create_table' || !isShardedDefinition(next) || !dropsBefore(step, next)) return false
  return open.some((undo) => undo.judge(next) !== null)
}

function dropsBefore(step: Statement | undefined, next: Statement): boolean {
  return (
    step?.kind === 'drop_table' &&
    step.ifExists &&
    next.kind === 'create_table' &&
    step.table.name === next.table.name
  )
}

/** A statement of the rollback that undoes nothing. */
function strayProblem(step: Statement, { forward, undos, observed }: Surroundings): RollbackProblem {
  const effect = effectOf(step)
  const isMadeHere = undos.some(
    (undo) =>
      (undo.effect.kind === 'table_made' || undo.effect.kind === 'cluster_made') &&
      subjectOf(undo.effect) === subjectOf(effect),
  )
  const touched = forward.some((statement) => isAboutTheSame(effectOf(statement), effect))
  if (destroys(effect) && !isMadeHere && (touched || wasThere(effect, observed))) {
    return problem('destroys_existing', `${shown(step)} takes away what was there before the command`)
  }
  return touched
    ? problem('does_not_undo', `${shown(step)} is not the opposite of what the command does`)
    : problem('other_object', `${shown(step)} changes something that the command does not touch`)
}

/** The object that an effect is about. */
function subjectOf(effect: Effect): string | null {
  if (effect.kind === 'none') return null
  return 'table' in effect ? `table ${effect.table}` : `cluster ${effect.cluster}`
}

function isAboutTheSame(a: Effect, b: Effect): boolean {
  if (subjectOf(a) !== subjectOf(b)) return false
  return !('tables' in a && 'tables' in b) || a.tables.some((table) => b.tables.includes(table))
}

const DESTROYING: readonly Effect['kind'][] = [
  'table_dropped',
  'table_emptied',
  'cluster_deleted',
  'cluster_left',
  'rows_deleted',
]

function destroys(effect: Effect): boolean {
  return DESTROYING.includes(effect.kind)
}

function wasThere(effect: Effect, observed: ObservedObjects): boolean {
  if (effect.kind === 'cluster_left') return isMember(observed, effect.cluster)
  if ('table' in effect) return observed.tables.has(effect.table)
  return 'cluster' in effect && observed.clusters.has(effect.cluster)
}
