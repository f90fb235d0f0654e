import type { NodeId } from '../domain/words.ts'
import type { NodeProcess } from './embedded-node-process.ts'
import type { EmbeddedNetwork } from './network.ts'
import type { Membership } from './replication-membership.ts'
import { connectedComponents, hasQuorum, type View } from './replication-view.ts'
import { DaemonError } from './store.ts'

/** How many recent writes a cluster remembers to find conflicts; far more than are ever in flight. */
const RECENT_WRITES = 256

/** What a replicated write touched, as far as the statement itself names it. */
export interface WriteSet {
  readonly table: string
  /** Ids as decimal text; null when the statement names none. */
  readonly ids: ReadonlySet<string> | null
}

interface RecentWrite extends WriteSet {
  readonly seqno: number
}

/** What one member does for a write that all members repeat. */
export interface ReplicatedWrite<T> extends WriteSet {
  /** On the member that was asked. A failure here leaves every member as it was. */
  readonly first: (process: NodeProcess) => T
  /** Whether `first` changed anything that the others must repeat. */
  readonly changed: (result: T) => boolean
  /** On every other member, in the same order for all. */
  readonly repeat: (process: NodeProcess, result: T) => void
}

/**
 * Replication clusters over all embedded nodes: who is in which view, who may write, and writes that all members
 * apply in one order.
 *
 * A view is broken as soon as one of its members is gone or cut off. After the detection delay every connected part
 * forms a view of its own: primary if it holds more than half of the last primary view, non-primary otherwise.
 * Views are brought up to date when somebody looks at them and around every change of topology; no timer runs.
 */
export class Replication {
  readonly network: EmbeddedNetwork
  readonly #recentWrites = new Map<string, RecentWrite[]>()
  #viewOrder = 0

  constructor(network: EmbeddedNetwork) {
    this.network = network
    network.observe({ settle: () => this.settle() })
  }

  /** Brings the views of all clusters up to date. */
  settle(): void {
    const groups = new Map<string, Membership[]>()
    for (const process of this.network.processes()) {
      for (const membership of process.memberships.values()) {
        if (membership.state === 'closed') continue
        const key = groupKey(membership)
        const group = groups.get(key)
        if (group === undefined) groups.set(key, [membership])
        else group.push(membership)
      }
    }
    for (const group of groups.values()) this.#settleGroup(group)
  }

  /** The live members that share the membership's view, itself included, in joining order. */
  peers(membership: Membership): readonly Membership[] {
    const peers: Membership[] = []
    for (const node of membership.view.members) {
      const peer = this.network.process(node)?.memberships.get(membership.cluster)
      if (peer !== undefined && peer.view === membership.view) peers.push(peer)
    }
    return peers
  }

  /** Makes a cluster of one out of this member. */
  found(membership: Membership): void {
    membership.state = 'synced'
    membership.seqno = Math.max(0, membership.seqno)
    membership.enter(this.#newView(membership.view.confId + 1, [membership.node], true))
    this.network.changed()
  }

  /**
   * Makes the part that this member is in primary, whatever became of the others. It goes on from the most advanced state
   * in this part; members that are behind, maybe this one itself, come in with a state transfer.
   */
  bootstrap(membership: Membership): void {
    this.settle()
    if (membership.state === 'closed') {
      this.found(membership)
      membership.save()
      return
    }
    if (membership.view.primary) return
    const peers = this.peers(membership).filter(
      (peer) => peer.state === 'synced' && this.#connected(peer, membership),
    )
    const seqno = Math.max(...peers.map((peer) => peer.seqno))
    const advanced = peers.filter((peer) => peer.seqno === seqno)
    if (advanced.length === 0) {
      throw new DaemonError(
        `cluster '${membership.cluster}' is not ready, current state is ${membership.state}`,
      )
    }
    const { view } = membership
    const behind = this.peers(membership).filter((peer) => !advanced.includes(peer))
    this.#form(
      advanced,
      view,
      advanced.map((peer) => peer.node),
      true,
    )
    for (const peer of behind) this.#form([peer], view, [peer.node], false)
    this.network.changed()
  }

  /** Lets `joiner` into the view of `donor`. */
  admit(joiner: Membership, donor: Membership): void {
    const members = this.peers(donor)
    this.#form([...members, joiner], donor.view, [...donor.view.members, joiner.node], donor.view.primary)
    this.network.changed()
  }

  /** Takes a member out of its view in good order: the others keep their quorum. */
  leave(membership: Membership): void {
    const { view } = membership
    const others = this.peers(membership).filter(
      (peer) => peer !== membership && this.#connected(peer, membership),
    )
    membership.close()
    const nodes = view.members.filter((node) => node !== membership.node)
    this.#form(others, view, nodes, view.primary)
    this.network.changed()
  }

  /**
   * Whether a membership can write right now; false while its view is broken but not given up yet. Throws what the
   * daemon says when it cannot write at all. Ask again after every wait:
   * `while (!replication.writableNow(m)) await replication.awaitDetection(m.process, m.view)`
   */
  writableNow(membership: Membership): boolean {
    const { process, cluster } = membership
    process.ensureAlive()
    this.settle()
    if (process.memberships.get(cluster) !== membership) throw new DaemonError(`unknown cluster '${cluster}'`)
    if (!membership.view.primary)
      throw new DaemonError(`cluster '${cluster}' is not ready, not primary state`)
    if (membership.state !== 'synced') {
      throw new DaemonError(`cluster '${cluster}' is not ready, current state is ${membership.state}`)
    }
    return membership.view.brokenSinceMs === null
  }

