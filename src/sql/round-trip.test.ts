import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SqlSyntaxError } from './errors.ts'
import { tokenize } from './lexer.ts'
import { quoteString } from './literals.ts'
import { parseColumnList, parseScript, parseStatement, parseTableOptions } from './parse.ts'
import { renderColumnList, renderStatement, renderTableOptions } from './render.ts'
import {
  anyStatement,
  columnList,
  STATEMENTS,
  tableOptions,
  text,
} from '../../test/conformance/statement-arbitraries.ts'

const RUNS = { numRuns: 300 }

describe('what is rendered parses to the same statement', () => {
  test.each(Object.entries(STATEMENTS))('%s', (_kind, statements) => {
    fc.assert(
      fc.property(statements, (statement) => {
        const sql = renderStatement(statement)
        expect(parseStatement(sql, { dialect: 'extended' })).toEqual(statement)
        expect(renderStatement(parseStatement(sql, { dialect: 'extended' }))).toBe(sql)
      }),
      RUNS,
    )
  })

  test('several statements in one script', () => {
    fc.assert(
      fc.property(fc.array(anyStatement, { maxLength: 4 }), (statements) => {
        const script = statements.map((statement) => renderStatement(statement)).join(';\n')
        expect(parseScript(script, { dialect: 'extended' })).toEqual(statements)
      }),
      RUNS,
    )
  })

  test('lists of columns and options by themselves', () => {
    fc.assert(
      fc.property(columnList, tableOptions, (columns, options) => {
        expect(parseColumnList(renderColumnList(columns))).toEqual(columns)
        expect(parseTableOptions(renderTableOptions(options))).toEqual(options)
      }),
      RUNS,
    )
  })
})

test('any text survives being quoted, and ends where it should', () => {
  fc.assert(
    fc.property(text, text, (first, second) => {
      const tokens = tokenize(`${quoteString(first)},${quoteString(second)}`)
      expect(tokens.map(({ kind }) => kind)).toEqual(['string', 'mark', 'string', 'end'])
      expect([tokens[0]?.value, tokens[2]?.value]).toEqual([first, second])
    }),
    { numRuns: 2_000 },
  )
})

function parseErrorOf(script: string): unknown {
  try {
    parseScript(script, { dialect: 'extended' })
    return null
  } catch (error) {
    return error
  }
}

test('no text at all makes the parser fail with anything but a syntax error', () => {
  const soup = fc.array(
    fc.oneof(
      anyStatement.map((statement) => renderStatement(statement).slice(0, 60)),
      fc.constantFrom("'", '`', '(', ')', '/*', '--', ';', '\\', '@@', '.', '-', '1e', 'NOT', '\0', '\ud800'),
      fc.string({ unit: 'binary', maxLength: 5 }),
    ),
    { maxLength: 6 },
  )
  fc.assert(
    fc.property(soup, (parts) => {
      const error = parseErrorOf(parts.join(' '))
      expect(error === null || error instanceof SqlSyntaxError).toBe(true)
    }),
    { numRuns: 1_000 },
  )
})
