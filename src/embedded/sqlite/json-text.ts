/**
 * JSON attributes as text in the form in which the daemon shows them: no white space, keys in the order
 * given, integers as they are, other numbers with six decimals.
 */

/** Deeper documents are refused, long before the parser's stack or SQLite's own limit (1,000) is reached. */
const MAX_JSON_DEPTH = 200

const INT64_MIN = -(2n ** 63n)
const INT64_MAX = 2n ** 63n - 1n

export type NormalizedJson = { readonly json: string } | { readonly error: string }

/** `error` is the daemon's text for a document that it cannot read. An empty text is an empty document. */
export function normalizeJson(text: string): NormalizedJson {
  const reader = new JsonReader(text)
  try {
    return { json: reader.document() }
  } catch (error) {
    if (error instanceof JsonSyntaxError) return { error: error.message }
    throw error
  }
}

class JsonSyntaxError extends Error {}

interface Token {
  readonly name: string
  readonly text: string
  readonly start: number
}

const TOKEN =
  /\s*(?:(?<string>"(?:[^"\\]|\\[\s\S])*")|(?<number>-?\d+(?<fraction>\.\d+)?(?<exponent>[eE][+-]?\d+)?)|(?<word>[A-Za-z_]\w*)|(?<mark>[{}[\]:,])|(?<end>$)|(?<other>[\s\S]))/y

const WORDS: Readonly<Record<string, string>> = { true: 'TOK_TRUE', false: 'TOK_FALSE', null: 'TOK_NULL' }

class JsonReader {
  readonly #text: string
  #token: Token

  constructor(text: string) {
    this.#text = text
    this.#token = { name: '$end', text: '', start: 0 }
    TOKEN.lastIndex = 0
    this.#token = this.#next(0)
  }

  document(): string {
    if (this.#token.name === '$end') return ''
    if (this.#token.text !== '{' && this.#token.text !== '[') throw this.#unexpected('$end')
    const json = this.#value(0)
    if (this.#token.name !== '$end') throw this.#unexpected('$end')
    return json
  }

  #value(depth: number): string {
    if (depth > MAX_JSON_DEPTH) throw new JsonSyntaxError('P10: JSON is nested too deeply')
    const token = this.#token
    if (token.text === '{') return this.#list('}', () => `${this.#key()}:${this.#value(depth + 1)}`)
    if (token.text === '[') return this.#list(']', () => this.#value(depth + 1))
    const scalar = scalarText(token)
    if (scalar === undefined) throw this.#unexpected()
    this.#advance()
    return scalar
  }

  #list(close: string, item: () => string): string {
    const open = this.#token.text
    const items: string[] = []
    this.#advance()
    if (this.#token.text !== close) {
      items.push(item())
      while (this.#token.text === ',') {
        this.#advance()
        items.push(item())
      }
      if (this.#token.text !== close) throw this.#unexpected()
    }
    this.#advance()
    return `${open}${items.join(',')}${close}`
  }

  #key(): string {
    const token = this.#token
    const isName = token.name === 'TOK_IDENT' || token.text in WORDS
    const key = isName
      ? JSON.stringify(token.text)
      : token.name === 'TOK_STRING'
        ? stringText(token.text)
        : undefined
    if (key === undefined) throw this.#unexpected()
    this.#advance()
    if (this.#token.text !== ':') throw this.#unexpected()
    this.#advance()
    return key
  }

  #advance(): void {
    this.#token = this.#next(this.#token.start + this.#token.text.length)
  }

  #next(from: number): Token {
    TOKEN.lastIndex = from
    const groups = TOKEN.exec(this.#text)?.groups ?? {}
    const text =
      groups['string'] ?? groups['number'] ?? groups['word'] ?? groups['mark'] ?? groups['other'] ?? ''
    return { name: tokenName(groups, text), text, start: TOKEN.lastIndex - text.length }
  }

  #unexpected(expecting?: string): JsonSyntaxError {
    const { name, start } = this.#token
    const hint = expecting === undefined ? '' : `, expecting ${expecting}`
    return new JsonSyntaxError(
      `P10: syntax error, unexpected ${name}${hint} near '${this.#text.slice(start)}'`,
    )
  }
}

function tokenName(groups: Readonly<Record<string, string | undefined>>, text: string): string {
  if (groups['string'] !== undefined) return 'TOK_STRING'
  if (groups['number'] !== undefined) {
    return groups['fraction'] === undefined && groups['exponent'] === undefined ? 'TOK_INT' : 'TOK_FLOAT'
  }
  if (groups['word'] !== undefined) return WORDS[text.toLowerCase()] ?? 'TOK_IDENT'
  if (groups['mark'] !== undefined) return `'${text}'`
  return text === '' ? '$end' : 'invalid token'
}

function scalarText(token: Token): string | undefined {
  switch (token.name) {
    case 'TOK_STRING':
      return stringText(token.text)
    case 'TOK_INT': {
      const value = BigInt(token.text)
      return value >= INT64_MIN && value <= INT64_MAX ? value.toString() : floatText(Number(token.text))
    }
    case 'TOK_FLOAT':
      return floatText(Number(token.text))
    case 'TOK_TRUE':
    case 'TOK_FALSE':
    case 'TOK_NULL':
      return token.text.toLowerCase()
    default:
      return undefined
  }
}

/** As C prints it with `%f`, so with the sign of a negative zero. */
function floatText(value: number): string {
  if (!Number.isFinite(value)) return '0.000000'
  return Object.is(value, -0) ? '-0.000000' : value.toFixed(6)
}

/** Escapes that JSON does not know stand for the character itself; raw control characters are escaped. */
function stringText(quoted: string): string {
  const strict = quoted.replaceAll(/\\(u[0-9A-Fa-f]{4}|[\s\S])/g, (escape, what: string) =>
    /^(?:u[0-9A-Fa-f]{4}|["\\/bfnrt])$/.test(what) ? escape : what,
  )
  const clean = strict.replaceAll(/\p{Cc}/gu, (control) => JSON.stringify(control).slice(1, -1))
  const parsed: unknown = JSON.parse(clean)
  return JSON.stringify(parsed)
}
