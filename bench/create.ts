import type { RunTimes } from './workload.ts'
import { ACTIONS, TABLES } from './workload.ts'

/** Statements in flight to one node that are tried for the floor; the daemon gets slower well below the last. */
export const FLOOR_LIMITS = [1, 2, 3, 4, 6, 8] as const

/** How much of the floor an operation may take. */
export const GOALS = { first: 1.5, second: 2 } as const

export interface CreateBenchOptions {
  readonly shards: readonly number[]
  /** At most so many rounds a case. */
  readonly rounds: number
  /** No new round of a case begins after so many milliseconds. */
  readonly caseBudgetMs: number
  readonly signal: AbortSignal
  readonly onProgress: (text: string) => void
}

/** What the rounds run; see the class Workload. */
export interface Contestants {
  withLibrary(shards: number): Promise<RunTimes>
  byHand(shards: number, maxInFlight: number): Promise<RunTimes>
}

export interface CreateResult {
  readonly shards: number
  readonly table: keyof typeof GOALS
  readonly what: (typeof ACTIONS)[number]
  /** Medians in milliseconds. */
  readonly floorMs: number
  readonly oursMs: number
  /** `oursMs / floorMs`. */
  readonly ratio: number
  readonly goal: number
  readonly goalMet: boolean
  /** Statements in flight to one node with which the floor was reached. */
  readonly floorInFlight: number
  readonly rounds: number
}

/**
 * Each case: one round to warm up and to find the best numbers of statements in flight, then rounds in which
 * library and floor take turns, in alternating order.
 */
export async function benchCreate(
  contestants: Contestants,
  options: CreateBenchOptions,
): Promise<CreateResult[]> {
  const results: CreateResult[] = []
  for (const shards of options.shards) results.push(...(await benchCase(contestants, shards, options)))
  return results
}

async function benchCase(
  contestants: Contestants,
  shards: number,
  options: CreateBenchOptions,
): Promise<CreateResult[]> {
  const { signal, onProgress, rounds, caseBudgetMs } = options
  const say = (text: string) => {
    signal.throwIfAborted()
    onProgress(`${shards} shards: ${text}`)
  }
  const startedAt = performance.now()
  say('warming up')
  await contestants.withLibrary(shards)
  const tried = new Map<number, RunTimes[]>()
  for (const limit of FLOOR_LIMITS) {
    say(`trying ${limit} statements in flight`)
    tried.set(limit, [await contestants.byHand(shards, limit)])
  }
  const floors = keepBest(tried)
  const ours: RunTimes[] = []
  const runs: (() => Promise<void>)[] = [
    async () => void ours.push(await contestants.withLibrary(shards)),
    ...[...floors].map(
      ([limit, times]) =>
        async () =>
          void times.push(await contestants.byHand(shards, limit)),
    ),
  ]
  while (ours.length < rounds && (ours.length === 0 || performance.now() - startedAt < caseBudgetMs)) {
    say(`round ${ours.length + 1}`)
    for (const run of runs) await run()
    runs.reverse()
  }
  return resultsOf(shards, ours, floors)
}

type Measure = keyof RunTimes

const MEASURES: readonly Measure[] = TABLES.flatMap((table) =>
  ACTIONS.map((action): Measure => `${action} ${table}`),
)

/** The limits that were best at something. */
function keepBest(tried: ReadonlyMap<number, RunTimes[]>): Map<number, RunTimes[]> {
  const best = new Set(MEASURES.map((measure) => floorOf(tried, measure).limit))
  return new Map([...tried].filter(([limit]) => best.has(limit)))
}

/** The best limit by its median: a choice in favour of the floor. */
function floorOf(floors: ReadonlyMap<number, readonly RunTimes[]>, measure: Measure) {
  return [...floors]
    .map(([limit, times]) => ({ limit, ms: medianOf(times, measure) }))
    .reduce((best, other) => (other.ms < best.ms ? other : best))
}

function resultsOf(
  shards: number,
  ours: readonly RunTimes[],
  floors: ReadonlyMap<number, readonly RunTimes[]>,
): CreateResult[] {
  return TABLES.flatMap((table) =>
    ACTIONS.map((what): CreateResult => {
      const floor = floorOf(floors, `${what} ${table}`)
      const oursMs = medianOf(ours, `${what} ${table}`)
      const ratio = oursMs / floor.ms
      const goal = GOALS[table]
      return {
        shards,
        table,
        what,
        floorMs: floor.ms,
        oursMs,
        ratio,
        goal,
        goalMet: ratio <= goal,
        floorInFlight: floor.limit,
        rounds: ours.length,
      }
    }),
  )
}

function medianOf(times: readonly RunTimes[], measure: Measure): number {
  const sorted = times.map((time) => time[measure]).toSorted((a, b) => a - b)
  const upper = Math.floor(sorted.length / 2)
  const lower = Math.floor((sorted.length - 1) / 2)
  return ((sorted[lower] ?? 0) + (sorted[upper] ?? 0)) / 2
}
