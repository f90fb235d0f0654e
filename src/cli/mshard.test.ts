import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripTypeScriptTypes } from 'node:module'
import { expect, it } from 'vitest'

/** Where systems put the Node.js that they bring. */
const SYSTEM_NODE = '/usr/bin/node'

function majorOf(node: string): number {
  return existsSync(node)
    ? Number.parseInt(spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.slice(1), 10)
    : 0
}

const major = majorOf(SYSTEM_NODE)

it.skipIf(major === 0 || major >= 24)(
  'started with an older Node.js it says so in one line (skipped where the system brings none)',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mshard-entry-'))
    try {
      const source = await readFile(new URL('mshard.ts', import.meta.url), 'utf8')
      const entry = join(folder, 'mshard.mjs')
      // What the build makes of it: the same without types.
      await writeFile(entry, stripTypeScriptTypes(source))
      const { status, stdout, stderr } = spawnSync(SYSTEM_NODE, [entry, 'demo'], { encoding: 'utf8' })
      expect(status).toBe(1)
      expect(stdout).toBe('')
      expect(stderr.trimEnd().split('\n')).toEqual([
        expect.stringContaining(`needs Node.js 24 or later; this is v${major}.`),
      ])
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  },
)
