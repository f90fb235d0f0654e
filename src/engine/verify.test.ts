import { setImmediate as nextTurn } from 'node:timers/promises'
import * as fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startNodes, type TestNodes } from '../../test/support/nodes.ts'
import { InputError } from '../domain/errors.ts'
import type { Clock, NodeConnection, NodeConnector } from '../domain/ports.ts'
import type { Reply } from '../domain/values.ts'
import { ConnectedCatalog, HttpNodeConnector } from '../manticore/index.ts'
import { type Verification, verifyCopies, type VerifyRequest } from './verify.ts'

const TABLE = 'system.copies_s0'
const COLUMNS =
  'title text, name string, n int, big bigint, price float, flag bool, ts timestamp, tags multi, tags64 multi64, doc json'
const ROW = {
  title: `'It\\'s a title'`,
  name: `'ä|b'`,
  n: '4000000000',
  big: '9007199254740993',
  price: '0.5',
  flag: '1',
  ts: '1700000000',
  tags: '(1,2)',
  tags64: '(9007199254740993)',
  doc: `'{"a":1,"b":["x"]}'`,
}
type Values = Readonly<Partial<Record<keyof typeof ROW, string>>>

/** Time passes only while somebody sleeps, and then something may happen. */
class HandClock implements Clock {
  sleeps = 0
  onSleep: (sleeps: number) => Promise<void> = async () => await nextTurn()
  #nowMs = 1_800_000_000_000

  now(): number {
    return this.#nowMs
  }

  pass(ms: number): void {
    this.#nowMs += ms
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    this.#nowMs += ms
    this.sleeps += 1
    await this.onSleep(this.sleeps)
  }
}

let nodes: TestNodes
let http: HttpNodeConnector
let clock: HandClock

beforeAll(async () => {
  nodes = await startNodes(3)
  http = new HttpNodeConnector()
})
afterAll(async () => {
  await http.close()
  await nodes.close()
})
beforeEach(() => {
  clock = new HandClock()
})

function id(index: number): string {
  return nodes.ids[index] ?? ''
}

async function execute(node: number, ...statements: readonly string[]): Promise<void> {
  for (const sql of statements) await http.connection(id(node)).execute(sql)
}

/** Makes the table anew on all three nodes, with these rows. */
async function makeCopies(columns: string, ...inserts: readonly string[]): Promise<void> {
  for (const node of [0, 1, 2]) {
    await execute(node, `DROP TABLE IF EXISTS ${TABLE}`, `CREATE TABLE ${TABLE} (${columns})`, ...inserts)
  }
}

function insert(rowId: number | bigint, values: Values = {}): string {
  const row = { ...ROW, ...values }
  return `REPLACE INTO ${TABLE} (id,${Object.keys(row).join(',')}) VALUES (${rowId},${Object.values(row).join(',')})`
}

async function verify(
  options: Partial<VerifyRequest> & { connector?: NodeConnector } = {},
): Promise<Verification> {
  const { connector = http, ...request } = options
  const parts = { connector, catalog: new ConnectedCatalog(connector), clock }
  return await verifyCopies(parts, { table: TABLE, nodes: nodes.ids, patienceMs: 1_000, ...request })
}

async function differenceOf(options: Partial<VerifyRequest> = {}): Promise<string> {
  const result = await verify(options)
  if (result.kind === 'equal') throw new Error(`found equal: ${result.rows} rows`)
  return result.difference
}

