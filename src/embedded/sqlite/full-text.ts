/**
 * The query language of MATCH() as an FTS5 expression: words are AND-ed, `|`, `-` and `!`, "phrases",
 * "words near"~5, prefix*, ^first, @field, @(a,b), @!field, @*, and parentheses. Text never reaches FTS5 outside of a
 * quoted string, so no query can break out. What has no counterpart in FTS5 is refused.
 */

import { DaemonError } from '../store.ts'
import { unsupported } from './column-kinds.ts'

interface Token {
  readonly kind: 'word' | 'phrase' | 'field' | 'or' | 'not' | 'open' | 'close'
  readonly text: string
  /** Word starting with: `hel*`. */
  readonly prefix: boolean
  /** Only at the start of a field: `^hello`. */
  readonly first: boolean
  /** `"…"~N`; 0 for a plain phrase. */
  readonly distance: number
}

const TOKEN =
  /\s*(?:"(?<phrase>[^"]*)"(?:~(?<distance>\d+)|(?<quorum>\/[\d.]+))?|(?<field>@@?(?:\*|!?\([^)]*\)|!?\w+)(?:\[\d+\])?)|(?<mark>[()|])|(?<not>(?<![\p{L}\p{N}_])[-!](?=\S))|(?<first>\^)?=?(?<infix>\*)?(?<word>[\p{L}\p{N}\p{M}_]+)(?<prefix>\*)?(?<last>\$)?|(?<other>\\[\s\S]|[\s\S]))/uy

/** Words of the query language that FTS5 has nothing for. */
const UNSUPPORTED_OPERATORS: ReadonlySet<string> = new Set([
  'MAYBE',
  'SENTENCE',
  'PARAGRAPH',
  'NEAR',
  'NOTNEAR',
  'ZONE',
])

const HAS_WORD = /[\p{L}\p{N}_]/u

/**
 * The FTS5 expression for `query`, or null when it has no words and so matches every row.
 *
 * @param fields full-text fields of the table; FTS5 knows field `x` as `c_x`.
 * @throws DaemonError for unknown fields, a query of exclusions only, bad parentheses.
 */
export function fullTextExpression(query: string, fields: readonly string[], table: string): string | null {
  const parser = new QueryParser(tokens(query), fields, table)
  return parser.whole()
}

function tokens(query: string): readonly Token[] {
  const found: Token[] = []
  TOKEN.lastIndex = 0
  for (let match = TOKEN.exec(query); match !== null; match = TOKEN.exec(query)) {
    const token = tokenOf(match.groups ?? {})
    if (token !== null) found.push(token)
  }
  return found
}

function tokenOf(groups: Readonly<Record<string, string | undefined>>): Token | null {
  const plain = { text: '', prefix: false, first: false, distance: 0 }
  const { phrase, field, mark, word } = groups
  if (phrase !== undefined) {
    if (groups['quorum'] !== undefined) throw unsupported('the quorum operator of MATCH')
    if (phrase.includes('*')) throw unsupported('a wildcard within a phrase')
    if (!HAS_WORD.test(phrase)) return null
    return { ...plain, kind: 'phrase', text: phrase, distance: Number(groups['distance'] ?? 0) }
  }
  if (field !== undefined) {
    if (field.endsWith(']')) throw unsupported('a position limit of MATCH')
    return { ...plain, kind: 'field', text: field }
  }
  if (groups['not'] !== undefined) return { ...plain, kind: 'not' }
  if (mark !== undefined) return { ...plain, kind: mark === '|' ? 'or' : mark === '(' ? 'open' : 'close' }
  if (word === undefined) return null
  if (!HAS_WORD.test(word)) return null
  if (groups['infix'] !== undefined) throw unsupported('a wildcard in front of a word')
  if (groups['last'] !== undefined) throw unsupported('the end-of-field operator of MATCH')
  if (UNSUPPORTED_OPERATORS.has(word)) throw unsupported(`the operator ${word} of MATCH`)
  return {
    ...plain,
    kind: 'word',
    text: word,
    prefix: groups['prefix'] !== undefined,
    first: groups['first'] !== undefined,
  }
}

