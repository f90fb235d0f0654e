import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { NodeError } from '../../src/domain/errors.ts'
import type { NodeConnection, NodeConnector } from '../../src/domain/ports.ts'

/** A node that the contract is tried on, and what its makers can do to it. */
export interface ContractNode {
  readonly node: string
  /** A new connector each time; the contract closes it. */
  readonly connector: () => NodeConnector
  /** Lets the answer to the next statement get lost after its effect. Null where that cannot be arranged. */
  readonly loseNextAnswer: (() => void | Promise<void>) | null
  readonly stop: () => Promise<void>
}

const TABLES = ['contract_rows', 'contract_once', 'contract_lost']
const LARGE_ID = 9007199254740993n
/** All that a string literal must get through unharmed. */
const TEXT = 'it\'s 50% & "ä+b=c" \\ 🙂\nnext'
const TEXT_LITERAL = `'${TEXT.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', '\\n')}'`

/** What every NodeConnection keeps, whatever is behind it. */
export function nodeConnectionContract(implementation: string, start: () => Promise<ContractNode>): void {
  describe(`NodeConnection: ${implementation}`, () => {
    let node: ContractNode
    let connector: NodeConnector
    let connection: NodeConnection

    beforeAll(async () => {
      node = await start()
      connector = node.connector()
      connection = connector.connection(node.node)
    })
    afterEach(async () => {
      for (const table of TABLES) await connection.execute(`DROP TABLE IF EXISTS ${table}`)
    })
    afterAll(async () => {
      await connector.close()
      await node.stop()
    })

    answersContract(() => connection)
    failuresContract(() => connection)
    endingsContract(() => connection)
    closingContract(() => node)

    it('leaves the outcome of an effect open when its answer is lost', async ({ skip }) => {
      skip(node.loseNextAnswer === null, 'answers cannot be made to get lost here')
      await node.loseNextAnswer?.()
      const error = await failureOf(connection.execute('CREATE TABLE contract_lost (v int)'))
      expect(error.code).toBe('outcome_unknown')
      expect((await connection.read("SHOW TABLES LIKE 'contract_lost'")).rows).toHaveLength(1)
    })

    it('sends a read again when its answer is lost', async ({ skip }) => {
      skip(node.loseNextAnswer === null, 'answers cannot be made to get lost here')
      await node.loseNextAnswer?.()
      expect((await connection.read('SELECT 1')).total).toBe(1)
    })
  })
}

function answersContract(connection: () => NodeConnection): void {
  it('gives rows with their columns, and the number of rows affected', async () => {
    const created = await connection().execute('CREATE TABLE contract_rows (s string, n int)')
    expect(created).toEqual({ columns: [], rows: [], total: 0, warning: '' })
    const inserted = await connection().execute(
      `INSERT INTO contract_rows (id,s,n) VALUES (1,${TEXT_LITERAL},7),(${LARGE_ID},'',0)`,
    )
    expect(inserted.total).toBe(2)
    const reply = await connection().read('SELECT id, s, n FROM contract_rows ORDER BY id ASC LIMIT 10')
    expect(reply).toEqual({
      columns: [
        { name: 'id', type: 'long long' },
        { name: 's', type: 'string' },
        { name: 'n', type: 'long' },
      ],
      rows: [
        { id: 1, s: TEXT, n: 7 },
        { id: LARGE_ID, s: '', n: 0 },
      ],
      total: 2,
      warning: '',
    })
  })

  it('tells by the number of rows affected whether a conditional write took place', async () => {
    await connection().execute('CREATE TABLE contract_rows (n int)')
    await connection().execute('INSERT INTO contract_rows (id,n) VALUES (1,1)')
    const update = 'UPDATE contract_rows SET n=2 WHERE id=1 AND n=1'
    expect((await connection().execute(update)).total).toBe(1)
    expect((await connection().execute(update)).total).toBe(0)
  })

  it('takes many calls at once', async () => {
    const replies = await Promise.all(Array.from({ length: 100 }, () => connection().read('SELECT 1')))
    expect(replies.every(({ total }) => total === 1)).toBe(true)
  })
}

function failuresContract(connection: () => NodeConnection): void {
  it.each([
    ['nonsense', 'syntax'],
    ['SELECT 1; SELECT 2', 'syntax'],
    ['SELECT * FROM contract_absent LIMIT 1', 'missing'],
    ['DESC contract_absent', 'missing'],
    ['DROP TABLE contract_absent', 'missing'],
    ['INSERT INTO contract_absent (id) VALUES (1)', 'missing'],
    ['EXIT CLUSTER contract_absent', 'missing'],
    ['DELETE CLUSTER contract_absent', 'missing'],
    ['JOIN CLUSTER contract_absent', 'refused'],
  ])('%s: %s', async (sql, code) => {
    const error = await failureOf(connection().execute(sql))
    expect(error).toMatchObject({ code, node: connection().node, sql })
    expect(error.daemonText).not.toBe('')
    expect(error.message).toContain(error.daemonText)
    expect(error.message).toContain(connection().node)
  })

  it('tells duplicates, of tables and of rows', async () => {
    const create = 'CREATE TABLE contract_once (v int)'
    const insert = 'INSERT INTO contract_once (id,v) VALUES (1,1)'
    for (const sql of [create, insert]) {
      await connection().execute(sql)
      expect((await failureOf(connection().execute(sql))).code).toBe('duplicate')
    }
  })
}

function endingsContract(connection: () => NodeConnection): void {
  it('sends nothing when the call is aborted already', async () => {
    const reason = new Error('not wanted')
    const signal = AbortSignal.abort(reason)
    const create = connection().execute('CREATE TABLE contract_once (v int)', { signal })
    await expect(create).rejects.toBe(reason)
    await expect(connection().read('SELECT 1', { signal })).rejects.toBe(reason)
    expect((await connection().read("SHOW TABLES LIKE 'contract_once'")).rows).toEqual([])
  })

  it('sends nothing when no time is left', async () => {
    const create = connection().execute('CREATE TABLE contract_once (v int)', { timeoutMs: 0 })
    expect((await failureOf(create)).code).toBe('unreachable')
    expect((await connection().read("SHOW TABLES LIKE 'contract_once'")).rows).toEqual([])
  })
}

function closingContract(node: () => ContractNode): void {
  it('is the same connection for the same node, until it is closed', async () => {
    const connector = node().connector()
    const first = connector.connection(node().node)
    expect(first.node).toBe(node().node)
    expect(connector.connection(node().node)).toBe(first)
    await first.close()
    await first.close()
    expect((await failureOf(first.read('SELECT 1'))).code).toBe('closed')
    expect((await failureOf(first.execute('SELECT 1'))).code).toBe('closed')
    const second = connector.connection(node().node)
    expect(second).not.toBe(first)
    expect((await second.read('SELECT 1')).total).toBe(1)
    await connector.close()
  })

  it('ends with its connector', async () => {
    const connector = node().connector()
    const connection = connector.connection(node().node)
    expect((await connection.read('SELECT 1')).total).toBe(1)
    await connector.close()
    await connector.close()
    expect((await failureOf(connection.read('SELECT 1'))).code).toBe('closed')
    expect(() => connector.connection(node().node)).toThrow(expect.objectContaining({ code: 'closed' }))
  })
}

async function failureOf(call: Promise<unknown>): Promise<NodeError> {
  const error: unknown = await call.then(
    () => new Error('the call succeeded'),
    (reason: unknown) => reason,
  )
  if (!(error instanceof NodeError)) throw error
  return error
}