describe('copies that differ', () => {
  beforeEach(async () => {
    await makeCopies(COLUMNS, insert(1), insert(5), insert(9))
  })

  it('not at all are equal', async () => {
    expect(await verify()).toEqual({ kind: 'equal', rows: 3 })
    expect(clock.sleeps).toBe(0)
  })

  it('by a missing row', async () => {
    await execute(2, `DELETE FROM ${TABLE} WHERE id=9`)
    expect(await differenceOf()).toBe(
      `${TABLE} differs between ${id(0)} and ${id(2)} over all ids: 3 rows and 2`,
    )
  })

  it('by a row too many, on the first node and on another', async () => {
    await execute(0, insert(7))
    expect(await differenceOf()).toContain(`${id(0)} and ${id(1)} over all ids: 4 rows and 3`)
    await execute(1, insert(7))
    expect(await differenceOf()).toContain(`${id(0)} and ${id(2)} over all ids: 4 rows and 3`)
    await execute(2, insert(7))
    expect(await verify()).toEqual({ kind: 'equal', rows: 4 })
  })

  it('by a row under another id', async () => {
    await execute(1, `DELETE FROM ${TABLE} WHERE id=5`, insert(6))
    expect(await differenceOf()).toContain(
      `${id(0)} and ${id(1)} over all ids: 3 rows each, but not of the same ids`,
    )
  })

  it.each<[keyof typeof ROW, string]>([
    ['title', `'It\\'s a Title'`],
    ['title', `''`],
    ['name', `'Ä|b'`],
    ['name', `'ä|b '`],
    ['n', '3999999999'],
    ['big', '9007199254740992'],
    ['big', '-9007199254740993'],
    ['price', '0.50000006'],
    ['price', '-0.5'],
    ['flag', '0'],
    ['ts', '1700000001'],
    ['tags', '(1)'],
    ['tags', '()'],
    ['tags64', '(9007199254740992)'],
    ['doc', `'{"a":2,"b":["x"]}'`],
    ['doc', `'{"b":["x"],"a":1}'`],
    ['doc', `''`],
  ])('by the value of %s in one row: %s', async (column, value) => {
    await execute(1, insert(5, { [column]: value }))
    expect(await differenceOf()).toBe(
      `${TABLE} differs between ${id(0)} and ${id(1)} over all ids: 3 rows each, but other values of ${column}`,
    )
    await execute(1, insert(5))
    expect(await verify()).toEqual({ kind: 'equal', rows: 3 })
  })

  it.each<[keyof typeof ROW, string]>([
    ['title', `'other'`],
    ['name', `'other'`],
    ['n', '7'],
    ['big', '7'],
    ['price', '7'],
    ['flag', '0'],
    ['ts', '7'],
    ['tags', '(7)'],
    ['tags64', '(7)'],
    ['doc', `'[7]'`],
  ])('by values of %s that two rows have swapped', async (column, value) => {
    await execute(0, insert(5, { [column]: value }))
    await execute(1, insert(9, { [column]: value }))
    await execute(2, insert(5, { [column]: value }))
    expect(await differenceOf()).toContain(
      `${id(0)} and ${id(1)} over all ids: 3 rows each, but other values of ${column}`,
    )
  })

  it.each([
    ['1e-9', '2e-9'],
    ['1.0000001', '1.0000002'],
    ['300.00003', '300.00006'],
    ['16777217.0', '16777220.0'],
    ['3e38', '2e38'],
  ])('by floats that show alike or do not: %s and %s', async (one, other) => {
    const plain = (text: string) =>
      Number(text).toLocaleString('en', { maximumFractionDigits: 20, useGrouping: false })
    await execute(0, insert(5, { price: plain(one) }))
    await execute(1, insert(5, { price: plain(other) }))
    expect(await differenceOf({ nodes: [id(0), id(1)] })).toContain('other values of price')
  })

  it('in several columns at once, all of them named', async () => {
    await execute(2, insert(5, { title: `'x'`, n: '1' }))
    expect(await differenceOf()).toContain('3 rows each, but other values of n, title')
  })
})

