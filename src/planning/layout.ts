import type { NodeId } from '../domain/words.ts'
import { compareText } from './replica-sets.ts'

/** What an operator says about a node. */
export interface NodeTraits {
  /** Copies of one shard go to nodes of different zones as far as there are any. Null: no zone. */
  readonly zone: string | null
  /** A node of weight 2 takes twice as many copies as one of weight 1. */
  readonly weight: number
  /** Bytes of shards that it may hold, or null when it is not known. */
  readonly capacityBytes: number | null
}

export const DEFAULT_TRAITS: NodeTraits = { zone: null, weight: 1, capacityBytes: null }

/** Copies that move together: the shards of one replica set, or one shard that has a single copy. */
export interface Unit {
  /** Name of the replica set, or of the shard. */
  readonly name: string
  /** Nodes that the placement names, answering or not, in a stable order. */
  readonly holders: readonly NodeId[]
  /** Shards in it: what each holder carries. */
  readonly copies: number
  /** What each holder carries, in bytes, as far as it is known. */
  readonly bytes: number
  /** Nodes that cannot take it, because something of it lies there already. */
  readonly barred: ReadonlySet<NodeId>
  /** Why it must stay where it is, or null. */
  readonly pinned: string | null
}

export interface Layout {
  /** Nodes that answer and may take copies, sorted. */
  readonly nodes: readonly NodeId[]
  /** Nodes that must not keep any copy: drained, or dead and replaced. */
  readonly leaving: ReadonlySet<NodeId>
  readonly traits: ReadonlyMap<NodeId, NodeTraits>
  readonly units: readonly Unit[]
}

/** One copy of each shard in a unit goes from one node to another. */
export interface Move {
  readonly unit: string
  readonly from: NodeId
  readonly to: NodeId
  /** One sentence. */
  readonly why: string
}

export interface MovePlan {
  readonly moves: readonly Move[]
  /** What stays although one might expect it to move, and why; one sentence each. */
  readonly notes: readonly string[]
}

export interface BalanceOptions {
  /** Also even out the copies over the nodes, beyond emptying those that leave. */
  readonly balance: boolean
  /** All copies that must move go there. */
  readonly target?: NodeId
}

/** Loads closer together than this count as equal. */
const EPSILON = 1e-9

/**
 * The fewest moves that empty the leaving nodes, spread every unit over different zones, and even out the load:
 * no further move of one unit would bring two nodes closer together.
 *
 * Greedy from the most to the least loaded node; a copy that moves twice on the way moves once in the result.
 */
export function planMoves(layout: Layout, options: BalanceOptions): MovePlan {
  const draft = new Draft(layout)
  draft.empty(options.target)
  if (options.balance) {
    draft.spreadOverZones()
    draft.even()
  }
  return draft.result()
}

class Draft {
  readonly #layout: Layout
  readonly #targets: readonly NodeId[]
  readonly #units: readonly Unit[]
  readonly #holders: Map<string, Set<NodeId>>
  readonly #unitsOf = new Map<NodeId, Set<Unit>>()
  readonly #copies = new Map<NodeId, number>()
  readonly #bytes = new Map<NodeId, number>()
  readonly #why = new Map<string, string>()
  readonly #notes: string[] = []

