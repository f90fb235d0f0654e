import { z } from 'zod'
import { LEASE_TTL_MS } from '../coordination/leadership.ts'
import { DEFAULT_COORDINATOR_SETTINGS } from '../coordination/coordinator.ts'
import { messageOf } from '../domain/errors.ts'
import { parseNodeUrl } from '../manticore/index.ts'
import { checkClusterName } from '../sql/index.ts'

/** Everything that can be configured: one schema, from which the parsing, the messages and the reference come. */

/** What all environment variables of ours begin with. */
export const VARIABLE_PREFIX = 'MSHARD_'

/** How text is made a value, e.g. from an environment variable. */
export type SettingKind = 'text' | 'integer' | 'boolean' | 'list' | 'file'

interface SettingFacts {
  readonly kind: SettingKind
  /** For people: one sentence or two. */
  readonly about: string
  /** Completes "must be …". */
  readonly expects: string
  /** Never shown. */
  readonly secret: boolean
}

const FACTS = z.registry<SettingFacts>()

/** Longest time that a timer can wait, in milliseconds: about 24 days. */
const MAX_MS = 2 ** 31 - 1
const MAX_PORT = 65_535
/** A node is looked at once in a while, not in a busy loop. */
const MIN_WATCH_INTERVAL_MS = 50
/** Renewing a shorter lease would be most of what a node does. */
const MIN_LEASE_TTL_MS = 1_000
/** Nobody waits longer for a table to be there again than a client waits for an answer. */
const MAX_HOLD_MS = 60_000
const MAX_THREADS = 1_024
const MAX_MOVES = 1_000
const MAX_FLAPS = 1_000

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
export const LOG_FORMATS = ['auto', 'json', 'pretty'] as const

function facts<S extends z.ZodType>(schema: S, about: SettingFacts): S {
  FACTS.add(schema, about)
  return schema
}

function text(about: string, expects = 'text that is not empty', secret = false) {
  return facts(z.string().min(1).nullable().default(null), { kind: 'text', about, expects, secret })
}

function secret(about: string) {
  return text(about, 'text that is not empty', true)
}

function file(about: string) {
  const expects = 'the path of a file'
  return facts(z.string().min(1).nullable().default(null), { kind: 'file', about, expects, secret: false })
}

function integer(standard: number, least: number, most: number, about: string) {
  const expects = `a whole number from ${least} to ${most}`
  return facts(z.int().min(least).max(most).default(standard), {
    kind: 'integer',
    about,
    expects,
    secret: false,
  })
}

/** Left out, it is decided elsewhere. */
function integerOrNull(least: number, most: number, about: string) {
  const expects = `a whole number from ${least} to ${most}`
  return facts(z.int().min(least).max(most).nullable().default(null), {
    kind: 'integer',
    about,
    expects,
    secret: false,
  })
}

function flag(standard: boolean, about: string) {
  return facts(z.boolean().default(standard), {
    kind: 'boolean',
    about,
    expects: 'true or false',
    secret: false,
  })
}

function oneOf<const T extends readonly [string, ...string[]]>(
  values: T,
  standard: T[number],
  about: string,
) {
  const schema = z.enum(values).default(standard as z.util.NoUndefined<T[number]>)
  return facts(schema, { kind: 'text', about, expects: `one of ${values.join(', ')}`, secret: false })
}

/** A refusal in the words of who knows best. */
function checkedBy(check: (value: string) => unknown) {
  return z.string().superRefine((value, context) => {
    try {
      check(value)
    } catch (error) {
      context.addIssue({ code: 'custom', message: messageOf(error) })
    }
  })
}

const nodes = facts(z.array(checkedBy(parseNodeUrl)).default([]), {
  kind: 'list',
  about:
    'URLs of one or more nodes, e.g. `http://127.0.0.1:9312`; all others are found through them. Bare `host:port` will do.',
  expects: 'a list of URLs',
  secret: false,
})

const cluster = facts(checkedBy(checkClusterName).nullable().default(null), {
  kind: 'text',
  about: 'The replication cluster of all nodes. Left out: one standalone node.',
  expects: 'the name of a cluster',
  secret: false,
})

const upstream = facts(checkedBy(checkHelperUrl).nullable().default(null), {
  kind: 'text',
  about: 'URL of another helper, which is given every statement that is not about sharded tables.',
  expects: 'an http URL',
  secret: false,
})

const standard = DEFAULT_COORDINATOR_SETTINGS