describe('tables', () => {
  it('without rows are equal', async () => {
    await makeCopies('title text, n int')
    expect(await verify()).toEqual({ kind: 'equal', rows: 0 })
  })

  it('of texts only are compared as well', async () => {
    await makeCopies(
      'title text, body text',
      `INSERT INTO ${TABLE} (id,title,body) VALUES (1,'a','b'),(2,'','c')`,
    )
    expect(await verify()).toEqual({ kind: 'equal', rows: 2 })
    await execute(1, `REPLACE INTO ${TABLE} (id,title,body) VALUES (1,'','ab')`)
    expect(await differenceOf()).toContain('other values of title, body')
  })

  it('whose columns are called like what the digests are called', async () => {
    await makeCopies(
      'rows int, sum0 int, checksum1 string, id_ int',
      `INSERT INTO ${TABLE} (id,rows,sum0,checksum1,id_) VALUES (1,7,8,'9',10)`,
    )
    expect(await verify()).toEqual({ kind: 'equal', rows: 1 })
    for (const column of ['rows', 'sum0', 'id_']) {
      await execute(1, `UPDATE ${TABLE} SET ${column}=77 WHERE id=1`)
      expect(await differenceOf()).toContain(`other values of ${column}`)
      await execute(0, `UPDATE ${TABLE} SET ${column}=77 WHERE id=1`)
      await execute(2, `UPDATE ${TABLE} SET ${column}=77 WHERE id=1`)
    }
    expect(await verify()).toEqual({ kind: 'equal', rows: 1 })
  })

  it('with other columns are different', async () => {
    await makeCopies('title text, n int')
    await execute(1, `DROP TABLE ${TABLE}`, `CREATE TABLE ${TABLE} (title text, n bigint)`)
    expect(await differenceOf()).toBe(
      `${TABLE} has the columns (title text indexed stored, n int) on ${id(0)} and (title text indexed stored, n bigint) on ${id(1)}`,
    )
  })

  it('that a node has not are different', async () => {
    await makeCopies('n int')
    await execute(1, `DROP TABLE ${TABLE}`)
    expect(await differenceOf()).toBe(`${TABLE} is not there on ${id(1)}`)
  })

  it('that a node loses meanwhile are different', async () => {
    await makeCopies('n int', `INSERT INTO ${TABLE} (id,n) VALUES (1,1)`)
    await execute(2, `DELETE FROM ${TABLE} WHERE id=1`)
    clock.onSleep = async (sleeps) => {
      if (sleeps === 2) await execute(1, `DROP TABLE ${TABLE}`)
    }
    expect(await differenceOf()).toBe(`${TABLE} is not there on ${id(1)}`)
  })

  it('are not compared with themselves', async () => {
    await makeCopies('n int')
    await expect(verify({ nodes: [id(0), id(0)] })).rejects.toThrow(InputError)
  })
})

