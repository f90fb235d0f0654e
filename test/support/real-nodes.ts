import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** How long a daemon may take to answer after its start, in milliseconds. */
const START_TIMEOUT_MS = 20_000
/** A daemon asked to stop after cluster changes sometimes hangs; then it is killed. */
const STOP_TIMEOUT_MS = 3_000
/** Ports that a node needs for replication: two for each of its clusters. */
const REPLICATION_PORTS = 60
/** Below the ports that the system hands out, from which the listeners of nodes come. */
const REPLICATION_PORT_BASE = 12_000
/** Of one test process: ten nodes at a time. */
const PORTS_A_PROCESS = 600
/** Nodes started so far by this process: clusters that stand side by side must not share ports. */
let nodesStarted = 0

interface RealNode {
  readonly id: string
  readonly folder: string
  readonly mysqlPort: number
  process: ChildProcess
}

/** Real daemons on loopback, each in a temporary folder of its own. */
export class RealNodes {
  readonly #binary: string
  readonly #root: string
  readonly nodes: RealNode[]

  private constructor(binary: string, root: string, nodes: RealNode[]) {
    this.#binary = binary
    this.#root = root
    this.nodes = nodes
  }

  /** Starts `count` nodes and makes a cluster of them when a name is given. */
  static async start(binary: string, count: number, cluster?: string): Promise<RealNodes> {
    const root = await mkdtemp(join(tmpdir(), 'mshard-real-'))
    const nodes: RealNode[] = []
    for (let number = 0; number < count; number++) nodes.push(await startNode(binary, root, number))
    const started = new RealNodes(binary, root, nodes)
    if (cluster !== undefined) await started.#makeCluster(cluster)
    return started
  }

  get urls(): string[] {
    return this.nodes.map(({ id }) => `http://${id}`)
  }

  get ids(): string[] {
    return this.nodes.map(({ id }) => id)
  }

  async query(node: number, sql: string): Promise<unknown> {
    const id = this.nodes[node]?.id ?? ''
    const response = await fetch(`http://${id}/sql?mode=raw`, {
      method: 'POST',
      body: new URLSearchParams({ query: sql }),
      signal: AbortSignal.timeout(START_TIMEOUT_MS),
    })
    return await response.json()
  }

  /** Starts one more node, which joins the cluster when a name is given. */
  async addNode(cluster?: string): Promise<string> {
    const number = this.nodes.length
    const node = await startNode(this.#binary, this.#root, number)
    this.nodes.push(node)
    if (cluster !== undefined)
      await this.query(number, `JOIN CLUSTER ${cluster} AT '${this.nodes[0]?.id ?? ''}'`)
    return node.id
  }

  /** Kill -9. */
  async kill(node: number): Promise<void> {
    const child = this.nodes[node]?.process
    if (child === undefined) return
    await stopped(child, 'SIGKILL')
  }

  async restart(node: number): Promise<void> {
    const real = this.nodes[node]
    if (real === undefined) return
    real.process = await run(this.#binary, real.folder, real.id)
  }

  async close(): Promise<void> {
    await Promise.all(this.nodes.map(async (node) => await stopped(node.process, 'SIGTERM')))
    await rm(this.#root, { recursive: true, force: true, maxRetries: 3 })
  }

  async #makeCluster(cluster: string): Promise<void> {
    await this.query(0, `CREATE CLUSTER ${cluster}`)
    for (let node = 1; node < this.nodes.length; node++) {
      await this.query(node, `JOIN CLUSTER ${cluster} AT '${this.nodes[0]?.id ?? ''}'`)
    }
  }
}

async function startNode(binary: string, root: string, number: number): Promise<RealNode> {
  const folder = join(root, `node${number}`)
  await mkdir(join(folder, 'data'), { recursive: true })
  const [api, mysql] = await freePorts(2)
  const ports = (nodesStarted++ * REPLICATION_PORTS) % PORTS_A_PROCESS
  const replication = REPLICATION_PORT_BASE + (process.pid % 30) * PORTS_A_PROCESS + ports
  const id = `127.0.0.1:${api}`
  await writeFile(
    join(folder, 'manticore.conf'),
    [
      'searchd {',
      `  listen = ${id}`,
      `  listen = 127.0.0.1:${mysql}:mysql`,
      `  listen = 127.0.0.1:${replication}-${replication + REPLICATION_PORTS - 1}:replication`,
      `  node_address = 127.0.0.1`,
      `  server_id = ${number + 1}`,
      `  data_dir = ${join(folder, 'data')}`,
      `  log = ${join(folder, 'searchd.log')}`,
      `  query_log = ${join(folder, 'query.log')}`,
      `  pid_file = ${join(folder, 'searchd.pid')}`,
      '  buddy_path =',
      '  telemetry = 0',
      // Without it a read over many shards now and then waits a second for a connection.
      '  listen_backlog = 256',
      // The default is one a core: on two cores a copy under way would wait for clients, and they for it.
      '  threads = 16',
      '}',
      '',
    ].join('\n'),
  )
  return { id, folder, mysqlPort: mysql ?? 0, process: await run(binary, folder, id) }
}

async function run(binary: string, folder: string, id: string): Promise<ChildProcess> {
  const child = spawn(binary, ['--config', join(folder, 'manticore.conf'), '--nodetach'], { stdio: 'ignore' })
  const giveUpAt = Date.now() + START_TIMEOUT_MS
  for (;;) {
    if (child.exitCode !== null) throw new Error(`searchd ended with status ${child.exitCode}; see ${folder}`)
    try {
      await fetch(`http://${id}/sql?mode=raw`, {
        method: 'POST',
        body: new URLSearchParams({ query: "SHOW STATUS LIKE 'version'" }),
      })
      return child
    } catch (error) {
      if (Date.now() > giveUpAt) throw new Error(`searchd at ${id} does not answer`, { cause: error })
      await sleep(50)
    }
  }
}

async function stopped(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill(signal)
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
  await exit
  clearTimeout(timer)
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      return server
    }),
  )
  return await Promise.all(
    servers.map(async (server) => {
      const address = server.address()
      server.close()
      await once(server, 'close')
      return typeof address === 'object' && address !== null ? address.port : 0
    }),
  )
}
