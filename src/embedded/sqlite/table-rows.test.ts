import { expect, test } from 'vitest'
import { parseStatement } from '../../sql/index.ts'
import { Database } from './database.ts'
import { TableRows } from './table-rows.ts'

function planOf(condition: string): string {
  const database = new Database(':memory:')
  const table = {
    name: 't',
    kind: 'rt',
    columns: [{ name: 's', type: 'string', properties: [] }],
    options: [],
  } as const
  const rows = new TableRows(database, table, 1, false)
  rows.make()
  const statement = parseStatement(`DELETE FROM t WHERE ${condition}`)
  if (statement.kind !== 'delete') throw new TypeError('not a DELETE')
  const where = rows.where(statement.where)
  const plan = database.rows(
    `EXPLAIN QUERY PLAN UPDATE t_1 SET c_s = '' WHERE ${where.sql}`,
    where.parameters,
  )
  database.close()
  return plan.map((step) => String(step[3])).join('; ')
}

test.each(['id=5', "id=5 AND s='x'", 'id IN (1,2,3)', `id IN (${'7,'.repeat(100)}7) AND s='x'`])(
  'rows are found by their key: %s',
  (condition) => {
    expect(planOf(condition)).toContain('SEARCH t_1 USING INTEGER PRIMARY KEY')
  },
)
