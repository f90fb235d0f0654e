import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { z } from 'zod'

/** Remembers the nodes of a cluster, so that they have the same names when it is started again. */
const MANIFEST_FILE = 'nodes.json'

const port = z.int().min(1).max(65_535)
const manifest = z.object({
  nodes: z.array(
    z.object({
      host: z.string(),
      port,
      mysqlPort: port.nullable(),
      replicationPort: port,
      folder: z.string(),
    }),
  ),
})

export type RememberedNode = z.infer<typeof manifest>['nodes'][number]

/** Where an embedded cluster keeps its nodes' data. */
export class ClusterFolder {
  /** Null for a cluster in memory. */
  readonly path: string | null
  readonly #isTemporary: boolean

  private constructor(folder: string | null, isTemporary: boolean) {
    this.path = folder
    this.#isTemporary = isTemporary
  }

  static inMemory(): ClusterFolder {
    return new ClusterFolder(null, false)
  }

  /** A new folder that {@link dispose} removes. */
  static temporary(): ClusterFolder {
    return new ClusterFolder(mkdtempSync(path.join(tmpdir(), 'manticore-embedded-')), true)
  }

  /** A folder that stays; made when it is not there. */
  static kept(folder: string): ClusterFolder {
    mkdirSync(folder, { recursive: true })
    return new ClusterFolder(path.resolve(folder), false)
  }

  /** The nodes that were here when the cluster was last changed. */
  remembered(): readonly RememberedNode[] {
    if (this.path === null) return []
    const file = path.join(this.path, MANIFEST_FILE)
    if (!existsSync(file)) return []
    return manifest.parse(JSON.parse(readFileSync(file, 'utf8'))).nodes
  }

  remember(nodes: readonly RememberedNode[]): void {
    if (this.path === null) return
    const file = path.join(this.path, MANIFEST_FILE)
    writeFileSync(`${file}.new`, `${JSON.stringify({ nodes }, null, 2)}\n`)
    renameSync(`${file}.new`, file)
  }

  dataDirOf(node: RememberedNode): string | null {
    return this.path === null ? null : path.join(this.path, node.folder)
  }

  dispose(): void {
    if (this.#isTemporary && this.path !== null) rmSync(this.path, { recursive: true, force: true })
  }
}
