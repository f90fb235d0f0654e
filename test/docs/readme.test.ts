import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, expect, it } from 'vitest'

const run = promisify(execFile)
const RUN_TIMEOUT_MS = 60_000

/** What the shorter examples take for granted, on an embedded cluster. */
const PRELUDE = `
import { connect, EmbeddedCluster, planText, Queue, Table } from 'manticore-sharding'
const nodes = await EmbeddedCluster.start({ nodes: 3, cluster: 'c' })
const node = nodes.nodes[0]?.id ?? ''
const { client, cluster } = await connect({ nodes: [\`http://\${node}\`], cluster: 'c' })
const queue = new Queue(cluster, client)
const users = new Table(client, cluster, 'users', 'name string')
`
const EPILOGUE = 'await client.close()\nawait nodes.close()\n'

let examples: string[]
beforeAll(async () => {
  const text = await readFile('README.md', 'utf8')
  examples = [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, code = '']) => code)
})

/** Runs a program as a user of this package would, and gives what it prints. */
async function outputOf(program: string): Promise<string> {
  const child = run(process.execPath, ['--input-type=module-typescript', '--eval', program], {
    timeout: RUN_TIMEOUT_MS,
  })
  return (await child).stdout
}

it(
  'the first example runs as it stands there',
  async () => {
    expect((await outputOf(examples[0] ?? '')).trim().split('\n')).toEqual([
      'create of users: running',
      'create of users: succeeded',
      expect.stringContaining("table 'users'"),
    ])
  },
  RUN_TIMEOUT_MS,
)

it(
  'the example with commands of one own does and undoes what it says',
  async () => {
    const look = `console.log((await client.parts.catalog.tables(node)).has('notes'))\n`
    const program = `${PRELUDE}${(examples[1] ?? '').replace("'my-group') // and back", `'my-group')//`)}${look}${EPILOGUE}`
    const shown = program.replace(
      'await queue.rollbackOperationGroup',
      `${look}await queue.rollbackOperationGroup`,
    )
    expect((await outputOf(shown)).trim().split('\n')).toEqual(['true', 'false'])
  },
  RUN_TIMEOUT_MS,
)

it(
  'every example is right as far as its types go',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mshard-readme-'))
    try {
      const programs = examples.map((code) =>
        code.includes('import ') ? code : `${PRELUDE}${code}${EPILOGUE}`,
      )
      await Promise.all(
        programs.map(async (program, index) => await writeFile(join(folder, `example-${index}.ts`), program)),
      )
      const options = {
        extends: resolve('tsconfig.json'),
        compilerOptions: {
          noUnusedLocals: false,
          typeRoots: [resolve('node_modules/@types')],
          types: ['node'],
          paths: { 'manticore-sharding': [resolve('src/index.ts')] },
        },
        include: ['./*.ts'],
      }
      await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(options))
      await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
      const tsc = resolve('node_modules/typescript/bin/tsc')
      const problems = await run(process.execPath, [tsc, '--project', folder]).catch(
        (error: unknown) => error as { readonly stdout: string },
      )
      expect(problems.stdout).toBe('')
      expect(programs.length).toBeGreaterThan(2)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  },
  RUN_TIMEOUT_MS,
)
