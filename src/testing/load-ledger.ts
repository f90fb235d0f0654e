import { loadNumber, loadTitle } from './load-rows.ts'

/** Rows of one load: 9 bytes each in here. Beyond it writers only update. */
export const MAX_ROWS = 4_000_000
const FIRST_CAPACITY = 1_024

/** What is known of a row. Zero is a row that was never begun. */
const BEGUN = 1
const ACKNOWLEDGED = 2
/** The daemon said no: it must not be there. */
const REFUSED = 3
/** Acknowledged, and an update of it has been begun that nobody knows the outcome of. */
const IN_DOUBT = 4

/**
 * What the rows of a load must be, from what the nodes said about each request. Ids are given out without gaps from
 * the first one on. A request that was begun and never ended here may have taken effect, or may do so later.
 */
export class LoadLedger {
  readonly firstId: number
  #states = new Uint8Array(FIRST_CAPACITY)
  /** How often a row was updated for certain, and for all we know. */
  #certainVersions = new Uint32Array(FIRST_CAPACITY)
  #latestVersions = new Uint32Array(FIRST_CAPACITY)
  #begun = 0
  #acknowledged = 0
  #refused = 0

  constructor(firstId: number) {
    this.firstId = firstId
  }

  /** Ids given out. */
  get begun(): number {
    return this.#begun
  }

  /** Rows that were inserted for certain. */
  get acknowledged(): number {
    return this.#acknowledged
  }

  /** Rows that may be in the table by now. */
  get possible(): number {
    return this.#begun - this.#refused
  }

  get full(): boolean {
    return this.#begun >= MAX_ROWS
  }

  /** The id of a row that is about to be inserted. Only while the ledger is not full. */
  beginInsert(): number {
    const index = this.#begun
    if (index >= this.#states.length) this.#grow()
    this.#states[index] = BEGUN
    this.#begun += 1
    return this.firstId + index
  }

  acknowledgeInsert(id: number): void {
    this.#states[id - this.firstId] = ACKNOWLEDGED
    this.#acknowledged += 1
  }

  refuseInsert(id: number): void {
    this.#states[id - this.firstId] = REFUSED
    this.#refused += 1
  }

  /**
   * The version that a row is about to be updated to; null when an earlier update of it is in doubt. That one may
   * still take effect after any later one, and nothing could be said about the row any more.
   */
  beginUpdate(id: number): number | null {
    const index = id - this.firstId
    if (this.#states[index] !== ACKNOWLEDGED) return null
    const version = (this.#latestVersions[index] ?? 0) + 1
    this.#latestVersions[index] = version
    this.#states[index] = IN_DOUBT
    return version
  }

  acknowledgeUpdate(id: number): void {
    const index = id - this.firstId
    this.#certainVersions[index] = this.#latestVersions[index] ?? 0
    this.#states[index] = ACKNOWLEDGED
  }

  /** The update never left; another one may follow. */
  forgetUpdate(id: number): void {
    this.#states[id - this.firstId] = ACKNOWLEDGED
  }

  mustBeThere(id: number): boolean {
    const state = this.#stateOf(id)
    return state === ACKNOWLEDGED || state === IN_DOUBT
  }

  mayBeThere(id: number): boolean {
    const state = this.#stateOf(id)
    return state !== 0 && state !== REFUSED
  }

  /** Whether a row that was found may look like this. */
  mayHave(id: number, title: string, n: number): boolean {
    if (title !== loadTitle(id)) return false
    const index = id - this.firstId
    if (n === loadNumber(id, this.#certainVersions[index] ?? 0)) return true
    return this.#states[index] === IN_DOUBT && n === loadNumber(id, this.#latestVersions[index] ?? 0)
  }

  #stateOf(id: number): number {
    return this.#states[id - this.firstId] ?? 0
  }

  #grow(): void {
    const capacity = Math.min(this.#states.length * 2, MAX_ROWS)
    const [states, certain, latest] = [this.#states, this.#certainVersions, this.#latestVersions]
    this.#states = new Uint8Array(capacity)
    this.#certainVersions = new Uint32Array(capacity)
    this.#latestVersions = new Uint32Array(capacity)
    this.#states.set(states)
    this.#certainVersions.set(certain)
    this.#latestVersions.set(latest)
  }
}
