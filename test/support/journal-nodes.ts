import type { Clock, NodeConnector } from '../../src/domain/ports.ts'
import type { Statement } from '../../src/domain/statement.ts'
import { EmbeddedCluster, type FaultEffect, type FaultHandle } from '../../src/embedded/index.ts'
import { Journal } from '../../src/engine/journal.ts'
import { JournalConnection } from '../../src/engine/journal-connection.ts'
import { setUpJournal } from '../../src/engine/journal-setup.ts'
import { StateStore } from '../../src/engine/state-store.ts'
import { ConnectedCatalog, HttpNodeConnector } from '../../src/manticore/index.ts'
import { fixedRandom, JumpingClock } from './engine-doubles.ts'

const CLUSTER = 'c'

/** Embedded nodes with the tables of the journal, and the journal over them. */
export class JournalNodes {
  readonly embedded: EmbeddedCluster
  readonly connector: NodeConnector
  readonly catalog: ConnectedCatalog
  readonly clock: Clock = new JumpingClock(1_800_000_000_000)
  readonly journal: Journal
  readonly state: StateStore

  private constructor(embedded: EmbeddedCluster) {
    this.embedded = embedded
    this.connector = new HttpNodeConnector()
    this.catalog = new ConnectedCatalog(this.connector)
    const connection = this.connection()
    this.journal = new Journal(connection, CLUSTER, this.clock)
    this.state = new StateStore(connection, CLUSTER, this.clock)
  }

  static async start(count = 2): Promise<JournalNodes> {
    const embedded = await EmbeddedCluster.start({ nodes: count, cluster: CLUSTER, dataDir: ':memory:' })
    const nodes = new JournalNodes(embedded)
    const { connector, catalog } = nodes
    await setUpJournal({ connector, catalog, cluster: CLUSTER, node: nodes.ids[0] ?? '' })
    return nodes
  }

  get ids(): readonly string[] {
    return this.embedded.nodes.map(({ id }) => id)
  }

  /** As another process has one. */
  connection(): JournalConnection {
    return new JournalConnection(this.connector, () => this.ids, this.clock, fixedRandom())
  }

  /** The journal as another process sees it. */
  otherJournal(): Journal {
    return new Journal(this.connection(), CLUSTER, this.clock)
  }

  otherState(): StateStore {
    return new StateStore(this.connection(), CLUSTER, this.clock)
  }

  /** The next statements of this kind on a table suffer. */
  suffer(kind: Statement['kind'], table: string, effect: FaultEffect, times = 1): FaultHandle {
    return this.embedded.faults.add({
      when: (statement) => statement.kind === kind && 'table' in statement && statement.table.name === table,
      effect,
      times,
    })
  }

  /** Runs SQL on the first node. */
  async sql(text: string): Promise<void> {
    await this.connector.connection(this.ids[0] ?? '').execute(text)
  }

  async close(): Promise<void> {
    await this.connector.close()
    await this.embedded.close()
  }
}

/** No answer: before the statement took effect, and after. */
export const LOSSES: readonly FaultEffect[] = [{ kind: 'lose_request' }, { kind: 'lose_reply' }]