export const CONFIG_SCHEMA = z.strictObject({
  nodes,
  cluster,
  listen: z.strictObject({
    host: facts(z.string().min(1).default('127.0.0.1'), {
      kind: 'text',
      about: 'Address at which metrics and health are served. They are not protected: keep it inside.',
      expects: 'an address',
      secret: false,
    }),
    port: integer(9_380, 0, MAX_PORT, 'Port for metrics and health; 0: any that is free.'),
  }),
  auth: z.strictObject({
    user: text('User at the nodes.'),
    password: secret('Password of that user. Better in a file of its own, or in the environment.'),
    passwordFile: file('File that holds the password.'),
    token: secret('Token at the nodes, instead of user and password.'),
    tokenFile: file('File that holds the token.'),
  }),
  tls: z.strictObject({
    ca: file(
      'Certificates (PEM) of the authority that nodes are trusted by, if the system does not know it.',
    ),
    cert: file('Our own certificate (PEM), for nodes that ask for one.'),
    key: file('The key (PEM) of that certificate.'),
    insecure: flag(false, 'Take any certificate of a node as good. For trying things out only.'),
  }),
  logs: z.strictObject({
    level: oneOf(LOG_LEVELS, 'info', 'The least that is logged.'),
    format: oneOf(LOG_FORMATS, 'auto', '`auto`: for people on a terminal, one JSON object a line elsewhere.'),
  }),
  coordination: z.strictObject({
    leaseTtlMs: integer(
      LEASE_TTL_MS,
      MIN_LEASE_TTL_MS,
      MAX_MS,
      'How long leadership lasts without being renewed. Another process takes over after about that time.',
    ),
    watchIntervalMs: integer(
      standard.watchIntervalMs,
      MIN_WATCH_INTERVAL_MS,
      MAX_MS,
      'How often all nodes are looked at.',
    ),
    graceDelayMs: integer(
      standard.graceDelayMs,
      0,
      MAX_MS,
      'How long a node may be down before its copies are made anew elsewhere.',
    ),
    flapWindowMs: integer(
      standard.flapWindowMs,
      0,
      MAX_MS,
      'The time within which a node that comes and goes is watched for that.',
    ),
    maxFlaps: integer(
      standard.maxFlaps,
      0,
      MAX_FLAPS,
      'A node that comes and goes more often than this within `flapWindowMs` has no copies moved because of it.',
    ),
    automaticRebalance: flag(standard.automaticRebalance, 'Spread copies anew when nodes have come or gone.'),
    automaticReplace: flag(
      standard.automaticReplace,
      'Make the copies of nodes that are gone anew on others.',
    ),
  }),
  throttle: z.strictObject({
    movesPerNode: integerOrNull(
      1,
      MAX_MOVES,
      'Copies that one node takes in at a time. Left out: as the cluster has it, 1 at first.',
    ),
    movesInAll: integerOrNull(
      1,
      MAX_MOVES,
      'Copies under way in the whole cluster. Left out: as the cluster has it, 4 at first.',
    ),
    maxLatencyMs: integerOrNull(
      0,
      MAX_MS,
      'No copy is begun while the node that takes it answers slower than this; 0: however slow. Left out: as the cluster has it, no limit at first.',
    ),
  }),
  helper: z.strictObject({
    upstream,
    holdMs: integer(
      2_000,
      0,
      MAX_HOLD_MS,
      'How long a statement waits for a sharded table that is just being replaced on its node.',
    ),
    statementTimeoutMs: integer(
      30_000,
      1,
      MAX_MS,
      'How long a statement may take before the client is told that its operation goes on without it.',
    ),
    threads: integer(16, 1, MAX_THREADS, 'Statements that are answered at a time.'),
  }),
  operations: z.strictObject({
    timeoutMs: integerOrNull(
      1,
      MAX_MS,
      'How long transient failures are retried before an operation is undone. Left out: 5 minutes, and a day for operations that move copies.',
    ),
  }),
})

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T

/** What is in force. Times are in milliseconds, paths absolute; what was left out and has no default is null. */
export type Config = DeepReadonly<z.output<typeof CONFIG_SCHEMA>>

/** One thing that can be configured. */
export interface Setting extends SettingFacts {
  /** E.g. `coordination.graceDelayMs`. */
  readonly name: string
  /** E.g. `MSHARD_COORDINATION_GRACE_DELAY_MS`. */
  readonly variable: string
  readonly standard: unknown
  readonly schema: z.ZodType
}

/** All of them, in the order in which they are shown. */
export const SETTINGS: readonly Setting[] = settingsOf(CONFIG_SCHEMA, '')

function settingsOf(schema: z.ZodType, name: string): Setting[] {
  const found = FACTS.get(schema)
  if (found !== undefined) {
    return [{ ...found, name, variable: variableOf(name), standard: schema.parse(undefined), schema }]
  }
  if (!(schema instanceof z.ZodObject)) throw new TypeError(`the setting '${name}' has no facts`)
  const fields: [string, unknown][] = Object.entries(schema.shape)
  return fields.flatMap(([key, field]) => {
    if (!(field instanceof z.ZodType)) throw new TypeError(`the setting '${key}' has no schema`)
    return settingsOf(field, name === '' ? key : `${name}.${key}`)
  })
}

function variableOf(name: string): string {
  const words = name.replaceAll('.', '_').replaceAll(/[A-Z]/g, (letter) => `_${letter}`)
  return `${VARIABLE_PREFIX}${words.toUpperCase()}`
}

/** @throws TypeError with a message that never repeats the URL, which may hold a password */
function checkHelperUrl(url: string): void {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed?.protocol === 'http:' || parsed?.protocol === 'https:') return
  throw new TypeError('not the URL of a helper; expected e.g. http://127.0.0.1:9400')
}
