import { createConnection, type Connection } from 'mysql2/promise'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseStatement } from '../sql/index.ts'
import { ConnectionDropped, type Listener } from './local-listener.ts'
import { createNodeSession, executeLocal } from './local-statements.ts'
import { type MysqlClient, startMysqlServer } from './mysql-server.ts'
import { SqliteTableStore } from './store-sqlite.ts'

let store: SqliteTableStore
let server: Listener
let client: Connection
let clients: MysqlClient[]

beforeEach(async () => {
  clients = []
  store = new SqliteTableStore(':memory:')
  server = await startMysqlServer({
    host: '127.0.0.1',
    port: 0,
    openSession: (who) => {
      clients.push(who)
      const session = createNodeSession()
      return async (sql) => {
        if (sql.includes('drop me')) throw new ConnectionDropped()
        return executeLocal(store, parseStatement(sql), session)
      }
    },
  })
  client = await createConnection({
    host: '127.0.0.1',
    port: server.port,
    user: 'anybody',
    password: 'anything',
    database: 'Manticore',
    supportBigNumbers: true,
  })
  client.on('error', () => undefined)
})

afterEach(async () => {
  client.destroy()
  await server.close()
  store.close()
})

async function rows(sql: string): Promise<unknown> {
  const [found] = await client.query(sql)
  return found
}

describe('the MySQL protocol', () => {
  test('any user and password are accepted, and told to the session', () => {
    expect(clients).toEqual([{ connectionId: 1, user: 'anybody', database: 'Manticore' }])
  })

  test('values come back with their types and exactly, long integers and Unicode too', async () => {
    await client.query(
      'CREATE TABLE t (title text, s string, n int, big bigint, f float, b bool, m multi, j json)',
    )
    await client.query(
      "INSERT INTO t (id,title,s,n,big,f,b,m,j) VALUES (9007199254740993,'юникод','漢字 🙂 \\'q\\'',4294967295,-5,1.5,1,(2,1),'{\"a\":[1.5]}')",
    )
    expect(await rows('SELECT * FROM t')).toEqual([
      {
        id: '9007199254740993',
        s: "漢字 🙂 'q'",
        n: 4294967295,
        big: -5,
        f: 1.5,
        b: 1,
        m: '1,2',
        j: '{"a":[1.500000]}',
        title: 'юникод',
      },
    ])
  })

  test('statements without rows tell how many they affected, and warnings', async () => {
    await client.query('CREATE TABLE t (n int, j json)')
    const [inserted] = await client.query('INSERT INTO t (id,n) VALUES (1,1),(2,1)')
    expect(inserted).toMatchObject({ affectedRows: 2, warningStatus: 0 })
    const [updated] = await client.query('UPDATE t SET n=2 WHERE n=1')
    expect(updated).toMatchObject({ affectedRows: 2 })
    const [warned] = await client.query("INSERT INTO t (id,j) VALUES (3,'not json')")
    expect(warned).toMatchObject({ affectedRows: 1, warningStatus: 1 })
    expect(await rows('SHOW WARNINGS')).toMatchObject([
      { Message: expect.stringContaining('P10: syntax error') },
    ])
  })

  test('a failure is error 1064 (42000) with the text, and the connection stays good', async () => {
    await expect(client.query('SELECT * FROM nosuch')).rejects.toMatchObject({
      errno: 1064,
      sqlState: '42000',
      sqlMessage: "unknown local table(s) 'nosuch' in search request",
    })
    await client.ping()
    expect(await rows('SELECT 1')).toEqual([{ '1': 1 }])
  })

  test('what clients send on connecting is answered', async () => {
    await client.query('SET NAMES utf8mb4')
    await expect(client.execute('SELECT 1')).rejects.toMatchObject({ errno: 1047 })
    expect(await rows('SELECT DATABASE()')).toEqual([{ 'database()': 'Manticore' }])
    expect(await rows('SELECT @@version_comment LIMIT 1')).toEqual([
      { '@@version_comment': expect.stringContaining('embedded') },
    ])
  })

  test('statements and results larger than one packet (16 MB) pass', async () => {
    await client.query('CREATE TABLE t (s string)')
    const long = 'ab🙂'.repeat(3_000_000)
    await client.query(`INSERT INTO t (id,s) VALUES (1,'${long}')`)
    const found = await rows('SELECT s FROM t')
    expect(found).toEqual([{ s: long }])
  })

  test('a dropped connection ends without an answer', async () => {
    await expect(client.query('drop me')).rejects.toMatchObject({ code: 'PROTOCOL_CONNECTION_LOST' })
  })
})