class QueryParser {
  readonly #tokens: readonly Token[]
  readonly #fields: readonly string[]
  readonly #table: string
  #at = 0

  constructor(found: readonly Token[], fields: readonly string[], table: string) {
    this.#tokens = found
    this.#fields = fields
    this.#table = table
  }

  whole(): string | null {
    const expression = this.#sequence(null)
    if (this.#peek() !== undefined) throw this.#error("syntax error, unexpected ')'")
    return expression
  }

  /** Operands AND-ed, exclusions taken away; a field selector holds until the end of the group. */
  #sequence(inherited: readonly string[] | null): string | null {
    let selected = inherited
    const wanted: string[] = []
    const excluded: string[] = []
    for (let token = this.#peek(); token !== undefined && token.kind !== 'close'; token = this.#peek()) {
      if (token.kind === 'field') {
        this.#at += 1
        selected = this.#selectedFields(token.text)
      } else if (token.kind === 'not') {
        this.#at += 1
        const operand = this.#operand(selected)
        if (operand !== null) excluded.push(operand)
      } else {
        const operand = this.#alternatives(selected)
        if (operand !== null) wanted.push(operand)
      }
    }
    if (wanted.length === 0) {
      if (excluded.length > 0) throw this.#error('query is non-computable (single NOT operator)')
      return null
    }
    const all = wanted.length === 1 ? wanted.join('') : `(${wanted.join(' AND ')})`
    return excluded.reduce((expression, operand) => `(${expression} NOT ${operand})`, all)
  }

  #alternatives(selected: readonly string[] | null): string | null {
    const operands = [this.#operand(selected)]
    while (this.#peek()?.kind === 'or') {
      this.#at += 1
      operands.push(this.#operand(selected))
    }
    const given = operands.filter((operand) => operand !== null)
    if (given.length === 0) return null
    return given.length === 1 ? given.join('') : `(${given.join(' OR ')})`
  }

  #operand(selected: readonly string[] | null): string | null {
    const token = this.#peek()
    if (token === undefined) return null
    if (token.kind === 'not') throw this.#error('query is non-computable (NOT is not allowed within OR)')
    if (token.kind === 'word' || token.kind === 'phrase') {
      this.#at += 1
      return `${columnFilter(selected)}${termText(token)}`
    }
    if (token.kind !== 'open') {
      if (token.kind === 'or') throw this.#error("syntax error, unexpected '|'")
      return null
    }
    this.#at += 1
    const inner = this.#sequence(selected)
    if (this.#peek()?.kind !== 'close') throw this.#error("syntax error, unexpected $end, expecting ')'")
    this.#at += 1
    return inner
  }

  #selectedFields(selector: string): readonly string[] | null {
    const lenient = selector.startsWith('@@')
    const names = selector
      .replace(/^@+!?/, '')
      .replaceAll(/[()]/g, '')
      .split(',')
      .map((name) => name.trim().toLowerCase())
    if (names.includes('*')) return null
    const unknown = names.find((name) => !this.#fields.includes(name))
    if (unknown !== undefined && !lenient) throw this.#error(`no field '${unknown}' found in schema`)
    return selector.includes('!')
      ? this.#fields.filter((field) => !names.includes(field))
      : names.filter((name) => this.#fields.includes(name))
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#at]
  }

  #error(text: string): DaemonError {
    return new DaemonError(`table ${this.#table}: query error: ${text}`)
  }
}

function termText(token: Token): string {
  if (token.distance > 0) {
    const words = token.text.split(/\s+/).filter((word) => HAS_WORD.test(word))
    return `NEAR(${words.map(quoted).join(' ')}, ${token.distance})`
  }
  return `${token.first ? '^ ' : ''}${quoted(token.text)}${token.prefix ? ' *' : ''}`
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', '""').replaceAll('\0', ' ')}"`
}

function columnFilter(selected: readonly string[] | null): string {
  if (selected === null) return ''
  return `{${selected.map((field) => `"c_${field}"`).join(' ')}} : `
}
