import type { Member } from './member.ts'

/** Makes tables the way the sharding of Manticore Buddy leaves them, with plain SQL. */

const TABLES = {
  'system.sharding_table': 'cluster string, node string, table string, shards multi',
  'system.sharding_state': '`key` string, value json, updated_at timestamp',
  'system.sharding_queue':
    'node string, query string, rollback_query string, wait_for_id bigint, rollback_wait_for_id bigint, operation_group string, tries int, status string, created_at bigint, updated_at bigint, duration int',
}

/** One shard: where it is, and the replica set that keeps it there. */
export interface BuddyShard {
  readonly nodes: readonly string[]
  readonly set?: string
}

export async function sql(member: Member, node: string, text: string): Promise<void> {
  await member.client.connection(node).execute(text)
}

/** The tables that Buddy and this project share, as Buddy makes them. */
export async function makeBuddyTables(member: Member, nodes: readonly string[], cluster: string | null) {
  const [first = ''] = nodes
  for (const [name, columns] of Object.entries(TABLES)) {
    await sql(member, first, `CREATE TABLE ${name} (${columns.replaceAll('table string', '`table` string')})`)
    if (cluster !== null) await sql(member, first, `ALTER CLUSTER ${cluster} ADD ${name}`)
  }
}

/** @param firstRow id of the first placement row: beyond 2^53, as the daemon makes them */
export async function makeBuddyTable(
  member: Member,
  parts: {
    readonly nodes: readonly string[]
    readonly cluster: string | null
    readonly table: string
    readonly shards: readonly BuddyShard[]
    readonly firstRow: bigint
  },
): Promise<void> {
  const { nodes, cluster, table, shards, firstRow } = parts
  const nameOf = (shard: number) => `system.${table}_s${shard}`
  for (const [shard, { nodes: holders }] of shards.entries()) {
    for (const node of holders) await sql(member, node, `CREATE TABLE ${nameOf(shard)} (title text, n int)`)
  }
  const sets = Map.groupBy([...shards.entries()], ([, { set }]) => set)
  for (const [set, members] of sets) {
    const [[firstShard, { nodes: holders }] = [0, { nodes: [] }]] = members
    const [first = '', ...others] = holders
    if (set === undefined) continue
    // Any folder will do for a set; that of the set's first shard is there.
    await sql(member, first, `CREATE CLUSTER ${set} '${nameOf(firstShard)}' as path`)
    for (const node of others) {
      await sql(member, node, `JOIN CLUSTER ${set} AT '${first}' '${nameOf(firstShard)}' as path`)
    }
    const names = members.map(([shard]) => nameOf(shard))
    await sql(member, first, `ALTER CLUSTER ${set} ADD ${names.join(', ')}`)
  }
  for (const node of nodes) {
    await sql(
      member,
      node,
      `CREATE TABLE ${table} (title text, n int) type='shard' ${layout(shards, table, node)}`,
    )
  }
  const into = cluster === null ? '' : `${cluster}:`
  let id = firstRow
  for (const node of nodes) {
    const held = [...shards.entries()].filter(([, { nodes: holders }]) => holders.includes(node))
    if (held.length === 0) continue
    const numbers = held.map(([shard]) => shard).join(',')
    await sql(
      member,
      nodes[0] ?? '',
      `INSERT INTO ${into}system.sharding_table (id, cluster, node, \`table\`, shards) VALUES (${id}, '${cluster ?? ''}', '${node}', '${table}', (${numbers}))`,
    )
    id++
  }
  await sql(
    member,
    nodes[0] ?? '',
    `INSERT INTO ${into}system.sharding_state (id, \`key\`, value, updated_at) VALUES (${id}, 'table:${table}', '{"shards":${shards.length}}', 1700000000)`,
  )
}

function layout(shards: readonly BuddyShard[], table: string, node: string): string {
  return shards
    .map(({ nodes: holders }, shard) =>
      holders.includes(node)
        ? `local='system.${table}_s${shard}'`
        : `agent='${holders.map((holder) => `${holder}:system.${table}_s${shard}`).join('|')}'`,
    )
    .join(' ')
}

/** Every row of the placement, ids included, as lines of text. */
export async function placementRows(member: Member, node: string): Promise<string[]> {
  const reply = await member.client
    .connection(node)
    .read('SELECT * FROM system.sharding_table ORDER BY id ASC LIMIT 1000')
  return reply.rows.map((row) =>
    ['id', 'cluster', 'node', 'table', 'shards'].map((name) => String(row[name])).join(' '),
  )
}
