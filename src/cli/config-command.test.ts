import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mshard-config-command-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

const ENTRY = new URL('mshard.ts', import.meta.url).pathname

/** Runs `mshard` with an environment of its own. */
function run(environment: Record<string, string>, ...args: string[]) {
  const { PATH = '' } = process.env
  const env = { PATH, ...environment }
  const { status, stdout, stderr } = spawnSync(process.execPath, [ENTRY, ...args], {
    cwd: folder,
    env,
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}

it('mshard config prints what is in force, where it comes from, and no secret', async () => {
  await writeFile(
    join(folder, 'mshard.config.yaml'),
    'cluster: c\nauth: {user: ann, password: hidden}\nlogs: {level: warn}\n',
  )
  const environment = { MSHARD_NODES: 'http://ann:hidden@127.0.0.1:9312' }
  const flags = ['--log-level', 'debug', '--set', 'listen.port=0', '--set', 'listen.host=::1']
  const { status, stdout, stderr } = run(environment, 'config', ...flags)
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  const lines = stdout.trimEnd().split('\n')
  expect(lines.slice(0, 9).join('\n')).toMatchInlineSnapshot(`
    "setting                          value                          from
    nodes                            http://ann:***@127.0.0.1:9312  MSHARD_NODES
    cluster                          c                              mshard.config.yaml
    listen.host                      ::1                            --set
    listen.port                      0                              --set
    auth.user                        ann                            mshard.config.yaml
    auth.password                    ***                            mshard.config.yaml
    auth.passwordFile                -                              default
    auth.token                       -                              default"
  `)
  expect(lines.find((line) => line.startsWith('logs.level'))).toMatch(/^logs\.level +debug +--log-level$/)
  expect(stdout).not.toContain('hidden')

  const asJson: unknown = JSON.parse(run(environment, 'config', '--json', ...flags).stdout)
  expect(asJson).toMatchObject({
    settings: {
      cluster: { value: 'c', from: 'file', source: 'mshard.config.yaml' },
      'auth.password': { value: '***', from: 'file' },
      'listen.port': { value: 0, from: 'flag', source: '--set' },
      'coordination.graceDelayMs': { value: 60_000, from: 'default', source: 'default' },
    },
  })
})

it('mshard config tells what is wrong, and exits as for any bad input', () => {
  const wrong = run({ MSHARD_CLUSTR: 'c' }, 'config', '--set', 'logs.colour=true')
  expect(wrong.status).toBe(64)
  expect(wrong.stdout).toBe('')
  expect(wrong.stderr).toMatchInlineSnapshot(`
    "error: 2 things are wrong with the configuration:
      - unknown environment variable MSHARD_CLUSTR; did you mean MSHARD_CLUSTER?
      - unknown setting 'logs.colour' in --set; 'mshard config' lists all there are
    hint: Correct the input as the message says.
    "
  `)
  const noValue = run({}, 'config', '--set', 'cluster')
  expect(noValue.status).toBe(64)
  expect(noValue.stderr).toContain('Expected name=value')
  expect(run({}, 'config', '--log-level', 'loud').stderr).toContain('Allowed choices are debug, info')
})