describe('ids', () => {
  const EXTREMES = [
    '1',
    '9007199254740992',
    '9007199254740993',
    '9223372036854775807',
    '18446744073709551615',
  ]

  it('of 64 bits, also those that the daemon shows as negative ones', async () => {
    await makeCopies(
      'n int',
      `INSERT INTO ${TABLE} (id,n) VALUES ${EXTREMES.map((text) => `(${text},1)`).join(',')}`,
    )
    expect(await verify()).toEqual({ kind: 'equal', rows: 5 })
  })

  it.each(['9007199254740993', '9223372036854775807', '-1'])('%s can differ', async (text) => {
    await makeCopies(
      'n int',
      `INSERT INTO ${TABLE} (id,n) VALUES ${EXTREMES.map((value) => `(${value},1)`).join(',')}`,
    )
    await execute(1, `UPDATE ${TABLE} SET n=2 WHERE id=${text}`)
    expect(await differenceOf()).toContain('other values of n')
    await execute(1, `DELETE FROM ${TABLE} WHERE id=${text}`)
    expect(await differenceOf()).toContain('5 rows and 4')
  })

  describe('in more rows than are compared at once', () => {
    const ROWS = 45_000
    const FIRST = 2n ** 60n
    const idOf = (index: number) => FIRST + BigInt(index) * 1_000_003n

    beforeAll(async () => {
      const batch = 5_000
      const inserts = Array.from({ length: ROWS / batch }, (_, part) => {
        const values = Array.from({ length: batch }, (_row, at) => {
          const index = part * batch + at
          return `(${idOf(index)},${index % 1_000},'t${index}')`
        })
        return `INSERT INTO ${TABLE} (id,n,title) VALUES ${values.join(',')}`
      })
      await makeCopies('n int, title text', ...inserts)
    })

    it('are equal', async () => {
      expect(await verify()).toEqual({ kind: 'equal', rows: ROWS })
    })

    it.each([0, 19_999, 20_000, 31_234, ROWS - 1])(
      'are told to differ in row %i within a few ids',
      async (index) => {
        await execute(1, `UPDATE ${TABLE} SET n=7777 WHERE id=${idOf(index)}`)
        const difference = await differenceOf()
        const [after = 0n, upTo = 0n] = [/behind id (\d+)/, /up to id (\d+)| up to (\d+)/].map((pattern) =>
          BigInt(
            pattern
              .exec(difference)
              ?.slice(1)
              .find((digits) => digits !== undefined) ?? 0,
          ),
        )
        expect(difference).toContain('other values of n')
        expect(after < idOf(index)).toBe(true)
        if (upTo !== 0n) expect(upTo >= idOf(index)).toBe(true)
        if (after !== 0n && upTo !== 0n) expect(upTo - after).toBeLessThanOrEqual(16n * 1_000_003n)
        await execute(1, `UPDATE ${TABLE} SET n=${index % 1_000} WHERE id=${idOf(index)}`)
      },
    )

    it('are told to differ when one node has none of them', async () => {
      const empty = 'system.copies_s1'
      await execute(1, `CREATE TABLE ${empty} (n int, title text)`)
      const connector = renaming(id(1), TABLE, empty)
      const result = await verify({ connector, nodes: [id(1), id(0)] })
      expect(result).toMatchObject({ kind: 'different' })
      expect(JSON.stringify(result)).toContain(': 0 rows and ')
      await execute(1, `DROP TABLE ${empty}`)
    })

    it('are all compared, also those behind a difference that is looked at again first', async () => {
      // Slow reads: the first difference is looked at again before the rest is.
      const connector = wrapping(async (reply) => {
        clock.pass(400)
        return await Promise.resolve(reply)
      })
      const differ = async (index: number) =>
        await execute(1, `UPDATE ${TABLE} SET n=7777 WHERE id=${idOf(index)}`)
      const agree = async (index: number) =>
        await execute(1, `UPDATE ${TABLE} SET n=${index % 1_000} WHERE id=${idOf(index)}`)
      await differ(0)
      clock.onSleep = async () => await agree(0)
      expect(await verify({ connector })).toEqual({ kind: 'equal', rows: ROWS })
      await differ(0)
      await differ(ROWS - 1)
      expect(await verify({ connector })).toMatchObject({ kind: 'different' })
      await agree(ROWS - 1)
    })

    it('are found equal when rows are written to all of them while they are read', async () => {
      let written = 0
      const write = async (): Promise<void> => {
        for (const node of [0, 1, 2]) {
          await execute(
            node,
            `REPLACE INTO ${TABLE} (id,n,title) VALUES (${idOf(written * 9)},${written},'new')`,
          )
        }
        written += 1
      }
      clock.onSleep = write
      let reads = 0
      // In the middle of a write: one node has it, the others have not.
      const connector = wrapping(async (reply) => {
        reads += 1
        if (reads % 5 === 0 && reads < 60) await write()
        return reply
      })
      expect(await verify({ connector })).toEqual({ kind: 'equal', rows: ROWS })
      expect(written).toBeGreaterThan(5)
    })
  })
})