  constructor(layout: Layout) {
    this.#layout = layout
    this.#targets = layout.nodes.filter((node) => !layout.leaving.has(node))
    // Large ones first: small ones then fill the gaps.
    this.#units = layout.units.toSorted((a, b) => b.copies - a.copies || compareText(a.name, b.name))
    this.#holders = new Map(this.#units.map(({ name, holders }) => [name, new Set(holders)]))
    for (const unit of this.#units) for (const node of unit.holders) this.#carry(unit, node, 1)
  }

  /** Every copy on a leaving node goes to where there is most room. */
  empty(target: NodeId | undefined): void {
    const candidates = target === undefined ? this.#targets : [target]
    for (const unit of this.#units) {
      for (const from of unit.holders.filter((node) => this.#layout.leaving.has(node))) {
        if (unit.pinned !== null) {
          this.#notes.push(`${unit.name} stays on ${from}: ${unit.pinned}`)
          continue
        }
        const to = this.#best(unit, from, candidates)
        if (to === undefined) this.#notes.push(`${unit.name} stays on ${from}: ${this.#whyNowhere(unit)}`)
        else this.#move(unit, from, to, `${from} must not keep any copy, and ${to} has most room`)
      }
    }
  }

  /** Two holders of one unit in the same zone: one of them goes to a zone without any, if there is one. */
  spreadOverZones(): void {
    for (const unit of this.#units) {
      if (unit.pinned !== null) continue
      for (const from of this.#inCrowdedZone(unit)) {
        const spread = this.#zones(unit).size
        const to = this.#best(
          unit,
          from,
          this.#targets.filter((node) => this.#zonesAfter(unit, from, node) > spread),
        )
        if (to === undefined) continue
        this.#move(unit, from, to, `${from} shares zone '${this.#zone(from) ?? ''}' with another copy`)
      }
    }
  }

  /** Moves until no single one lowers the difference between two nodes. */
  even(): void {
    // Each step lowers the sum of squared loads, so it ends; the bound is for the reader.
    for (let step = 0; step < this.#units.length * Math.max(1, this.#targets.length); step++) {
      if (!this.#evenOnce()) return
    }
  }

  result(): MovePlan {
    const moves = this.#units.flatMap((unit) => {
      const now = this.#holders.get(unit.name) ?? new Set()
      const gone = unit.holders.filter((node) => !now.has(node))
      const come = [...now].filter((node) => !unit.holders.includes(node)).toSorted(compareText)
      return gone.flatMap((from, index): Move[] => {
        const to = come[index]
        if (to === undefined) return []
        return [{ unit: unit.name, from, to, why: this.#why.get(`${unit.name} ${to}`) ?? '' }]
      })
    })
    return { moves, notes: [...this.#notes, this.#balanceNote()] }
  }

  #evenOnce(): boolean {
    const byLoad = this.#targets.toSorted((a, b) => this.#load(a) - this.#load(b) || compareText(a, b))
    for (const from of byLoad.toReversed()) {
      for (const to of byLoad) {
        if (this.#load(to) >= this.#load(from)) break
        const unit = this.#bestUnit(from, to)
        if (unit === undefined) continue
        const [high, low] = [this.#copies.get(from) ?? 0, this.#copies.get(to) ?? 0]
        this.#move(unit, from, to, `${from} holds ${high} copies and ${to} only ${low}`)
        return true
      }
    }
    return false
  }

  /** The unit whose move brings the two nodes closer together by most for each copy that is moved. */
  #bestUnit(from: NodeId, to: NodeId): Unit | undefined {
    let best: { unit: Unit; change: number } | undefined
    for (const unit of this.#unitsOf.get(from) ?? []) {
      if (unit.pinned !== null || !this.#fits(unit, to)) continue
      if (this.#zonesAfter(unit, from, to) < this.#zones(unit).size) continue
      const imbalance = this.#changeOfImbalance(unit, from, to)
      if (imbalance > -EPSILON) continue
      const change = imbalance / unit.copies
      const better = best === undefined || change < best.change - EPSILON
      const same = best !== undefined && Math.abs(change - best.change) <= EPSILON
      if (better || (same && best !== undefined && compareText(unit.name, best.unit.name) < 0)) {
        best = { unit, change }
      }
    }
    return best?.unit
  }

  /** Of the sum of squared loads, weighted; negative is better. */
  #changeOfImbalance(unit: Unit, from: NodeId, to: NodeId): number {
    const square = (node: NodeId, copies: number) => copies ** 2 / this.#traits(node).weight
    const [high, low] = [this.#copies.get(from) ?? 0, this.#copies.get(to) ?? 0]
    const before = square(from, high) + square(to, low)
    return square(from, high - unit.copies) + square(to, low + unit.copies) - before
  }

  /** Where a unit goes: into a new zone first, then to the least loaded node. */
  #best(unit: Unit, from: NodeId, candidates: readonly NodeId[]): NodeId | undefined {
    let best: { node: NodeId; zones: number; load: number } | undefined
    for (const node of candidates) {
      if (!this.#fits(unit, node)) continue
      const zones = this.#zonesAfter(unit, from, node)
      const load = this.#load(node, unit.copies)
      if (best === undefined || zones > best.zones || (zones === best.zones && load < best.load - EPSILON)) {
        best = { node, zones, load }
      }
    }
    return best?.node
  }

  #fits(unit: Unit, node: NodeId): boolean {
    if (unit.barred.has(node) || this.#holders.get(unit.name)?.has(node) === true) return false
    const { capacityBytes, weight } = this.#traits(node)
    if (weight <= 0) return false
    return capacityBytes === null || (this.#bytes.get(node) ?? 0) + unit.bytes <= capacityBytes
  }

  #whyNowhere(unit: Unit): string {
    const others = this.#targets.filter((node) => this.#holders.get(unit.name)?.has(node) !== true)
    if (others.length === 0) return 'every other node holds a copy of it already'
    return `none of ${others.join(', ')} has room for its ${unit.bytes} bytes`
  }

  #move(unit: Unit, from: NodeId, to: NodeId, why: string): void {
    const holders = this.#holders.get(unit.name)
    holders?.delete(from)
    holders?.add(to)
    this.#carry(unit, from, -1)
    this.#carry(unit, to, 1)
    this.#why.set(`${unit.name} ${to}`, why)
  }

  #carry(unit: Unit, node: NodeId, sign: 1 | -1): void {
    this.#copies.set(node, (this.#copies.get(node) ?? 0) + sign * unit.copies)
    this.#bytes.set(node, (this.#bytes.get(node) ?? 0) + sign * unit.bytes)
    const units = this.#unitsOf.get(node) ?? new Set()
    if (sign === 1) units.add(unit)
    else units.delete(unit)
    this.#unitsOf.set(node, units)
  }

  #load(node: NodeId, more = 0): number {
    return ((this.#copies.get(node) ?? 0) + more) / this.#traits(node).weight
  }

  #traits(node: NodeId): NodeTraits {
    return this.#layout.traits.get(node) ?? DEFAULT_TRAITS
  }

  #zone(node: NodeId): string | null {
    return this.#traits(node).zone
  }

  #zones(unit: Unit): Set<string> {
    return zonesOf([...(this.#holders.get(unit.name) ?? [])], (node) => this.#zone(node))
  }

  #zonesAfter(unit: Unit, from: NodeId, to: NodeId): number {
    const after = [...(this.#holders.get(unit.name) ?? [])].filter((node) => node !== from)
    return zonesOf([...after, to], (node) => this.#zone(node)).size
  }

  #inCrowdedZone(unit: Unit): NodeId[] {
    const holders = [...(this.#holders.get(unit.name) ?? [])].toSorted(
      (a, b) => this.#load(b) - this.#load(a) || compareText(a, b),
    )
    const zoneOf = (node: NodeId) => this.#zone(node)
    return holders.filter(
      (node) =>
        zoneOf(node) !== null && holders.some((other) => other !== node && zoneOf(other) === zoneOf(node)),
    )
  }

  #balanceNote(): string {
    const byLoad = this.#targets.toSorted((a, b) => this.#load(a) - this.#load(b) || compareText(a, b))
    const [least, most] = [byLoad[0], byLoad.at(-1)]
    if (least === undefined || most === undefined) return 'no node can take copies'
    const [low, high] = [this.#copies.get(least) ?? 0, this.#copies.get(most) ?? 0]
    return `then ${most} holds most copies (${high}) and ${least} the fewest (${low}); copies move by whole replica sets, and no further move would lower the difference`
  }
}

/** A node without a zone is a zone of its own. */
function zonesOf(nodes: readonly NodeId[], zoneOf: (node: NodeId) => string | null): Set<string> {
  return new Set(nodes.map((node) => zoneOf(node) ?? `node ${node}`))
}
