import { errorRule, NodeError, ShardingError } from '../../domain/errors.ts'
import type { Clock, NodeConnection } from '../../domain/ports.ts'
import type { Reply, Row } from '../../domain/values.ts'
import {
  countSampleRows,
  isAsWritten,
  readSampleRows,
  RowChecksum,
  sampleRow,
  writeSampleRows,
} from '../../testing/sample-rows.ts'
import type { RowsRead } from './events.ts'

/** Rows of one statement: some 100 kB of text. */
const BATCH_ROWS = 500
/** Rows of one page: the daemon holds no more matches unless told so. */
const PAGE_ROWS = 1_000
/** How often a statement that can be sent again is sent in all. */
const MAX_TRIES = 5
/** Between two tries, in milliseconds. */
const RETRY_MS = 100
/** How long the last rows may take to reach the node that reads, in milliseconds. */
const CATCH_UP_MS = 5_000

interface RowsContext {
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly onProgress: (done: number) => void
}

/**
 * Writes the sample rows 1 to `count` through all connections at once.
 *
 * @returns how many of them were acknowledged
 */
export async function writeRows(
  table: string,
  count: number,
  connections: readonly NodeConnection[],
  context: RowsContext,
): Promise<number> {
  let written = 0
  const batches = Array.from({ length: Math.ceil(count / BATCH_ROWS) }, (_, batch) => ({
    first: batch * BATCH_ROWS + 1,
    last: Math.min((batch + 1) * BATCH_ROWS, count),
  }))
  await Promise.all(
    connections.map(async (connection, index) => {
      for (const { first, last } of batches.filter((_, batch) => batch % connections.length === index)) {
        const sql = writeSampleRows(table, first, last)
        await complete(connection, sql, context, async () => {
          return await connection.execute(sql, { signal: context.signal })
        })
        written += last - first + 1
        context.onProgress(written)
      }
    }),
  )
  return written
}

/** Reads all rows, page by page, and compares each one with what was written under its id. */
export async function readRows(
  table: string,
  expected: number,
  connection: NodeConnection,
  context: RowsContext,
): Promise<RowsRead> {
  const counted = await countRows(table, expected, connection, context)
  const checksum = new RowChecksum()
  let equal = 0
  for (let afterId = 0, read = 0; ; ) {
    const { rows } = await readWhole(connection, readSampleRows(table, afterId, PAGE_ROWS), context)
    for (const row of rows) {
      checksum.add(row)
      if (isAsWritten(row)) equal += 1
    }
    read += rows.length
    context.onProgress(read)
    if (rows.length < PAGE_ROWS) break
    afterId = idOf(rows.at(-1))
  }
  return { expected, counted, equal, digests: { written: writtenDigest(expected), read: checksum.digest() } }
}

/** A write is acknowledged a moment before every node has it. */
async function countRows(
  table: string,
  expected: number,
  connection: NodeConnection,
  context: RowsContext,
): Promise<number> {
  const giveUpAt = context.clock.now() + CATCH_UP_MS
  for (;;) {
    const { rows } = await readWhole(connection, countSampleRows(table), context)
    const counted = Number(rows[0]?.['n'] ?? 0)
    if (counted >= expected || context.clock.now() >= giveUpAt) return counted
    await context.clock.sleep(RETRY_MS, context.signal)
  }
}

async function readWhole(connection: NodeConnection, sql: string, context: RowsContext): Promise<Reply> {
  return await complete(connection, sql, context, async () => {
    return await connection.read(sql, { signal: context.signal })
  })
}

/**
 * Sends a statement that may be sent again until it is answered in full: an answer with a warning may be a part
 * only, and proves nothing.
 */
async function complete(
  { node }: NodeConnection,
  sql: string,
  { clock, signal }: RowsContext,
  send: () => Promise<Reply>,
): Promise<Reply> {
  for (let tries = 1; ; tries++) {
    try {
      const reply = await send()
      if (reply.warning === '') return reply
      throw new NodeError('busy', { node, sql, message: `${node} answered only in part: ${reply.warning}` })
    } catch (error) {
      const mayWorkLater = error instanceof ShardingError && errorRule(error.code).retry !== 'never'
      if (!mayWorkLater || tries >= MAX_TRIES || signal.aborted) throw error
      await clock.sleep(RETRY_MS * tries, signal)
    }
  }
}

function idOf(row: Row | undefined): number {
  return Number(row?.['id'])
}

function writtenDigest(count: number): string {
  const checksum = new RowChecksum()
  for (let id = 1; id <= count; id++) checksum.add(sampleRow(id))
  return checksum.digest()
}
