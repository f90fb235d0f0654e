import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { InputError, messageOf } from '../domain/errors.ts'
import { type Config, CONFIG_SCHEMA, type Setting, SETTINGS } from './config-schema.ts'
import {
  type ConfigFile,
  type ConfigFlags,
  FILE_VARIABLE,
  findConfigFile,
  fromEnvironment,
  fromFile,
  fromFlags,
  type Given,
  type GivenValue,
  type Origin,
} from './config-sources.ts'

/** What stands for a value that must not be seen. */
const MASK = '***'
/** What of a wrong value is repeated in a message. */
const MAX_SHOWN_CHARACTERS = 60

export interface ConfigSources {
  readonly flags?: ConfigFlags
  /** Default: that of this process. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** Where files are looked for. Default: the working directory of this process. */
  readonly folder?: string
}

/** One setting as it is in force. */
export interface SettingInForce {
  readonly setting: Setting
  /** To be shown: secrets are masked, and so are passwords in URLs. */
  readonly shown: unknown
  readonly origin: Origin
}

export interface LoadedConfig {
  readonly config: Config
  readonly settings: readonly SettingInForce[]
}

const RANKS: readonly Origin['kind'][] = ['default', 'file', 'environment', 'flag']

/**
 * Puts the configuration together, each source before those behind it: flags, environment, file, defaults.
 *
 * @throws InputError that names everything that is wrong, and where each of it comes from
 */
export async function loadConfig(sources: ConfigSources = {}): Promise<LoadedConfig> {
  const { flags = { values: [] }, environment = process.env, folder = process.cwd() } = sources
  const problems: string[] = []
  const note = (given: Given): readonly GivenValue[] => {
    problems.push(...given.problems)
    return given.values
  }
  const file = await configFile(flags, environment, folder, problems)
  const given = new Map<string, GivenValue>()
  const parts = [
    ...(file === undefined ? [] : note(fromFile(file))),
    ...note(fromEnvironment(environment, folder)),
    ...note(fromFlags(flags, folder)),
  ]
  const mentioned = new Set<string>()
  for (const value of parts) {
    mentioned.add(value.setting.name)
    const checked = checkedValue(value, problems)
    // Null in a file says that it is left out there.
    if (checked !== null) given.set(value.setting.name, { ...value, value: checked })
  }
  await readSecret(given, 'auth.password', 'auth.passwordFile', problems)
  await readSecret(given, 'auth.token', 'auth.tokenFile', problems)
  checkTogether(given, mentioned, problems)
  if (problems.length > 0) throw refusal(problems)
  return { config: frozen(CONFIG_SCHEMA.parse(nested(given))), settings: inForce(given) }
}

async function configFile(
  flags: ConfigFlags,
  environment: Readonly<Record<string, string | undefined>>,
  folder: string,
  problems: string[],
): Promise<ConfigFile | undefined> {
  const named = flags.file ?? (environment[FILE_VARIABLE] === '' ? undefined : environment[FILE_VARIABLE])
  try {
    return await findConfigFile(named, folder)
  } catch (error) {
    problems.push(messageOf(error))
    return undefined
  }
}

/** The value as the schema takes it; null when it was left out, or was refused. */
function checkedValue({ setting, value, origin }: GivenValue, problems: string[]): unknown {
  if (value === null) return null
  const parsed = setting.schema.safeParse(value)
  if (!parsed.success) {
    const own = parsed.error.issues.find(({ code }) => code === 'custom')?.message
    const where = `(from ${origin.text})`
    // What stands in a URL, or is secret, is not repeated.
    const found = setting.secret || own !== undefined ? '' : `, not ${shortly(value)}`
    problems.push(
      own === undefined
        ? `'${setting.name}' must be ${setting.expects}${found} ${where}`
        : `'${setting.name}': ${own} ${where}`,
    )
    return null
  }
  return setting.kind === 'file' ? resolve(origin.folder, String(parsed.data)) : parsed.data
}

function shortly(value: unknown): string {
  const text = typeof value === 'string' ? `'${value}'` : JSON.stringify(value)
  return text.length > MAX_SHOWN_CHARACTERS ? `${text.slice(0, MAX_SHOWN_CHARACTERS - 1)}…` : text
}

