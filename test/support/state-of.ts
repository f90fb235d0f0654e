import type { NodeCatalog } from '../../src/domain/ports.ts'
import { OPERATION_TABLE, PLACEMENT_TABLE, QUEUE_TABLE, STATE_TABLE } from '../../src/domain/system-tables.ts'
import type { Member } from './member.ts'

const JOURNAL = new Set([OPERATION_TABLE, PLACEMENT_TABLE, QUEUE_TABLE, STATE_TABLE])

/** Everything on all nodes but the journal itself, as lines of text: comparing two shows what differs. */
export async function stateOf(member: Member, nodes: readonly string[]): Promise<string[]> {
  const { catalog } = member.client.parts
  const lines: string[] = []
  for (const node of nodes) {
    lines.push(...(await nodeState(catalog, node)))
  }
  const { placements } = await member.cluster.observe()
  lines.push(...placements.map((row) => `placement ${row.table} ${row.node} ${row.shards.join(',')}`))
  return lines.toSorted()
}

async function nodeState(catalog: NodeCatalog, node: string): Promise<string[]> {
  const tables = await catalog.tables(node)
  const clusters = await catalog.clusters(node)
  return [
    ...[...tables]
      .filter(([name]) => !JOURNAL.has(name))
      .map(([name, type]) => `${node} table ${name} ${type}`),
    ...clusters.map(
      ({ name, nodesView, tables: inside }) =>
        `${node} cluster ${name}: ${nodesView.toSorted().join(' ')} | ${inside.filter((table) => !JOURNAL.has(table)).join(' ')}`,
    ),
  ]
}
