import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConnectedCatalog, HttpNodeConnector } from '../manticore/index.ts'
import { EmbeddedCluster } from '../embedded/index.ts'
import { parseScript } from '../sql/index.ts'
import { type Presence, Probe } from './probe.ts'

let embedded: EmbeddedCluster
let connector: HttpNodeConnector
let probe: Probe
let here: string
let there: string

beforeAll(async () => {
  embedded = await EmbeddedCluster.start({ nodes: 3, cluster: 'c', dataDir: ':memory:' })
  connector = new HttpNodeConnector()
  probe = new Probe(new ConnectedCatalog(connector), connector)
  const [first, second] = embedded.nodes.map(({ id }) => id)
  here = first ?? ''
  there = second ?? ''
  for (const sql of [
    'CREATE TABLE users (title text, n int)',
    "INSERT INTO users (id, title, n) VALUES (1, 'a', 1), (2, 'b', 2)",
    'CREATE TABLE system.t_s0 (n int)',
    'CREATE TABLE system.t_s1 (n int)',
    `CREATE TABLE t (n int) type='shard' local='system.t_s0' agent='${there}:system.t_s1'`,
    'CREATE TABLE inside (n int)',
    'ALTER CLUSTER c ADD inside',
  ]) {
    await connector.connection(here).execute(sql)
  }
})
afterAll(async () => {
  await connector.close()
  await embedded.close()
})

async function look(script: string, node = here): Promise<Presence> {
  return await probe.lookAll(node, parseScript(script, { dialect: 'extended' }))
}

/** What a look says of a statement on a node that holds what `beforeAll` has made. */
const STATEMENTS: readonly (readonly [sql: string, presence: Presence])[] = [
  ['CREATE TABLE users (title text, n int)', 'present'],
  ['CREATE TABLE IF NOT EXISTS users (n int, title text)', 'present'],
  ['CREATE TABLE users (title text, n bigint)', 'different'],
  ['CREATE TABLE users (title text)', 'different'],
  ['CREATE TABLE nobody (title text)', 'absent'],
  ["CREATE TABLE t (n int) type='shard' local='system.t_s0' agent='THERE:system.t_s1'", 'present'],
  ["CREATE TABLE t (n int) type='shard' local='system.t_s1' agent='THERE:system.t_s0'", 'different'],
  ["CREATE TABLE t (n int) type='shard' local='system.t_s0'", 'different'],
  ["CREATE TABLE users (title text, n int) type='shard' local='system.t_s0'", 'different'],
  ['DROP TABLE users', 'absent'],
  ['DROP TABLE IF EXISTS nobody', 'present'],
  ['ALTER TABLE users ADD COLUMN n int', 'present'],
  ['ALTER TABLE users ADD COLUMN m int', 'absent'],
  ['ALTER TABLE users DROP COLUMN n', 'absent'],
  ['ALTER TABLE users DROP COLUMN m', 'present'],
  ['CREATE CLUSTER c', 'present'],
  ['CREATE CLUSTER nobody', 'absent'],
  ["JOIN CLUSTER c AT 'THERE'", 'present'],
  ["JOIN CLUSTER nobody AT 'THERE'", 'absent'],
  ['DELETE CLUSTER c', 'absent'],
  ['DELETE CLUSTER nobody', 'present'],
  ['EXIT CLUSTER c', 'absent'],
  ['EXIT CLUSTER nobody', 'present'],
  ['ALTER CLUSTER c ADD inside', 'present'],
  ['ALTER CLUSTER c ADD users', 'absent'],
  ['ALTER CLUSTER c ADD inside, users', 'partial'],
  ['ALTER CLUSTER c DROP users', 'present'],
  ['ALTER CLUSTER c DROP inside', 'absent'],
  ['ALTER CLUSTER c DROP inside, users', 'partial'],
  ['ALTER CLUSTER nobody ADD inside', 'absent'],
  ["INSERT INTO users (id, title) VALUES (1, 'a'), (2, 'b')", 'present'],
  ["INSERT INTO users (title, id) VALUES ('a', 1), ('x', 3)", 'partial'],
  ["INSERT INTO users (id, title) VALUES (3, 'x')", 'absent'],
  ["INSERT INTO users (title) VALUES ('a')", 'absent'],
  ['DELETE FROM users WHERE id=3', 'present'],
  ['DELETE FROM users WHERE id IN (3, 4)', 'present'],
  ['DELETE FROM users WHERE id IN (2, 3)', 'absent'],
  ['DELETE FROM users WHERE n=7', 'absent'],
  // Sent again, these do the same again.
  ['ALTER CLUSTER c UPDATE nodes', 'absent'],
  ['UPDATE users SET n=1 WHERE id=1', 'absent'],
  ["REPLACE INTO users (id, title) VALUES (1, 'a')", 'absent'],
  ["VERIFY TABLES users ON 'THERE', 'THERE'", 'absent'],
]

describe('a look at what a statement does', () => {
  it.each(STATEMENTS)('%s: %s', async (sql, presence) => {
    expect(await look(sql.replaceAll('THERE', there))).toBe(presence)
  })

  it.each([
    'ALTER TABLE nobody ADD COLUMN n int',
    'ALTER TABLE nobody DROP COLUMN n',
    'INSERT INTO nobody (id, n) VALUES (1, 2)',
    'DELETE FROM nobody WHERE id=1',
  ])('to a table that is not there finds nothing: %s', async (sql) => {
    expect(await look(sql)).toBe('absent')
  })

  it('is at its own node', async () => {
    expect(await look('CREATE TABLE users (title text, n int)', there)).toBe('absent')
  })

  it('finds what is there of several statements', async () => {
    expect(await look('DROP TABLE IF EXISTS nobody; CREATE TABLE users (title text, n int)')).toBe('present')
    expect(await look('CREATE TABLE users (title text, n int); CREATE TABLE nobody (n int)')).toBe('partial')
    expect(await look('CREATE TABLE users (n int); CREATE TABLE nobody (n int)')).toBe('different')
    expect(await look('DROP TABLE users; CREATE TABLE nobody (n int)')).toBe('absent')
  })

  it('finds whether a table was replaced, and that it was not when it is gone', async () => {
    const replaced = (columns: string, table = 'users') =>
      `DROP TABLE IF EXISTS ${table}; CREATE TABLE ${table} (${columns})`
    expect(await look(replaced('title text, n int'))).toBe('present')
    expect(await look(replaced('title text'))).toBe('absent')
    expect(await look(replaced('title text', 'nobody'))).toBe('partial')
  })

  it('rejects when the node does not answer', async () => {
    const third = embedded.nodes[2]?.id ?? ''
    embedded.isolateFromClients(third)
    await expect(look('DROP TABLE users', third)).rejects.toMatchObject({ code: 'unreachable' })
    embedded.heal()
    expect(await look('DROP TABLE users', third)).toBe('present')
  })

  it('finds membership of a cluster without quorum partial: it is there, but of no use', async () => {
    const nodes = await EmbeddedCluster.start({
      nodes: 2,
      cluster: 'c',
      dataDir: ':memory:',
      failureDetectionMs: 0,
    })
    try {
      const [node, other] = nodes.nodes
      if (node === undefined || other === undefined) throw new Error('two nodes were started')
      await nodes.crash(other.id)
      await nodes.until(
        () => node.process?.memberships.get('c')?.writable === false,
        AbortSignal.timeout(10_000),
      )
      expect(await look(`JOIN CLUSTER c AT '${other.id}'`, node.id)).toBe('partial')
      expect(await look('EXIT CLUSTER c', node.id)).toBe('partial')
    } finally {
      await nodes.close()
    }
  })
})
