import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { EmbeddedCluster } from '../../src/embedded/index.ts'

/**
 * The transcripts of real daemons, replayed statement by statement over HTTP. 01 to 05 run on the same three nodes, in
 * order: each begins with what the one before has left.
 */
const TRANSCRIPTS = ['01-tables', '02-rows', '03-clusters', '04-sharded', '05-digests']

/** Statements in the transcripts; every one is compared. */
const STATEMENTS = 381

interface Recorded {
  readonly node: number
  readonly sql: string
  readonly http: number
  readonly body: unknown
}

let cluster: EmbeddedCluster
let folder: string
let compared = 0

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'replay-'))
  cluster = await EmbeddedCluster.start({ nodes: 3, dataDir: folder })
})

afterAll(async () => {
  await cluster.close()
  rmSync(folder, { recursive: true, force: true })
})

describe('an embedded node answers what a real daemon answered', () => {
  it.each(TRANSCRIPTS)('%s', async (name) => {
    const differences: { sql: string; node: number; expected: string; actual: string }[] = []
    for (const recorded of readTranscript(name)) {
      const actual = await ask(recorded.node, substitute(recorded.sql, recorded.node))
      const expectedText = comparable(recorded.sql, recorded.http, recordedBody(recorded))
      const actualText = comparable(recorded.sql, actual.http, actual.body)
      compared += 1
      if (expectedText !== actualText) {
        differences.push({
          sql: recorded.sql,
          node: recorded.node,
          expected: expectedText,
          actual: actualText,
        })
      }
    }
    expect(differences).toEqual([])
  })

  it('every recorded statement was compared', () => {
    expect(compared).toBe(STATEMENTS)
  })
})

function readTranscript(name: string): readonly Recorded[] {
  const file = new URL(`transcripts/${name}.jsonl`, import.meta.url)
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.includes('"sql":'))
    .map((line): Recorded => parseExact(line) as Recorded)
}

async function ask(node: number, sql: string): Promise<{ http: number; body: unknown }> {
  const response = await fetch(`http://${nodeAt(node).id}/sql?mode=raw`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ query: sql }),
  })
  return { http: response.status, body: parseExact(await response.text()) }
}

function nodeAt(index: number): EmbeddedCluster['nodes'][number] {
  const node = cluster.nodes[index]
  if (node === undefined) throw new Error(`the transcript names node ${index}`)
  return node
}

function substitute(text: string, node: number): string {
  return text
    .replaceAll(/\{n(\d)\}/gu, (_match, index) => nodeAt(Number(index)).id)
    .replaceAll('{data_dir}', nodeAt(node).dataDir)
}

function recordedBody(recorded: Recorded): unknown {
  return parseExact(substitute(JSON.stringify(recorded.body), recorded.node))
}

/** Integers that a double may not hold become text. */
function parseExact(text: string): unknown {
  return JSON.parse(text, (_key, value: unknown, context?: { readonly source?: string }): unknown => {
    const isInexact = typeof value === 'number' && Math.abs(value) > Number.MAX_SAFE_INTEGER
    return isInexact ? context?.source : value
  })
}

/** One text for an answer, without what differs from run to run. Keeps the order of columns and rows. */
function comparable(sql: string, http: number, body: unknown): string {
  return JSON.stringify({ http, body: withoutVarying(sql, body) }).replaceAll(
    /(\{repl\}|127\.0\.0\.1:\d+):replication/gu,
    '<address>:replication',
  )
}

const VARYING_COUNTERS =
  /_(?:state_uuid|gcomm_uuid|state_seqno|last_committed|evs_repl_latency)$|^version$|^time$/u

function withoutVarying(sql: string, body: unknown): unknown {
  if (!Array.isArray(body)) return body
  return body.map((part: { data?: Record<string, unknown>[] }) => {
    if (part.data === undefined) return part
    return { ...part, data: part.data.map((row) => withoutVaryingCells(sql, row)) }
  })
}

function withoutVaryingCells(sql: string, row: Record<string, unknown>): Record<string, unknown> {
  const name = row['Counter'] ?? row['Variable_name'] ?? row['Setting_name']
  if (typeof name !== 'string') return row
  const isVarying = sql === 'SHOW SETTINGS' || VARYING_COUNTERS.test(name)
  return isVarying ? { ...row, Value: `<${typeof row['Value']}>` } : row
}
