import { pino, stdSerializers, stdTimeFunctions } from 'pino'
import pretty from 'pino-pretty'
import type { Log } from '../domain/ports.ts'
import type { Config } from './config-schema.ts'

/** Where lines go: standard output or error of this process, or what a test gives. */
export interface LogStream {
  readonly writable: boolean
  readonly isTTY?: boolean
  hasColors?(): boolean
  write(line: string): unknown
}

/** Fields that hold a secret if they are ever logged. */
const SECRET_FIELDS = ['password', 'token', 'authorization']

/**
 * The log of a service: one JSON object a line for machines, or a readable line for people. A line is written
 * before the call returns, so that the last ones before a crash are there, too.
 */
export function openLog({ level, format }: Config['logs'], stream: LogStream): Log {
  const people = format === 'pretty' || (format === 'auto' && stream.isTTY === true)
  const render = people ? prettyLine(stream.isTTY === true && stream.hasColors?.() === true) : asItIs
  const write = (line: string) => {
    // A reader that has gone away is no reason to stop working.
    if (stream.writable) stream.write(render(line))
  }
  const logger = pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: stdSerializers.err },
      redact: { paths: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`]), censor: '***' },
    },
    { write },
  )
  return {
    debug: (message, fields = {}) => logger.debug(fields, message),
    info: (message, fields = {}) => logger.info(fields, message),
    warn: (message, fields = {}) => logger.warn(fields, message),
    error: (message, fields = {}) => logger.error(fields, message),
  }
}

function prettyLine(colorize: boolean): (line: string) => string {
  return pretty.prettyFactory({
    colorize,
    colorizeObjects: colorize,
    singleLine: true,
    translateTime: 'SYS:HH:MM:ss.l',
  })
}

function asItIs(line: string): string {
  return line
}
