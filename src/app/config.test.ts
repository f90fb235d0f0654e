import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { InputError } from '../domain/errors.ts'
import { type Config, SETTINGS } from './config-schema.ts'
import { loadConfig, type LoadedConfig } from './config.ts'
import type { ConfigFlags } from './config-sources.ts'
import { connectOptionsOf, coordinatorSettingsOf, throttleChangeOf } from './config-use.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mshard-config-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

const put = async (name: string, content: unknown) =>
  await writeFile(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content))

async function load(
  environment: Record<string, string> = {},
  flags: Partial<ConfigFlags> = {},
): Promise<LoadedConfig> {
  return await loadConfig({ environment, folder, flags: { values: [], ...flags } })
}

const set = (name: string, text: string) => ({ name, text, flag: '--set' })

async function refusalOf(loading: Promise<unknown>): Promise<string> {
  const error: unknown = await loading.then(
    () => new Error('it was taken'),
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(InputError)
  return error instanceof Error ? error.message : ''
}

const originOf = ({ settings }: LoadedConfig, name: string) =>
  settings.find(({ setting }) => setting.name === name)?.origin.text

describe('the configuration', () => {
  it('has a default for everything, and cannot be changed', async () => {
    const { config, settings } = await load()
    expect(config).toMatchObject({
      nodes: [],
      cluster: null,
      listen: { host: '127.0.0.1', port: 9380 },
      coordination: { graceDelayMs: 60_000, automaticRebalance: true, automaticReplace: true },
      throttle: { movesPerNode: null, movesInAll: null, maxLatencyMs: null },
      helper: { upstream: null, holdMs: 2_000, statementTimeoutMs: 30_000 },
    } satisfies Partial<Record<keyof Config, unknown>>)
    expect(new Set(settings.map(({ origin }) => origin.text))).toEqual(new Set(['default']))
    expect(Object.isFrozen(config.coordination)).toBe(true)
  })

  it('takes flags before the environment, that before the file, and that before defaults', async () => {
    await put('mshard.config.json', {
      cluster: 'from_file',
      coordination: { graceDelayMs: 1, watchIntervalMs: 100, maxFlaps: 7 },
    })
    const loaded = await load(
      { MSHARD_COORDINATION_GRACE_DELAY_MS: '2', MSHARD_COORDINATION_WATCH_INTERVAL_MS: '200', HOME: '/' },
      { values: [set('coordination.graceDelayMs', '3')] },
    )
    expect(loaded.config.cluster).toBe('from_file')
    expect(loaded.config.coordination).toMatchObject({
      graceDelayMs: 3,
      watchIntervalMs: 200,
      maxFlaps: 7,
      flapWindowMs: 600_000,
    })
    expect(originOf(loaded, 'coordination.graceDelayMs')).toBe('--set')
    expect(originOf(loaded, 'coordination.watchIntervalMs')).toBe('MSHARD_COORDINATION_WATCH_INTERVAL_MS')
    expect(originOf(loaded, 'coordination.maxFlaps')).toBe('mshard.config.json')
    expect(originOf(loaded, 'coordination.flapWindowMs')).toBe('default')
  })

  it('is the same in JSON, YAML, the environment and flags', async () => {
    const nodes = ['http://10.0.0.1:9312', '10.0.0.2:9312']
    await put('a.json', { nodes, cluster: 'c', listen: { port: 0 }, tls: { insecure: true } })
    await put(
      'b.yaml',
      `nodes: [${nodes.join(', ')}]\ncluster: c\nlisten: {port: 0}\ntls:\n  insecure: true\n`,
    )
    await put('empty.yml', '# nothing\n')
    const fromJson = await load({}, { file: 'a.json' })
    const fromYaml = await load({ MSHARD_CONFIG: 'b.yaml' })
    const fromEnvironment = await load({
      MSHARD_NODES: nodes.join(', '),
      MSHARD_CLUSTER: 'c',
      MSHARD_LISTEN_PORT: '0',
      MSHARD_TLS_INSECURE: 'yes',
      MSHARD_HELPER_UPSTREAM: '',
    })
    const flags = [
      set('nodes', nodes.join(',')),
      set('cluster', 'c'),
      set('listen.port', '0'),
      set('tls.insecure', 'true'),
    ]
    const fromFlags = await load({}, { file: 'empty.yml', values: flags })
    for (const { config } of [fromYaml, fromEnvironment, fromFlags]) expect(config).toEqual(fromJson.config)
    expect(fromJson.config.tls.insecure).toBe(true)
  })

  it('can be given every setting by its variable', async () => {
    for (const { variable, kind, name } of SETTINGS) {
      if (name.startsWith('auth.') || name.startsWith('tls.') || name === 'nodes') continue
      const text = { text: 'http://h:1', integer: '1000', boolean: 'off', list: 'a', file: 'f' }[kind]
      const fitting = { 'logs.level': 'debug', 'logs.format': 'json', cluster: 'c' }[name] ?? text
      expect(originOf(await load({ [variable]: fitting }), name), name).toBe(variable)
    }
  })
})

describe('what is wrong with the configuration', () => {
  it('is told all at once, each with where it comes from', async () => {
    await put('mshard.config.yaml', 'coordinaton:\n  graceDelay: 5\nlisten: 9380\nlogs: {level: loud}\n')
    const refusal = await refusalOf(
      load(
        { MSHARD_COORDINATION_GRACE_DELAY: '1', MSHARD_LISTEN_PORT: 'http', MSHARD_NODES: 'h:1,h:2' },
        { values: [set('graceDelayMs', '1'), set('throttle.movesInAll', '0'), set('wholly.other', '1')] },
      ),
    )
    expect(refusal.split('\n')).toEqual([
      '9 things are wrong with the configuration:',
      "  - unknown setting 'coordinaton.graceDelay' in mshard.config.yaml; did you mean 'coordination.graceDelayMs'?",
      "  - 'listen' in mshard.config.yaml must hold settings of its own, not a number",
      '  - unknown environment variable MSHARD_COORDINATION_GRACE_DELAY; did you mean MSHARD_COORDINATION_GRACE_DELAY_MS?',
      "  - unknown setting 'graceDelayMs' in --set; did you mean 'coordination.graceDelayMs'?",
      "  - unknown setting 'wholly.other' in --set; 'mshard config' lists all there are",
      "  - 'logs.level' must be one of debug, info, warn, error, silent, not 'loud' (from mshard.config.yaml)",
      "  - 'listen.port' must be a whole number from 0 to 65535, not 'http' (from MSHARD_LISTEN_PORT)",
      "  - 'throttle.movesInAll' must be a whole number from 1 to 1000, not 0 (from --set)",
      "  - 'nodes' (from MSHARD_NODES) gives 2 nodes, so 'cluster' must name the cluster they are in",
    ])
  })

  it.each([
    ['a.json', '{"cluster": ', 'a.json: '],
    ['a.yaml', 'cluster: "c', 'a.yaml: '],
    ['a.yaml', 'cluster: c\ncluster: d\n', 'a.yaml: Map keys must be unique'],
    ['a.json', '[]', 'a.json must hold settings, not a list'],
    ['a.toml', '', 'a.toml: the name must end in .json, .yaml or .yml'],
    ['a.json', '{"listen.port": 1, "listen": {"port": 2}}', "a.json gives 'listen.port' twice"],
    ['a.json', '{"__proto__": {"x": 1}}', "unknown setting '__proto__.x' in a.json"],
  ])('is told of a file: %s with %s', async (name, content, message) => {
    await put(name, content)
    expect(await refusalOf(load({}, { file: name }))).toContain(message)
  })

  it('is told of files that are not there, or too many', async () => {
    expect(await refusalOf(load({}, { file: 'none.json' }))).toMatch(/^none\.json cannot be read: ENOENT/)
    await put('mshard.config.json', {})
    await put('mshard.config.yml', '')
    expect(await refusalOf(load())).toBe(
      'there are several configuration files: mshard.config.json and mshard.config.yml; keep one, or name it with --config',
    )
  })

  it.each([
    [{ MSHARD_AUTH_USER: 'u' }, "'auth.user' (from MSHARD_AUTH_USER) needs 'auth.password'"],
    [{ MSHARD_AUTH_PASSWORD: 'p' }, "'auth.password' (from MSHARD_AUTH_PASSWORD) needs 'auth.user'"],
    [{ MSHARD_TLS_CERT: 'c' }, "'tls.cert' (from MSHARD_TLS_CERT) needs 'tls.key'"],
    [
      { MSHARD_AUTH_USER: 'u', MSHARD_AUTH_PASSWORD: 'p', MSHARD_AUTH_TOKEN: 't' },
      "'auth.token' (from MSHARD_AUTH_TOKEN) and 'auth.user' (from MSHARD_AUTH_USER) exclude each other",
    ],
    [{ MSHARD_CLUSTER: 'no good' }, "'cluster': "],
    [{ MSHARD_HELPER_UPSTREAM: 'ftp://h' }, "'helper.upstream': not the URL of a helper"],
  ])('is told when things do not go together: %o', async (environment, message) => {
    expect(await refusalOf(load(environment))).toContain(message)
  })
})

describe('a secret', () => {
  it('is never shown, nor repeated in a message', async () => {
    const loaded = await load({
      MSHARD_NODES: 'http://ann:hidden@10.0.0.1:9312,ann:hidden@10.0.0.2:9312',
      MSHARD_CLUSTER: 'c',
      MSHARD_AUTH_USER: 'ann',
      MSHARD_AUTH_PASSWORD: 'hidden',
      MSHARD_HELPER_UPSTREAM: 'http://ann:hidden@127.0.0.1:9400/path',
    })
    const shown = JSON.stringify(loaded.settings.map(({ shown }) => shown))
    expect(shown).not.toContain('hidden')
    expect(shown).toContain('"http://ann:***@10.0.0.1:9312","ann:***@10.0.0.2:9312"')
    expect(shown).toContain('"http://ann:***@127.0.0.1:9400/path"')
    expect(loaded.config.auth.password).toBe('hidden')

    await put('a.json', { nodes: ['http://ann:hidden@:x'], auth: { password: ['hidden'] } })
    const refusal = await refusalOf(load({}, { file: 'a.json', values: [set('auth.token', 'hidden')] }))
    expect(refusal).not.toContain('hidden')
    expect(refusal).toContain("'nodes': not the URL of a node")
    expect(refusal).toContain("'auth.password' must be text that is not empty (from a.json)")
    expect(refusal).toContain("use MSHARD_AUTH_TOKEN or 'auth.tokenFile'")

    await put('b.json', '{"auth": {"user": "ann",\n "password": hidden }}')
    expect(await refusalOf(load({}, { file: 'b.json' }))).toBe("b.json: Unexpected token 'h'")
    await put('b.yaml', 'auth:\n  user: "ann"\n  password: "hidden\n')
    expect(await refusalOf(load({}, { file: 'b.yaml' }))).toBe(
      'b.yaml: Missing closing "quote at line 4, column 1',
    )
  })

  it('can stand in a file, which counts from the folder of the configuration', async () => {
    await put('secret', 'hidden\n')
    await put('a.json', { auth: { user: 'ann', passwordFile: 'secret' } })
    const loaded = await loadConfig({
      environment: {},
      folder: tmpdir(),
      flags: { file: join(folder, 'a.json'), values: [] },
    })
    expect(loaded.config.auth).toMatchObject({ user: 'ann', password: 'hidden' })
    expect(originOf(loaded, 'auth.password')).toBe(`auth.passwordFile (${join(folder, 'a.json')})`)

    const environment = { MSHARD_AUTH_PASSWORD: 'other' }
    expect((await load(environment, { file: 'a.json' })).config.auth.password).toBe('other')
    const both = { ...environment, MSHARD_AUTH_PASSWORD_FILE: 'secret', MSHARD_AUTH_USER: 'ann' }
    expect(await refusalOf(load(both))).toContain("'auth.password' and 'auth.passwordFile' are both given")
    await put('secret', '\n')
    expect(await refusalOf(load({}, { file: 'a.json' }))).toContain('is empty')
    const missing = { MSHARD_AUTH_USER: 'ann', MSHARD_AUTH_PASSWORD_FILE: 'none' }
    const refusal = await refusalOf(load(missing))
    expect(refusal).toMatch(/^'auth.passwordFile' cannot be read: ENOENT/)
    expect(refusal).not.toContain('\n')
  })
})

describe('what comes of the configuration', () => {
  it('is what the parts of the service take', async () => {
    await put('ca.pem', 'authority')
    const { config } = await load({
      MSHARD_NODES: 'https://h:1',
      MSHARD_TLS_CA: 'ca.pem',
      MSHARD_TLS_INSECURE: '1',
      MSHARD_AUTH_TOKEN: 't',
      MSHARD_THROTTLE_MOVES_PER_NODE: '2',
      MSHARD_THROTTLE_MAX_LATENCY_MS: '0',
      MSHARD_COORDINATION_AUTOMATIC_REPLACE: 'off',
    })
    expect(await connectOptionsOf(config)).toEqual({
      nodes: ['https://h:1'],
      leaseTtlMs: 5_000,
      connection: {
        auth: { kind: 'bearer', token: 't' },
        tls: { ca: 'authority', rejectUnauthorized: false },
      },
    })
    expect(throttleChangeOf(config)).toEqual({ movesPerNode: 2, maxLatencyMs: null })
    expect(coordinatorSettingsOf(config)).toEqual({
      watchIntervalMs: 1_000,
      graceDelayMs: 60_000,
      flapWindowMs: 600_000,
      maxFlaps: 3,
      automaticRebalance: true,
      automaticReplace: false,
    })
    const plain = await load({
      MSHARD_AUTH_USER: 'ann',
      MSHARD_AUTH_PASSWORD: 'p',
      MSHARD_NODES: 'h:1',
      MSHARD_CLUSTER: 'c',
    })
    expect(await connectOptionsOf(plain.config)).toEqual({
      nodes: ['h:1'],
      leaseTtlMs: 5_000,
      cluster: 'c',
      connection: { auth: { kind: 'basic', user: 'ann', password: 'p' } },
    })
    const lacking = await load({ MSHARD_TLS_CA: 'none.pem' })
    expect(await refusalOf(connectOptionsOf(lacking.config))).toMatch(/^'tls.ca' cannot be read/)
  })
})