describe('a difference', () => {
  beforeEach(async () => {
    await makeCopies(
      'n int, title text',
      `INSERT INTO ${TABLE} (id,n,title) VALUES (1,1,'a'),(2,2,'b'),(3,3,'c')`,
    )
  })

  it('that disappears is none', async () => {
    await execute(0, `REPLACE INTO ${TABLE} (id,n,title) VALUES (2,7,'x'),(4,4,'d')`)
    clock.onSleep = async (sleeps) => {
      if (sleeps === 3) await execute(1, `REPLACE INTO ${TABLE} (id,n,title) VALUES (2,7,'x'),(4,4,'d')`)
      if (sleeps === 7) await execute(2, `REPLACE INTO ${TABLE} (id,n,title) VALUES (2,7,'x'),(4,4,'d')`)
    }
    expect(await verify()).toEqual({ kind: 'equal', rows: 4 })
    expect(clock.sleeps).toBe(7)
  })

  it('counts only when the patience is over', async () => {
    await execute(0, `UPDATE ${TABLE} SET n=7 WHERE id=2`)
    const begun = clock.now()
    expect(await verify({ patienceMs: 5_000 })).toMatchObject({ kind: 'different' })
    expect(clock.now() - begun).toBeGreaterThanOrEqual(5_000)
    expect(clock.now() - begun).toBeLessThan(6_000)
  })

  it('is looked at again even without patience', async () => {
    await execute(0, `UPDATE ${TABLE} SET n=7 WHERE id=2`)
    clock.onSleep = async () => await execute(0, `UPDATE ${TABLE} SET n=2 WHERE id=2`)
    expect(await verify({ patienceMs: 0 })).toEqual({ kind: 'equal', rows: 3 })
  })

  it('is not waited for when nobody wants to know any more', async () => {
    await execute(0, `UPDATE ${TABLE} SET n=7 WHERE id=2`)
    const controller = new AbortController()
    clock.onSleep = async (sleeps) => {
      if (sleeps === 3) controller.abort(new Error('enough'))
      await nextTurn()
    }
    await expect(verify({ signal: controller.signal })).rejects.toThrow('enough')
  })
})

describe('a reply with a warning', () => {
  beforeEach(async () => {
    await makeCopies('n int, title text', `INSERT INTO ${TABLE} (id,n,title) VALUES (1,1,'a'),(2,2,'b')`)
  })

  const STATEMENTS: readonly [string, (sql: string) => boolean][] = [
    ['the search for the end of a range', (sql) => sql.includes('OFFSET')],
    ['the sums of attributes', (sql) => sql.includes('count(*)')],
    ['texts', (sql) => sql.startsWith('SELECT id, title')],
  ]

  it.each(STATEMENTS)('to %s proves nothing, and is read again', async (_what, isMeant) => {
    let warnings = 0
    const connector = wrapping(async (reply, sql, node) => {
      if (node !== id(1) || !isMeant(sql) || warnings === 5) return await Promise.resolve(reply)
      warnings += 1
      return { ...reply, warning: 'agent x: timed out' }
    })
    expect(await verify({ connector })).toEqual({ kind: 'equal', rows: 2 })
    expect(warnings).toBe(5)
  })

  it.each(STATEMENTS)('to %s is never taken for equal', async (_what, isMeant) => {
    const connector = wrapping(
      async (reply, sql) =>
        await Promise.resolve(isMeant(sql) ? { ...reply, warning: 'agent x: timed out' } : reply),
    )
    expect(await verify({ connector })).toEqual({
      kind: 'different',
      difference: `${TABLE} was not shown completely by ${id(0)} over all ids: agent x: timed out`,
    })
  })
})

it('a node that does not answer is no difference but an error', async () => {
  await makeCopies('n int')
  await expect(verify({ nodes: [id(0), '127.0.0.1:1'] })).rejects.toMatchObject({
    name: 'NodeError',
    code: 'unreachable',
  })
})

it('a replica set is equal on all its members, while a client writes and after', async () => {
  await makeCopies('n int, title text')
  await execute(1, `DROP TABLE ${TABLE}`)
  await execute(2, `DROP TABLE ${TABLE}`)
  await execute(0, 'CREATE CLUSTER copies', `ALTER CLUSTER copies ADD ${TABLE}`)
  await execute(1, `JOIN CLUSTER copies AT '${id(0)}'`)
  await execute(2, `JOIN CLUSTER copies AT '${id(1)}'`)
  const writing = { goesOn: true, rows: 0 }
  const writer = (async () => {
    while (writing.goesOn) {
      writing.rows += 1
      await execute(
        writing.rows % 3,
        `INSERT INTO copies:${TABLE} (id,n,title) VALUES (${writing.rows},1,'t')`,
      )
      await execute((writing.rows + 1) % 3, `UPDATE copies:${TABLE} SET n=${writing.rows} WHERE id=1`)
    }
  })()
  try {
    for (let round = 0; round < 20; round++) expect(await verify()).toMatchObject({ kind: 'equal' })
  } finally {
    writing.goesOn = false
    await writer
  }
  expect(await verify()).toEqual({ kind: 'equal', rows: writing.rows })
  await execute(0, `ALTER CLUSTER copies DROP ${TABLE}`, 'DELETE CLUSTER copies')
})