  /** Lets the time pass after which a broken view is given up. */
  async awaitDetection(process: NodeProcess, view: View): Promise<void> {
    const { clock, failureDetectionMs } = this.network
    const sinceMs = view.brokenSinceMs ?? clock.now()
    await process.pause(Math.max(1, sinceMs + failureDetectionMs - clock.now()))
  }

  /**
   * Whether a write that began at `sinceSeqno` lost against a later one on the same rows.
   */
  conflicts(membership: Membership, sinceSeqno: number, write: WriteSet): boolean {
    const recent = this.#recentWrites.get(groupKey(membership)) ?? []
    const { ids } = write
    if (ids === null) return false
    return recent.some(
      (other) =>
        other.seqno > sinceSeqno && other.table === write.table && [...ids].some((id) => other.ids?.has(id)),
    )
  }

  /** Applies a write on all members of the view, in one go. The membership must be writable. */
  commit<T>(membership: Membership, write: ReplicatedWrite<T>): T {
    const result = membership.process.store.transaction(() => {
      const first = write.first(membership.process)
      if (write.changed(first)) membership.advance()
      return first
    })
    if (!write.changed(result)) return result
    this.#remember(membership, write)
    for (const peer of this.peers(membership)) {
      if (peer !== membership) this.#repeat(peer, write, result)
    }
    return result
  }

  #repeat<T>(peer: Membership, write: ReplicatedWrite<T>, result: T): void {
    try {
      peer.process.store.transaction(() => {
        if (!peer.missing.has(write.table)) write.repeat(peer.process, result)
        peer.advance()
      })
    } catch (error) {
      // Its data differs from everybody else's: it must come back with a full copy.
      peer.invalidate()
      peer.seqno = -1
      this.leave(peer)
      peer.lastError = error instanceof Error ? error.message : String(error)
    }
  }

  #remember(membership: Membership, write: WriteSet): void {
    const key = groupKey(membership)
    const recent = this.#recentWrites.get(key) ?? []
    recent.push({ seqno: membership.seqno, table: write.table, ids: write.ids })
    if (recent.length > RECENT_WRITES) recent.splice(0, recent.length - RECENT_WRITES)
    this.#recentWrites.set(key, recent)
  }

  #settleGroup(group: readonly Membership[]): void {
    const before = this.#viewOrder
    for (const view of new Set(group.map((membership) => membership.view))) {
      this.#split(
        view,
        group.filter((membership) => membership.view === view),
      )
    }
    const settled = group.filter((membership) => membership.view.brokenSinceMs === null)
    for (const part of connectedComponents(settled, (a, b) => this.#connected(a, b))) this.#merge(part)
    if (this.#viewOrder !== before) this.network.changed()
  }

  /** Gives up a view that has been broken for longer than the detection delay. */
  #split(view: View, present: readonly Membership[]): void {
    const parts = connectedComponents(present, (a, b) => this.#connected(a, b))
    if (parts.length === 1 && present.length === view.members.length) {
      view.brokenSinceMs = null
      return
    }
    const nowMs = this.network.clock.now()
    view.brokenSinceMs ??= nowMs
    if (nowMs - view.brokenSinceMs < this.network.failureDetectionMs) return
    for (const part of parts) {
      const nodes = view.members.filter((node) => part.some((membership) => membership.node === node))
      this.#form(part, view, nodes, view.primary && hasQuorum(nodes, view))
    }
  }

  /**
   * Non-primary parts that meet again are primary if everybody of the last primary view is among them. Parts that
   * meet a primary one join it with a state transfer, which is not done here; two primary parts stay apart.
   */
  #merge(part: readonly Membership[]): void {
    if (part.some((membership) => membership.view.primary)) return
    const latest = latestView(part.map((membership) => membership.view))
    const lastPrimary = latestView(part.map((membership) => membership.lastPrimary))
    if (latest === null) return
    if (lastPrimary !== null) {
      const returned = part.filter((membership) => membership.lastPrimary === lastPrimary)
      if (returned.length === lastPrimary.members.length) {
        this.#form(returned, latest, lastPrimary.members, true)
        return
      }
    }
    if (part.every((membership) => membership.view === latest)) return
    const nodes = part.map((membership) => membership.node)
    this.#form(part, latest, nodes, false)
  }

  #form(members: readonly Membership[], previous: View, nodes: readonly NodeId[], primary: boolean): void {
    if (members.length === 0) return
    const view = this.#newView(previous.confId + 1, nodes, primary)
    for (const membership of members) membership.enter(view)
  }

  #newView(confId: number, members: readonly NodeId[], primary: boolean): View {
    this.#viewOrder += 1
    return { order: this.#viewOrder, confId, members, primary, brokenSinceMs: null }
  }

  #connected(a: Membership, b: Membership): boolean {
    return a.node === b.node || this.network.connected(a.node, b.node)
  }
}

function latestView(views: readonly (View | null)[]): View | null {
  return views.reduce<View | null>(
    (latest, view) => (view !== null && (latest === null || view.order > latest.order) ? view : latest),
    null,
  )
}

function groupKey(membership: Membership): string {
  return `${membership.cluster} ${membership.stateUuid}`
}
