/** Text to tokens. Knows nothing of statements; what no token fits becomes a token `invalid`. */

export type TokenKind =
  /** An unquoted word; `value` is lower case. */
  | 'word'
  /** A back-quoted word; `value` is lower case, without the quotes. */
  | 'quoted_word'
  /** `.name` or `.@name` right behind something; `value` is the name as spelled. */
  | 'subkey'
  /** A string; `value` is decoded. */
  | 'string'
  | 'integer'
  | 'float'
  /** `@@name` or `@name`; `value` is lower case. */
  | 'variable'
  /** One of the marks below; `value` is the mark, `<>` is given as `!=`. */
  | 'mark'
  | 'invalid'
  | 'end'

export interface Token {
  readonly kind: TokenKind
  /** As it stands in the text. */
  readonly text: string
  readonly value: string
  /** 0-based UTF-16 offset. */
  readonly position: number
}

const SPACE = /\s+/y
/** Two dashes begin a comment only before a space, so that `1--1` stays arithmetic. */
const LINE_COMMENT = /--(?=\s|$)[^\n]*/y
/** Replica sets of Manticore Buddy are named by 32 hex digits, of which the first may be no letter. */
const WORD = /[A-Za-z_][A-Za-z0-9_]*|(?=\d*[a-f])[0-9a-f]{32}(?![A-Za-z0-9_])/y
const QUOTED_WORD = /`([A-Za-z_][A-Za-z0-9_]*)`/y
const SUBKEY = /\.(@?[A-Za-z_][A-Za-z0-9_]*)/y
const FLOAT = /(?:\d+\.\d+|\.\d+)(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+(?![A-Za-z0-9_])/y
const INTEGER = /\d+/y
const VARIABLE = /@@?[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*/y
const MARK = /<>|!=|<=|>=|[(),=<>+\-*/%&|:;[\]]/y

const ESCAPES: Readonly<Record<string, string>> = {
  '0': '\0',
  b: '\b',
  n: '\n',
  r: '\r',
  t: '\t',
  Z: '\u001a',
}

/** Always ends with a token `end`. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  let position = skipBlanks(text, 0)
  while (position < text.length) {
    const token = tokenAt(text, position)
    tokens.push(token)
    position = skipBlanks(text, position + token.text.length)
  }
  tokens.push({ kind: 'end', text: '', value: '', position: text.length })
  return tokens
}

function skipBlanks(text: string, from: number): number {
  let position = from
  for (;;) {
    const blank = matchAt(SPACE, text, position) ?? matchAt(LINE_COMMENT, text, position)
    if (blank !== null) {
      position += blank[0].length
    } else if (text.startsWith('/*', position)) {
      const end = text.indexOf('*/', position + 2)
      // A comment without an end is no blank: the lexer stops at it and the parser says where it is.
      if (end < 0) return position
      position = end + 2
    } else {
      return position
    }
  }
}

function tokenAt(text: string, position: number): Token {
  if (text.startsWith('/*', position)) return rest('invalid', text, position)
  if (text[position] === "'") return stringAt(text, position)
  const word = matchAt(WORD, text, position)
  if (word !== null) return { kind: 'word', text: word[0], value: word[0].toLowerCase(), position }
  const quoted = matchAt(QUOTED_WORD, text, position)
  if (quoted !== null) {
    return { kind: 'quoted_word', text: quoted[0], value: (quoted[1] ?? '').toLowerCase(), position }
  }
  const subkey = matchAt(SUBKEY, text, position)
  if (subkey !== null) return { kind: 'subkey', text: subkey[0], value: subkey[1] ?? '', position }
  const float = matchAt(FLOAT, text, position)
  if (float !== null) return { kind: 'float', text: float[0], value: float[0], position }
  const integer = matchAt(INTEGER, text, position)
  if (integer !== null) return { kind: 'integer', text: integer[0], value: integer[0], position }
  const variable = matchAt(VARIABLE, text, position)
  if (variable !== null) {
    return { kind: 'variable', text: variable[0], value: variable[0].toLowerCase(), position }
  }
  const mark = matchAt(MARK, text, position)
  if (mark !== null) {
    return { kind: 'mark', text: mark[0], value: mark[0] === '<>' ? '!=' : mark[0], position }
  }
  return { kind: 'invalid', text: text.charAt(position), value: '', position }
}

/** Decodes while it looks for the end: a pattern over megabytes of string would exhaust the matcher. */
function stringAt(text: string, position: number): Token {
  let value = ''
  let copied = position + 1
  for (let at = position + 1; at < text.length; at += 1) {
    const character = text[at]
    if (character === "'") {
      value += text.slice(copied, at)
      return { kind: 'string', text: text.slice(position, at + 1), value, position }
    }
    if (character === '\\' && at + 1 < text.length) {
      const escaped = text.charAt(at + 1)
      value += text.slice(copied, at) + (ESCAPES[escaped] ?? escaped)
      at += 1
      copied = at + 1
    }
  }
  return rest('invalid', text, position)
}

function rest(kind: TokenKind, text: string, position: number): Token {
  return { kind, text: text.slice(position), value: '', position }
}

function matchAt(pattern: RegExp, text: string, position: number): RegExpExecArray | null {
  pattern.lastIndex = position
  return pattern.exec(text)
}
