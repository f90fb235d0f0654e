import { readFile } from 'node:fs/promises'
import { dirname, extname, resolve } from 'node:path'
import { distance } from 'fastest-levenshtein'
import { parse as parseYaml } from 'yaml'
import { messageOf } from '../domain/errors.ts'
import { type Setting, SETTINGS, VARIABLE_PREFIX } from './config-schema.ts'

/** Looked for in the working directory when no file is named. */
export const CONFIG_FILES = ['mshard.config.json', 'mshard.config.yaml', 'mshard.config.yml'] as const
/** Names a file instead of `--config`. */
export const FILE_VARIABLE = `${VARIABLE_PREFIX}CONFIG`
/** A name that differs in more than this part of its letters is another word, not a slip. */
const SLIP_PART = 0.4

/** Where a value comes from. */
export interface Origin {
  readonly kind: 'default' | 'file' | 'environment' | 'flag'
  /** For people: the file, the variable, the flag. */
  readonly text: string
  /** What relative paths count from. */
  readonly folder: string
}

export interface GivenValue {
  readonly setting: Setting
  readonly value: unknown
  readonly origin: Origin
}

/** What one source gives, and everything that is wrong with it. */
export interface Given {
  readonly values: readonly GivenValue[]
  readonly problems: readonly string[]
}

/** What the command line gives: values by the name of their setting, as text, with the flag that each comes from. */
export interface ConfigFlags {
  /** `--config` */
  readonly file?: string
  readonly values: readonly { readonly name: string; readonly text: string; readonly flag: string }[]
}

export interface ConfigFile {
  /** As it was named. */
  readonly name: string
  readonly content: unknown
  readonly folder: string
}

/**
 * The configuration file: the one that is named, otherwise the one in the working directory.
 *
 * @throws TypeError when it cannot be read, or when there are several
 */
export async function findConfigFile(
  named: string | undefined,
  folder: string,
): Promise<ConfigFile | undefined> {
  if (named !== undefined) return await readConfigFile(named, folder)
  const found: ConfigFile[] = []
  for (const name of CONFIG_FILES) {
    try {
      found.push(await readConfigFile(name, folder))
    } catch (error) {
      if (!isMissing(error)) throw error
    }
  }
  if (found.length < 2) return found[0]
  const names = found.map(({ name }) => name).join(' and ')
  throw new TypeError(`there are several configuration files: ${names}; keep one, or name it with --config`)
}

async function readConfigFile(name: string, folder: string): Promise<ConfigFile> {
  const path = resolve(folder, name)
  const read = PARSERS.get(extname(name))
  if (read === undefined) throw new TypeError(`${name}: the name must end in .json, .yaml or .yml`)
  const text = await textOf(path, name)
  try {
    // An empty file is one without settings.
    return { name, content: text.trim() === '' ? {} : (read(text) ?? {}), folder: dirname(path) }
  } catch (error) {
    throw new TypeError(`${name}: ${withoutContent(messageOf(error))}`, { cause: error })
  }
}

/** What a parser says, without the part of the file that it repeats: there may be a secret in it. */
function withoutContent(message: string): string {
  const [line = ''] = message.replace(/, (\.\.\.)?".*$/s, '').split('\n')
  return line.replace(/:$/, '')
}

const PARSERS: ReadonlyMap<string, (text: string) => unknown> = new Map<string, (text: string) => unknown>([
  ['.json', (text) => JSON.parse(text)],
  ['.yaml', (text) => parseYaml(text)],
  ['.yml', (text) => parseYaml(text)],
])

async function textOf(path: string, name: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new TypeError(`${name} cannot be read: ${messageOf(error)}`, { cause: error })
  }
}

function isMissing(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'
}