it('any two sets of rows are equal exactly when they are the same', async () => {
  const text = fc.constantFrom('', 'a', 'A', 'b', '|', '1', "it's", 'ä')
  const row = fc.record({
    name: text,
    title: text,
    n: fc.nat({ max: 2 }),
    tags: fc.subarray([1, 2]),
    big: fc.bigInt({ min: -2n, max: 2n }),
  })
  const copy = fc.dictionary(fc.constantFrom('1', '2', '12', '21', '9223372036854775807'), row)
  type Copy = Readonly<
    Record<string, { name: string; title: string; n: number; tags: number[]; big: bigint }>
  >
  await makeCopies('name string, title text, n int, tags multi, big bigint')
  const fill = async (node: number, rows: Copy): Promise<void> => {
    await execute(node, `TRUNCATE TABLE ${TABLE}`)
    const values = Object.entries(rows).map(
      ([rowId, { name, title, n, tags, big }]) =>
        `(${rowId},'${name.replace("'", "\\'")}','${title.replace("'", "\\'")}',${n},(${tags.join(',')}),${big})`,
    )
    if (values.length > 0) {
      await execute(node, `INSERT INTO ${TABLE} (id,name,title,n,tags,big) VALUES ${values.join(',')}`)
    }
  }
  const canonical = (rows: Copy) =>
    JSON.stringify(
      Object.entries(rows).toSorted(([a], [b]) => (a < b ? -1 : 1)),
      (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value),
    )
  const pair = fc.oneof(
    fc.tuple(copy, copy),
    copy.map((rows): [Copy, Copy] => [rows, rows]),
    // The same rows under exchanged ids.
    copy.map((rows): [Copy, Copy] => {
      const values = Object.values(rows)
      return [
        rows,
        Object.fromEntries(
          Object.keys(rows).map((key, index) => [key, values.at(index - 1) ?? values[0]]),
        ) as Copy,
      ]
    }),
  )
  await fc.assert(
    fc.asyncProperty(pair, async ([one, other]) => {
      await fill(0, one)
      await fill(1, other)
      const same = canonical(one) === canonical(other)
      const result = await verify({ nodes: [id(0), id(1)], patienceMs: 0 })
      expect(result.kind).toBe(same ? 'equal' : 'different')
    }),
    { numRuns: 60 },
  )
})

/** Lets replies be changed, or things happen before they arrive. */
function wrapping(change: (reply: Reply, sql: string, node: string) => Promise<Reply>): NodeConnector {
  return {
    connection: (node): NodeConnection => {
      const inner = http.connection(node)
      return {
        node,
        read: async (sql, options) => {
          const reply = await inner.read(sql, options)
          return sql.startsWith('SELECT') ? await change(reply, sql, node) : reply
        },
        execute: async (sql, options) => await inner.execute(sql, options),
        close: async () => await inner.close(),
      }
    },
    close: async () => await http.close(),
  }
}

/** Lets one node know a table by another name. */
function renaming(node: string, from: string, to: string): NodeConnector {
  return {
    connection: (wanted): NodeConnection => {
      const inner = http.connection(wanted)
      if (wanted !== node) return inner
      return {
        node: wanted,
        read: async (sql, options) => await inner.read(sql.replaceAll(from, to), options),
        execute: async (sql, options) => await inner.execute(sql.replaceAll(from, to), options),
        close: async () => await inner.close(),
      }
    },
    close: async () => await http.close(),
  }
}
