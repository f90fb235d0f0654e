import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { SqlSyntaxError } from './errors.ts'
import { parseStatement } from './parse.ts'
import { renderStatement } from './render.ts'

/** What three real daemons answered, statement by statement. */
const TRANSCRIPTS = new URL('../../test/conformance/transcripts/', import.meta.url)

interface Recorded {
  readonly sql: string
  /** The daemon's error, or null when it accepted the statement. */
  readonly error: string | null
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {}
}

function readTranscript(file: string): Recorded[] {
  const lines = readFileSync(new URL(file, TRANSCRIPTS), 'utf8').trim().split('\n')
  return lines.flatMap((line) => {
    const filled = line.replaceAll(/\{n(\d)\}/g, '127.0.0.1:931$1').replaceAll('{data_dir}', '/data')
    const { sql, body } = fieldsOf(JSON.parse(filled))
    if (typeof sql !== 'string' || sql === '') return []
    const { error } = Array.isArray(body) ? { error: null } : fieldsOf(body)
    return [{ sql, error: typeof error === 'string' ? error : null }]
  })
}

function daemonMessageOf(sql: string): string {
  try {
    return `parsed as ${parseStatement(sql).kind}`
  } catch (error) {
    if (error instanceof SqlSyntaxError) return error.daemonMessage
    throw error
  }
}

for (const file of readdirSync(TRANSCRIPTS).filter((name) => name.endsWith('.jsonl'))) {
  const recorded = readTranscript(file)
  const isSyntaxError = ({ error }: Recorded): boolean => error !== null && /^P0\d: /.test(error)
  const refused = recorded.filter((entry) => isSyntaxError(entry))
  const accepted = recorded.filter((entry) => !isSyntaxError(entry))

  describe(`the real daemon's ${file}`, () => {
    test.each(refused)('refuses in the same words: $sql', ({ sql, error }) => {
      expect(daemonMessageOf(sql)).toBe(error)
    })

    test.each(accepted)('parses, and survives rendering: $sql', ({ sql }) => {
      const statement = parseStatement(sql)
      expect(parseStatement(renderStatement(statement))).toEqual(statement)
    })
  })
}

test('the transcripts hold both kinds of statements', () => {
  const all = readdirSync(TRANSCRIPTS).flatMap((file) => readTranscript(file))
  expect(all.length).toBeGreaterThan(300)
  expect(all.filter(({ error }) => error?.startsWith('P0')).length).toBeGreaterThan(20)
})
