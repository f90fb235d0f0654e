import { z } from 'zod'
import type { NodeId } from '../domain/words.ts'
import type { NodeProcess } from './embedded-node-process.ts'
import { NO_VIEW, type View } from './replication-view.ts'

/** How a member stands to its cluster. A donor is synced and gives state to somebody. */
export type MemberState = 'closed' | 'joining' | 'synced'

/** How far a state transfer has come, as SHOW STATUS shows it on both sides. */
export interface TransferProgress {
  readonly tablesTotal: number
  tablesDone: number
  table: string
}

/** The seqno of a member whose state is being replaced: it knows nothing that anybody could build on. */
const UNDEFINED_SEQNO = -1

const CLUSTERS_FACT = 'clusters'
const clustersFact = z.array(z.string())
const membershipFact = z.object({
  stateUuid: z.string(),
  path: z.string(),
  options: z.string(),
  nodesSet: z.array(z.string()),
  tables: z.array(z.string()),
})

interface MembershipFields {
  readonly process: NodeProcess
  readonly cluster: string
  readonly stateUuid: string
  readonly path: string
  readonly options: string
}

/** One node's part in one replication cluster: what it remembers over a restart, and how it stands now. */
export class Membership {
  readonly process: NodeProcess
  readonly cluster: string
  /** Folder relative to the node's data folder; `''` for the data folder itself. */
  readonly path: string
  readonly options: string
  stateUuid: string
  /** The configured members, in joining order. */
  nodesSet: readonly NodeId[] = []
  readonly tables = new Set<string>()
  /** Number of the last write that this member holds. */
  seqno = 0

  state: MemberState = 'closed'
  view: View = NO_VIEW
  /** The last view in which this process could write; null after a restart. */
  lastPrimary: View | null = null
  lastError = ''
  /** Tables of the cluster that a joining member has not got yet. */
  readonly missing = new Set<string>()
  /** How many members it gives state to at the moment. */
  donations = 0
  transfer: TransferProgress | null = null
  /** Whether somebody brings it into its cluster right now. */
  receiving = false

  constructor(fields: MembershipFields) {
    this.process = fields.process
    this.cluster = fields.cluster
    this.stateUuid = fields.stateUuid
    this.path = fields.path
    this.options = fields.options
  }

  get node(): NodeId {
    return this.process.node
  }

  /** Whether it may take writes and give state to others. */
  get writable(): boolean {
    return this.state === 'synced' && this.view.primary
  }

  /** The word of `cluster_…_status`. */
  get status(): 'primary' | 'non-primary' | 'closed' {
    if (this.state === 'closed') return 'closed'
    return this.view.primary ? 'primary' : 'non-primary'
  }

  /** The word of `cluster_…_node_state`. */
  get nodeState(): MemberState | 'donor' {
    return this.state === 'synced' && this.donations > 0 ? 'donor' : this.state
  }

  enter(view: View): void {
    this.view = view
    if (view.primary) this.lastPrimary = view
  }

  close(): void {
    this.state = 'closed'
    this.view = NO_VIEW
    this.lastPrimary = null
    // Half a state is none: nobody may build on it, and a full copy must replace it.
    if (this.missing.size > 0) this.seqno = UNDEFINED_SEQNO
    this.missing.clear()
    this.transfer = null
  }

  /** Whether the node would know of this cluster after a restart. */
  get remembered(): boolean {
    return this.process.store.fact(membershipKey(this.cluster)) !== undefined
  }

  /** Counts one more write. Called in the transaction of the write itself. */
  advance(): void {
    this.seqno += 1
    if (this.missing.size === 0) this.#saveSeqno(this.seqno)
  }

  /** From here until {@link save} nobody can build on what this member holds on disk. */
  invalidate(): void {
    this.#saveSeqno(UNDEFINED_SEQNO)
  }

  /** Writes down all that must be known after a restart. */
  save(): void {
    const { store } = this.process
    store.transaction(() => {
      store.setFact(
        membershipKey(this.cluster),
        JSON.stringify({
          stateUuid: this.stateUuid,
          path: this.path,
          options: this.options,
          nodesSet: [...this.nodesSet],
          tables: [...this.tables],
        } satisfies z.infer<typeof membershipFact>),
      )
      this.#saveSeqno(this.missing.size === 0 ? this.seqno : UNDEFINED_SEQNO)
      const names = rememberedNames(this.process)
      if (!names.includes(this.cluster)) {
        store.setFact(CLUSTERS_FACT, JSON.stringify([...names, this.cluster]))
      }
    })
  }

  /** Forgets the cluster; its tables stay as plain local ones. */
  forget(): void {
    const { store } = this.process
    this.process.memberships.delete(this.cluster)
    this.close()
    store.transaction(() => {
      store.setFact(membershipKey(this.cluster), undefined)
      store.setFact(seqnoKey(this.cluster), undefined)
      const names = rememberedNames(this.process).filter((name) => name !== this.cluster)
      store.setFact(CLUSTERS_FACT, JSON.stringify(names))
    })
  }

  #saveSeqno(seqno: number): void {
    this.process.store.setFact(seqnoKey(this.cluster), String(seqno))
  }
}

/** The clusters that a node remembers from before it was stopped; all closed. */
export function loadMemberships(process: NodeProcess): void {
  for (const cluster of rememberedNames(process)) {
    const text = process.store.fact(membershipKey(cluster))
    if (text === undefined) continue
    const fact = membershipFact.parse(JSON.parse(text))
    const membership = new Membership({ process, cluster, ...fact })
    membership.nodesSet = fact.nodesSet
    for (const table of fact.tables) membership.tables.add(table)
    membership.seqno = Number(process.store.fact(seqnoKey(cluster)) ?? UNDEFINED_SEQNO)
    process.memberships.set(cluster, membership)
  }
}

function rememberedNames(process: NodeProcess): readonly string[] {
  const text = process.store.fact(CLUSTERS_FACT)
  return text === undefined ? [] : clustersFact.parse(JSON.parse(text))
}

function membershipKey(cluster: string): string {
  return `cluster:${cluster}`
}

function seqnoKey(cluster: string): string {
  return `cluster_seqno:${cluster}`
}