export function fromFile({ name, content, folder }: ConfigFile): Given {
  const values: GivenValue[] = []
  const problems: string[] = []
  const origin: Origin = { kind: 'file', text: name, folder }
  if (!isObject(content)) return { values, problems: [`${name} must hold settings, not ${shown(content)}`] }
  const walk = (object: object, prefix: string) => {
    for (const [key, value] of Object.entries(object)) {
      const path = `${prefix}${key}`
      const setting = settingNamed(path)
      if (setting !== undefined) {
        if (values.some((given) => given.setting === setting)) problems.push(`${name} gives '${path}' twice`)
        const isListText = setting.kind === 'list' && typeof value === 'string'
        values.push({ setting, value: isListText ? valueOf(setting, value) : value, origin })
      } else if (isObject(value)) walk(value, `${path}.`)
      else if (isGroup(path)) {
        problems.push(`'${path}' in ${name} must hold settings of its own, not ${shown(value)}`)
      } else problems.push(`unknown setting '${path}' in ${name}${hint(path)}`)
    }
  }
  walk(content, '')
  return { values, problems }
}

/** `MSHARD_…` out of an environment; all else in it is none of our concern. */
export function fromEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  folder: string,
): Given {
  const values: GivenValue[] = []
  const problems: string[] = []
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith(VARIABLE_PREFIX) || name === FILE_VARIABLE || text === undefined) continue
    const setting = SETTINGS.find(({ variable }) => variable === name)
    if (setting === undefined) {
      const nearest = nearestTo(
        name,
        SETTINGS.map(({ variable }) => variable),
      )
      problems.push(
        `unknown environment variable ${name}${nearest === '' ? '' : `; did you mean ${nearest}?`}`,
      )
      continue
    }
    // A variable that is empty is one that was not filled in.
    if (text === '') continue
    values.push({
      setting,
      value: valueOf(setting, text),
      origin: { kind: 'environment', text: name, folder },
    })
  }
  return { values, problems }
}

export function fromFlags(flags: ConfigFlags, folder: string): Given {
  const values: GivenValue[] = []
  const problems: string[] = []
  for (const { name, text, flag } of flags.values) {
    const setting = settingNamed(name)
    if (setting === undefined) problems.push(`unknown setting '${name}' in ${flag}${hint(name)}`)
    else if (setting.secret) {
      const other = `${setting.variable} or '${setting.name}File'`
      problems.push(`'${name}' in ${flag}: all users of this machine could read it there; use ${other}`)
    } else
      values.push({ setting, value: valueOf(setting, text), origin: { kind: 'flag', text: flag, folder } })
  }
  return { values, problems }
}

/** Text as the value of a setting; what cannot be one stays text, and is refused like any other wrong value. */
function valueOf({ kind }: Setting, text: string): unknown {
  switch (kind) {
    case 'integer':
      return /^-?\d+$/.test(text.trim()) ? Number(text) : text
    case 'boolean':
      return BOOLEANS.get(text.trim().toLowerCase()) ?? text
    case 'list':
      return text
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== '')
    case 'text':
    case 'file':
      return text
  }
}

const BOOLEANS: ReadonlyMap<string, boolean> = new Map<string, boolean>([
  ['true', true],
  ['yes', true],
  ['on', true],
  ['1', true],
  ['false', false],
  ['no', false],
  ['off', false],
  ['0', false],
])

function settingNamed(name: string): Setting | undefined {
  return SETTINGS.find((setting) => setting.name === name)
}

function isGroup(path: string): boolean {
  return SETTINGS.some(({ name }) => name.startsWith(`${path}.`))
}

function hint(name: string): string {
  const names = SETTINGS.map((setting) => setting.name)
  const nearest = nearestTo(name, names)
  if (nearest !== '') return `; did you mean '${nearest}'?`
  return "; 'mshard config' lists all there are"
}

/** The name that was meant, also when its group was left out; empty when nothing is near. */
function nearestTo(name: string, names: readonly string[]): string {
  let best = { name: '', slips: Number.POSITIVE_INFINITY }
  for (const candidate of names) {
    const forms = name.includes('.') ? [candidate] : [candidate, candidate.slice(candidate.indexOf('.') + 1)]
    for (const form of forms) {
      const slips = distance(name.toLowerCase(), form.toLowerCase())
      const limit = Math.max(1, Math.floor(SLIP_PART * Math.max(name.length, form.length)))
      if (slips <= limit && slips < best.slips) best = { name: candidate, slips }
    }
  }
  return best.name
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A value in a message: its kind, as its content may be secret. */
function shown(value: unknown): string {
  if (value === null) return 'nothing'
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`
}
