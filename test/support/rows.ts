import { renderStatement } from '../../src/sql/index.ts'
import type { Member } from './member.ts'

/** Writes rows with ids from 1 through a node; each one's content follows from its id. */
export async function writeRows(member: Member, node: string, table: string, count: number): Promise<void> {
  const rows = Array.from({ length: count }, (_, index) => [index + 1, `row ${index + 1}`, index * 7])
  await member.client.connection(node).execute(
    renderStatement({
      kind: 'insert',
      table: { cluster: null, name: table },
      columns: ['id', 'title', 'n'],
      rows,
    }),
  )
}

/** All rows as a node shows them, as lines of text. */
export async function rowsThrough(member: Member, node: string, table: string): Promise<string[]> {
  const { rows, warning } = await member.client
    .connection(node)
    .read(`SELECT id, title, n FROM ${table} ORDER BY id ASC LIMIT 1000`)
  if (warning !== '') throw new Error(`${node} answers in part only: ${warning}`)
  return rows.map(({ id, title, n }) => `${String(id)} ${String(title)} ${String(n)}`)
}
