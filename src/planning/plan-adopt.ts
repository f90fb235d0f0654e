import { InputError } from '../domain/errors.ts'
import type { Plan } from '../domain/plan.ts'
import type { IdSource } from '../domain/ports.ts'
import type { CreateTable } from '../domain/statement.ts'
import type { NodeId } from '../domain/words.ts'
import { type AdoptionFindings, findAdoptable, type FoundTable, type ObservedAdoption } from './adoption.ts'
import { replaceShardedTable } from './statements.ts'
import type { ObservedState } from './observed.ts'
import { PlanBuilder } from './plan-builder.ts'
import { createShardedTable, deletePlacements, dropTable, insertPlacements } from './statements.ts'
import { locationsOf, servingLocations } from './topology.ts'

/**
 * Plans that tables which Manticore Buddy made become ours: sharded tables that are not as they must be are replaced,
 * our placement rows come, Buddy's go. No row of any shard is touched. Tables that cannot be adopted are left alone,
 * and the plan's reasons say why.
 *
 * @throws InputError when a node does not answer: what it holds is not known then
 */
export function planAdopt(observed: ObservedAdoption, ids: IdSource): Plan {
  if (observed.missingNodes.length > 0) {
    throw new InputError(
      'nodes',
      `cannot adopt tables: ${observed.missingNodes.join(', ')} of cluster '${observed.cluster ?? ''}' does not answer, and what it holds is not known`,
      'cluster_unhealthy',
    )
  }
  return adoptionPlan(observed, findAdoptable(observed), ids)
}

/** The same from findings at hand. When a node does not answer there is nothing that could be adopted. */
export function adoptionPlan(observed: ObservedAdoption, findings: AdoptionFindings, ids: IdSource): Plan {
  const builder = new PlanBuilder()
  const adopted = findings.tables.filter(({ adoptable }) => adoptable)
  let last: string | undefined
  for (const found of adopted) {
    const switched = addSwitches(builder, observed, found, last)
    last = switched.at(-1) ?? last
    addRows(builder, observed, found, ids, switched)
  }
  const commands = builder.commands()
  const [only, ...others] = adopted
  return {
    type: 'adopt',
    table: only !== undefined && others.length === 0 ? only.table : '',
    summary:
      adopted.length === 0
        ? 'adopt: nothing to adopt'
        : `adopt ${adopted.map(({ table }) => table).join(', ')}: ${commands.length} commands`,
    reasons: findings.problems.map(({ text }) => text),
    copyBytes: 0,
    commands,
  }
}

/** One node after the other, so that only one at a time is without its table, for milliseconds. */
function addSwitches(
  builder: PlanBuilder,
  observed: ObservedAdoption,
  { table, placements, switches }: FoundTable,
  after: string | undefined,
): string[] {
  const definitions = observed.definitions.get(table) ?? new Map<NodeId, CreateTable | null>()
  const columns = observed.columns.get(table) ?? []
  const placed =
    locationsOf(placements.map((row, id) => ({ id, ...row }))).get(table) ?? new Map<number, NodeId[]>()
  const locations = servingLocations(placed, (node) => observed.nodes.includes(node))
  let last = after
  return switches.map((node) => {
    const previous = definitions.get(node)
    last = builder.add(`switch ${table} on ${node}`, {
      node,
      statements: replaceShardedTable(createShardedTable(table, columns, locations, node)),
      rollback:
        previous === undefined || previous === null
          ? [dropTable(table, true)]
          : replaceShardedTable(previous),
      dependsOn: last === undefined ? [] : [last],
      onExisting: 'accept',
      why: 'every node must look for all shards where they are',
    })
    return last
  })
}

/** First ours, then Buddy's go: there is no moment without a placement. */
function addRows(
  builder: PlanBuilder,
  observed: ObservedAdoption,
  { table, placements, replaced }: FoundTable,
  ids: IdSource,
  dependsOn: readonly string[],
): void {
  const { cluster } = observed
  const [node] = observed.nodes
  if (node === undefined) return
  const rows = placements.map((row) => ({ id: ids.next(), ...row }))
  const idsOf = (list: readonly { readonly id: number | bigint }[]) => list.map(({ id }) => id)
  let waits = dependsOn
  if (rows.length > 0) {
    const key = builder.add(`placement of ${table}`, {
      node,
      statements: [insertPlacements('insert', cluster, rows)],
      rollback: [deletePlacements(cluster, idsOf(rows))],
      dependsOn: waits,
      onExisting: 'fail',
      why: 'records which shard is on which nodes, as the nodes themselves say',
    })
    waits = [key]
  }
  if (replaced.length === 0) return
  builder.add(`Buddy's placement of ${table}`, {
    node,
    statements: [deletePlacements(cluster, idsOf(replaced))],
    rollback: [insertPlacements('replace', cluster, replaced)],
    dependsOn: waits,
    onExisting: 'accept',
    why: 'nobody else places this table any more',
  })
}

/**
 * Refuses what would work on a table that Manticore Buddy made and that is not adopted.
 *
 * @throws InputError `table_missing`, `node`
 */
export function assertAdopted(
  observed: ObservedState,
  about: { readonly tables: readonly string[]; readonly leaving: readonly NodeId[] },
): void {
  const rows = observed.buddyPlacements ?? []
  const ours = new Set(observed.placements.map(({ table }) => table))
  const table = about.tables.find((name) => !ours.has(name) && rows.some((row) => row.table === name))
  if (table !== undefined) {
    throw new InputError(
      'table',
      `table '${table}' was made by Manticore Buddy and is not adopted yet: run mshard adopt first; nothing was changed`,
      'table_missing',
    )
  }
  const row = rows.find(({ node }) => about.leaving.includes(node))
  if (row === undefined) return
  throw new InputError(
    'node',
    `${row.node} holds copies of '${row.table}', which was made by Manticore Buddy and is not adopted yet: run mshard adopt first; nothing was changed`,
  )
}