/** Of a secret and its file the one that comes from the higher source counts. */
async function readSecret(
  given: Map<string, GivenValue>,
  name: string,
  fileName: string,
  problems: string[],
): Promise<void> {
  const [direct, file] = [given.get(name), given.get(fileName)]
  const setting = SETTINGS.find((found) => found.name === name)
  if (file === undefined || setting === undefined) return
  if (direct !== undefined) {
    const [ours, theirs] = [rankOf(file.origin), rankOf(direct.origin)]
    if (ours === theirs)
      problems.push(`'${name}' and '${fileName}' are both given (from ${file.origin.text})`)
    if (ours <= theirs) return
  }
  const path = String(file.value)
  try {
    const value = (await readFile(path, 'utf8')).replace(/\r?\n$/, '')
    if (value === '') problems.push(`'${fileName}': ${path} is empty (from ${file.origin.text})`)
    const origin = { ...file.origin, text: `${fileName} (${file.origin.text})` }
    given.set(name, { setting, value, origin })
  } catch (error) {
    problems.push(`'${fileName}' cannot be read: ${messageOf(error)} (from ${file.origin.text})`)
  }
}

function rankOf({ kind }: Origin): number {
  return RANKS.indexOf(kind)
}

/** What is right only together with something else. */
function checkTogether(
  given: ReadonlyMap<string, GivenValue>,
  mentioned: ReadonlySet<string>,
  problems: string[],
): void {
  const from = (name: string) => `'${name}' (from ${given.get(name)?.origin.text ?? 'default'})`
  const needs = (name: string, other: string) => {
    // What was given and is wrong was complained about already.
    const missing = !given.has(other) && !mentioned.has(other) && !mentioned.has(`${other}File`)
    if (given.has(name) && missing) problems.push(`${from(name)} needs '${other}'`)
  }
  needs('auth.user', 'auth.password')
  needs('auth.password', 'auth.user')
  needs('tls.cert', 'tls.key')
  needs('tls.key', 'tls.cert')
  if (given.has('auth.token') && given.has('auth.user')) {
    problems.push(`${from('auth.token')} and ${from('auth.user')} exclude each other`)
  }
  const nodes = given.get('nodes')?.value
  if (Array.isArray(nodes) && nodes.length > 1 && !mentioned.has('cluster')) {
    problems.push(
      `${from('nodes')} gives ${nodes.length} nodes, so 'cluster' must name the cluster they are in`,
    )
  }
}

function refusal(problems: readonly string[]): InputError {
  const [first = '', ...others] = problems
  if (others.length === 0) return new InputError('config', first)
  const lines = problems.map((problem) => `  - ${problem}`).join('\n')
  return new InputError('config', `${problems.length} things are wrong with the configuration:\n${lines}`)
}

/** Groups and values as the schema has them. */
function nested(given: ReadonlyMap<string, GivenValue>): Record<string, unknown> {
  const root: Record<string, unknown> = {}
  const groups = new Map<string, Record<string, unknown>>([['', root]])
  for (const { name } of SETTINGS) {
    const [key = '', group = ''] = name.split('.').toReversed()
    const object = groups.get(group) ?? {}
    groups.set(group, object)
    if (group !== '') root[group] = object
    const value = given.get(name)
    if (value !== undefined) object[key] = value.value
  }
  return root
}

function inForce(given: ReadonlyMap<string, GivenValue>): SettingInForce[] {
  return SETTINGS.map((setting) => {
    const found = given.get(setting.name)
    const origin = found?.origin ?? { kind: 'default', text: 'default', folder: '' }
    return { setting, shown: masked(setting, found?.value ?? setting.standard), origin }
  })
}

function masked({ secret }: Setting, value: unknown): unknown {
  if (value === null) return null
  if (secret) return MASK
  if (Array.isArray(value)) return value.map((item) => withoutPassword(item))
  return withoutPassword(value)
}

function withoutPassword(value: unknown): unknown {
  if (typeof value !== 'string' || !value.includes('@')) return value
  // A bare `user:password@host:port` will do as a URL, too.
  const bare = !value.includes('://')
  const text = bare ? `http://${value}` : value
  if (!URL.canParse(text)) return MASK
  const url = new URL(text)
  if (url.password === '') return value
  const start = bare ? '' : `${url.protocol}//`
  return `${start}${url.username}:${MASK}@${url.host}${url.pathname === '/' ? '' : url.pathname}`
}

function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const part of Object.values(value)) frozen(part)
    Object.freeze(value)
  }
  return value
}
