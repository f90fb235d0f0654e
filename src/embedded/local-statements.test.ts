import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseStatement, SqlSyntaxError } from '../sql/index.ts'
import { createNodeSession, executeLocal, type NodeSession } from './local-statements.ts'
import { decodeReply, encodeError, encodeReply } from './reply-json.ts'
import { SqliteTableStore } from './store-sqlite.ts'
import { DaemonError } from './store.ts'

const TRANSCRIPTS = path.join(import.meta.dirname, '../../test/conformance/transcripts')

interface Exchange {
  readonly sql: string
  readonly http: number
  /** The body as text, so that long integers survive. */
  readonly body: string
}

function transcript(name: string): readonly Exchange[] {
  const lines = readFileSync(path.join(TRANSCRIPTS, name), 'utf8').trim().split('\n')
  return lines.flatMap((line) => {
    const parsed: unknown = JSON.parse(line)
    if (typeof parsed !== 'object' || parsed === null || !('sql' in parsed) || !('http' in parsed)) return []
    const body = line.slice(line.indexOf('"body":') + '"body":'.length).replace(/(?:,"note":"[^"]*")?\}$/, '')
    return [{ sql: String(parsed.sql), http: Number(parsed.http), body }]
  })
}

let store: SqliteTableStore
let session: NodeSession

beforeEach(() => {
  store = new SqliteTableStore(':memory:')
  session = createNodeSession()
})

afterEach(() => store.close())

function answer(sql: string): { readonly http: number; readonly body: string } {
  try {
    if (sql === '') throw new DaemonError('query missing', 400)
    return { http: 200, body: encodeReply(executeLocal(store, parseStatement(sql), session)) }
  } catch (error) {
    if (error instanceof SqlSyntaxError) return { http: 500, body: encodeError(error.daemonMessage) }
    if (error instanceof DaemonError) return { http: error.httpStatus, body: encodeError(error.message) }
    throw error
  }
}

/** Answer of a node, decoded, with values that differ from run to run taken out. */
function comparable(sql: string, http: number, body: string): unknown {
  if (http !== 200) {
    const parsed: unknown = JSON.parse(body)
    return { http, parsed }
  }
  const reply = decodeReply(body)
  const varies = sql.startsWith('SHOW STATUS') || sql === 'SHOW SETTINGS'
  return { http, ...reply, rows: varies ? reply.rows.map(({ Value: _varies, ...rest }) => rest) : reply.rows }
}

describe('the node answers as the daemon did', () => {
  test('01 tables, then 02 rows on the same node: every statement, in order', () => {
    const exchanges = [...transcript('01-tables.jsonl'), ...transcript('02-rows.jsonl')]
    expect(exchanges.length).toBe(162)
    for (const { sql, http, body } of exchanges) {
      const given = answer(sql)
      expect({ sql, answer: comparable(sql, given.http, given.body) }).toEqual({
        sql,
        answer: comparable(sql, http, body),
      })
    }
  })
})
