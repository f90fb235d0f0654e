import { errorRule, NodeError, ShardingError } from '../domain/errors.ts'
import type { Clock, NodeConnection } from '../domain/ports.ts'
import type { Reply, Row } from '../domain/values.ts'
import type { LoadLedger } from './load-ledger.ts'
import { countRowsBetween, readRowsAfter } from './load-rows.ts'

/** Rows of one page: the daemon holds no more matches unless told so. */
const PAGE_ROWS = 1_000
/** Ids that are named of each kind of difference, the lowest ones. */
const MAX_NAMED_IDS = 1_000
/** How often a read is sent in all, and the time before each further try, in milliseconds. */
const MAX_TRIES = 5
const RETRY_MS = 100
/** Before a row that is missing is looked for again: all tries cover what a dying node hides. In milliseconds. */
const MISSING_RETRY_MS = 1_000

/** In what a table differs from what its load wrote. Ids ascending, at most 1,000 of each kind. */
export interface LoadDifferences {
  /** Acknowledged, and not there. */
  readonly missing: readonly number[]
  /** There more than once. */
  readonly doubled: readonly number[]
  /** There, and never written or refused. */
  readonly foreign: readonly number[]
  /** There with values that were not written. */
  readonly changed: readonly number[]
}

/** Answers in full, or rejects. */
type ReadWhole = (sql: string) => Promise<Reply>

/** Counts the rows of a range of ids, which are `atLeast` so many, or rejects. */
type CountRange = (firstId: number, lastId: number, atLeast: number) => Promise<number>

/**
 * Compares all rows of a table, as one node shows them, with what must be there and what may be.
 *
 * @throws NodeError when the node does not answer in full
 */
export async function compareRows(
  table: string,
  ledger: LoadLedger,
  connection: NodeConnection,
  clock: Clock,
): Promise<LoadDifferences> {
  const read: ReadWhole = async (sql) => await readWhole(connection, sql, clock)
  const count: CountRange = async (firstId, lastId, atLeast) => {
    const sql = countRowsBetween(table, firstId, lastId)
    return countIn(await readWhole(connection, sql, clock, (reply) => countIn(reply) >= atLeast))
  }
  for (let tries = 1; ; tries++) {
    const { seen, ...differences } = await readRows(table, ledger, read)
    if (differences.missing.length === 0 || tries >= MAX_TRIES) {
      return { ...differences, doubled: await findDoubled(ledger.firstId, seen, count) }
    }
    await clock.sleep(MISSING_RETRY_MS)
  }
}

/** One reading of all rows. `seen` is 1 at the place of each row that is there. */
async function readRows(
  table: string,
  ledger: LoadLedger,
  read: ReadWhole,
): Promise<Omit<LoadDifferences, 'doubled'> & { readonly seen: Uint8Array }> {
  const seen = new Uint8Array(ledger.begun)
  const foreign: number[] = []
  const changed: number[] = []
  for await (const row of allRows(table, read)) {
    const id = Number(row['id'])
    if (!ledger.mayBeThere(id)) name(foreign, id)
    else if (!ledger.mayHave(id, String(row['title']), Number(row['n']))) name(changed, id)
    if (id - ledger.firstId in seen) seen[id - ledger.firstId] = 1
  }
  const missing: number[] = []
  for (const [index, isSeen] of seen.entries()) {
    const id = ledger.firstId + index
    if (isSeen === 0 && ledger.mustBeThere(id)) name(missing, id)
  }
  return { missing, foreign, changed, seen }
}

async function* allRows(table: string, read: ReadWhole): AsyncGenerator<Row> {
  // Below every id there is; they are positive.
  let lastId: number | bigint = 0
  for (;;) {
    const { rows } = await read(readRowsAfter(table, lastId, PAGE_ROWS))
    yield* rows
    const last = rows.at(-1)
    if (last === undefined) return
    const id = last['id']
    if ((typeof id !== 'number' && typeof id !== 'bigint') || id <= lastId) {
      throw new Error(`the rows behind id ${lastId} of '${table}' do not come in the order of their ids`)
    }
    lastId = id
  }
}

/**
 * The ids that are in more than one shard. A read of rows does not show them: of equal ids from several shards the
 * daemon keeps one. A count does, so ranges that count more rows than were read are halved until one id is left.
 */
async function findDoubled(firstId: number, seen: Uint8Array, count: CountRange): Promise<number[]> {
  const seenBefore = new Uint32Array(seen.length + 1)
  for (const [index, isSeen] of seen.entries()) seenBefore[index + 1] = (seenBefore[index] ?? 0) + isSeen
  const doubled: number[] = []
  const search = async (first: number, last: number): Promise<void> => {
    if (first > last || doubled.length >= MAX_NAMED_IDS) return
    const seenHere = (seenBefore[last + 1] ?? 0) - (seenBefore[first] ?? 0)
    const counted = await count(firstId + first, firstId + last, seenHere)
    if (counted === seenHere) return
    if (first === last) {
      // A row that has arrived only since is there once.
      if (counted > 1) doubled.push(firstId + first)
      return
    }
    const middle = Math.floor((first + last) / 2)
    await search(first, middle)
    await search(middle + 1, last)
  }
  await search(0, seen.length - 1)
  return doubled
}

/** An id that comes twice in a row, from two shards, is named once. */
function name(ids: number[], id: number): void {
  if (ids.length < MAX_NAMED_IDS && ids.at(-1) !== id) ids.push(id)
}

function countIn({ rows }: Reply): number {
  return Number(rows[0]?.['found'] ?? 0)
}

/** An answer with a warning may be a part only, and what comes back soon is waited for. */
async function readWhole(
  connection: NodeConnection,
  sql: string,
  clock: Clock,
  isWhole: (reply: Reply) => boolean = () => true,
): Promise<Reply> {
  const { node } = connection
  for (let tries = 1; ; tries++) {
    try {
      const reply = await connection.read(sql)
      if (reply.warning === '' && isWhole(reply)) return reply
      const reason = reply.warning || 'it does not count rows that it has just shown'
      throw new NodeError('busy', { node, sql, message: `${node} answered only in part: ${reason}` })
    } catch (error) {
      const mayWorkLater = error instanceof ShardingError && errorRule(error.code).retry !== 'never'
      if (!mayWorkLater || tries >= MAX_TRIES) throw error
      await clock.sleep(RETRY_MS * tries)
    }
  }
}
