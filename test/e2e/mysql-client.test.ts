import { execFile, spawnSync } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { EmbeddedCluster, Table } from '../../src/index.ts'
import { type Member, openMember } from '../support/member.ts'

const run = promisify(execFile)
const hasClient = spawnSync('mysql', ['--version']).status === 0

/** The client that people have on their machines. */
describe.skipIf(!hasClient)('a stock mysql client (skipped where there is no `mysql` on the PATH)', () => {
  let nodes: EmbeddedCluster
  let member: Member
  beforeAll(async () => {
    nodes = await EmbeddedCluster.start({ nodes: 2, cluster: 'c', dataDir: ':memory:', mysql: true })
    member = openMember(nodes.nodes.map(({ id }) => id))
  })
  afterAll(async () => {
    await member.close()
    await nodes.close()
  })

  async function mysql(node: number, sql: string): Promise<string[]> {
    const port = String(nodes.nodes[node]?.mysqlPort ?? 0)
    const common = ['--host=127.0.0.1', `--port=${port}`, '--protocol=tcp', '--batch', '--skip-column-names']
    const { stdout } = await run('mysql', [...common, '--default-character-set=utf8mb4', '--execute', sql])
    return stdout.trimEnd().split('\n')
  }

  it('makes, fills, inspects and drops a table', async () => {
    await mysql(0, 'CREATE TABLE notes (title text, n bigint, label string)')
    await mysql(
      0,
      "INSERT INTO notes (id, title, n, label) VALUES (1, 'snow', 9007199254740993, 'Ünïcode ❄ 雪')",
    )
    expect(await mysql(0, 'SHOW TABLES')).toContain('notes\trt')
    expect(await mysql(0, 'DESC notes')).toContain('title\ttext\tindexed stored')
    expect(await mysql(0, "SELECT id, n, label FROM notes WHERE MATCH('snow')")).toEqual([
      '1\t9007199254740993\tÜnïcode ❄ 雪',
    ])
    expect(await mysql(0, 'SELECT COUNT(*) FROM notes')).toEqual(['1'])
    await mysql(0, 'DROP TABLE notes')
    expect(await mysql(0, 'SHOW TABLES')).not.toContain('notes\trt')
  })

  it('is told what the daemon says when it is wrong', async () => {
    await expect(mysql(0, 'SELECT * FROM nowhere')).rejects.toThrow(
      /ERROR 1064 .*unknown local table\(s\) 'nowhere'/,
    )
  })

  it('writes and reads a sharded table on any node', async () => {
    const table = new Table(member.client, member.cluster, 'users', 'title text')
    await table.shard(member.queue, 3, 2)
    await mysql(0, "INSERT INTO users (id, title) VALUES (1, 'one'), (2, 'two')")
    await mysql(1, "REPLACE INTO users (id, title) VALUES (2, 'second')")
    expect(await mysql(1, 'SELECT id, title FROM users ORDER BY id ASC')).toEqual(['1\tone', '2\tsecond'])
    expect(await mysql(0, 'SHOW TABLES')).toContain('users\tshard')
    await table.drop(member.queue)
  })
})
