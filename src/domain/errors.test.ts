import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  ERROR_RULES,
  type ErrorCode,
  errorRule,
  InputError,
  messageOf,
  NodeError,
  ShardingError,
  unreachable,
} from './errors.ts'

const CODES = Object.keys(ERROR_RULES).filter(isCode)
/** Codes of sysexits.h, which scripts go by: wrong usage to no permission. */
const FIRST_EXIT_CODE = 64
const LAST_EXIT_CODE = 78
/** Temporary failure, by sysexits.h. */
const EXIT_TEMPORARY = 75
const EXIT_UNAVAILABLE = 69

function isCode(word: string): word is ErrorCode {
  return Object.hasOwn(ERROR_RULES, word)
}

describe('the rules of errors', () => {
  it.each(CODES)('%s has consequences that go together', (code) => {
    const { retry, httpStatus, exitCode, next } = errorRule(code)
    expect(exitCode).toBeGreaterThanOrEqual(FIRST_EXIT_CODE)
    expect(exitCode).toBeLessThanOrEqual(LAST_EXIT_CODE)
    expect(httpStatus).toBeGreaterThanOrEqual(400)
    expect(httpStatus).toBeLessThan(600)
    // What a client did wrong is wrong again the next time; only a conflict passes.
    if (retry !== 'never') {
      expect([409, 503, 504]).toContain(httpStatus)
      expect([EXIT_TEMPORARY, EXIT_UNAVAILABLE]).toContain(exitCode)
    }
    if (httpStatus === 400) expect([64, 65]).toContain(exitCode)
    expect(next).toMatch(/^[A-Z].*\w\.$/)
  })

  it('say something of their own each', () => {
    const texts = CODES.map((code) => errorRule(code).next)
    expect(new Set(texts).size).toBe(texts.length)
  })

  it('only ask to look first when the outcome is unknown', () => {
    expect(CODES.filter((code) => errorRule(code).retry === 'probe')).toEqual(['outcome_unknown'])
  })

  it('are all used: no code is there for nothing', () => {
    const source = sources('src').join('\n')
    const unused = CODES.filter((code) => !source.includes(`'${code}'`))
    expect(unused).toEqual([])
  })
})

/** All source files but the rules themselves and tests. */
function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .filter((name) => name !== join('domain', 'errors.ts'))
    .map((name) => readFileSync(join(folder, name), 'utf8'))
}

describe('errors', () => {
  it('know what to do next', () => {
    const error = new ShardingError('table_missing', "no table 'a'", { cause: 'why' })
    expect(error).toBeInstanceOf(Error)
    expect(error).toMatchObject({ name: 'ShardingError', code: 'table_missing', cause: 'why' })
    expect(error.next).toBe(ERROR_RULES.table_missing.next)
  })

  it('of input say which one, and are invalid input unless said otherwise', () => {
    expect(new InputError('rf', 'too many')).toMatchObject({
      code: 'invalid_input',
      field: 'rf',
      message: 'too many',
    })
    const exists = new InputError('table', 'is there', 'table_exists')
    expect(exists).toBeInstanceOf(ShardingError)
    expect(exists).toMatchObject({ name: 'InputError', code: 'table_exists', field: 'table' })
  })

  it('of nodes hold what was said and sent', () => {
    const fields = { node: '10.0.0.1:9312', sql: 'SELECT 1', message: 'm' }
    expect(new NodeError('busy', fields)).toMatchObject({
      name: 'NodeError',
      daemonText: '',
      code: 'busy',
      sql: 'SELECT 1',
    })
    expect(new NodeError('syntax', { ...fields, daemonText: 'P01' })).toMatchObject({
      daemonText: 'P01',
      node: '10.0.0.1:9312',
    })
  })

  it('have a message whatever was thrown', () => {
    expect(messageOf(new TypeError('why'))).toBe('why')
    expect(messageOf('text')).toBe('text')
    expect(messageOf(undefined)).toBe('undefined')
  })

  it('name a value outside its type', () => {
    expect(() => Reflect.apply(unreachable, undefined, ['odd'])).toThrow(/outside its type: "odd"/)
  })
})
