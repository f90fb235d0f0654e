import { unreachable } from '../domain/errors.ts'
import type { TableName } from '../domain/statement.ts'
import { SqlSyntaxError, type SqlSection } from './errors.ts'
import { isKeyword, isReservedColumn, isReservedName } from './keywords.ts'
import { tokenize, type Token, type TokenKind } from './lexer.ts'

/** What is accepted: what the daemon itself understands, or also what users say to us. */
export type Dialect = 'daemon' | 'extended'

/** Parentheses and NOTs inside each other. Far beyond any real statement, far below the call stack. */
const MAX_NESTING = 100

/** Behind a table's name: its chunks instead of its rows. */
const CHUNKS_SUBKEY = '@status'

/** Marks that the daemon's grammar of CREATE, DROP and ALTER knows; all others are invalid tokens there. */
const DEFINITION_MARKS = '(),=;'

/** Where a parser stands in the text. Everything that reads tokens goes through it. */
export class TokenCursor {
  readonly text: string
  readonly dialect: Dialect
  /** Set by the first words of a statement; decides how errors are worded. */
  section: SqlSection = 'P02'
  readonly #tokens: readonly Token[]
  #index = 0
  #nesting = 0

  constructor(text: string, dialect: Dialect) {
    this.text = text
    this.dialect = dialect
    this.#tokens = tokenize(text)
  }

  peek(ahead = 0): Token {
    const token = this.#tokens[this.#index + ahead]
    return token ?? { kind: 'end', text: '', value: '', position: this.text.length }
  }

  next(): Token {
    const token = this.peek()
    this.#index += 1
    return token
  }

  /** The token that was read last; its end is the end of what has been read. */
  endOfLast(): number {
    const last = this.#tokens[this.#index - 1]
    return last === undefined ? 0 : last.position + last.text.length
  }

  atKind(kind: TokenKind): boolean {
    return this.peek().kind === kind
  }

  atWord(word: string, ahead = 0): boolean {
    const token = this.peek(ahead)
    return token.kind === 'word' && token.value === word
  }

  atMark(mark: string, ahead = 0): boolean {
    const token = this.peek(ahead)
    return token.kind === 'mark' && token.value === mark
  }

  /** Reads the words if they all stand here in this order. */
  acceptWords(...words: readonly string[]): boolean {
    if (!words.every((word, ahead) => this.atWord(word, ahead))) return false
    this.#index += words.length
    return true
  }

  acceptMark(mark: string): boolean {
    if (!this.atMark(mark)) return false
    this.#index += 1
    return true
  }

  expectWord(word: string): void {
    if (!this.acceptWords(word)) throw this.error(word.toUpperCase())
  }

  expectMark(mark: string): void {
    if (!this.acceptMark(mark)) throw this.error(`'${mark}'`)
  }

  expectString(): string {
    if (!this.atKind('string')) throw this.error('string')
    return this.next().value
  }

  /** A comma separated list of at least one. */
  list<Item>(readItem: () => Item): Item[] {
    const items = [readItem()]
    while (this.acceptMark(',')) items.push(readItem())
    return items
  }

  columnName(): string {
    const token = this.peek()
    const isName = token.kind === 'quoted_word' || (token.kind === 'word' && !isReservedColumn(token.value))
    if (!isName) throw this.error(null)
    return this.next().value
  }

  /** The name of a cluster, or the part of a table's name that stands before the dot. */
  plainName(): string {
    const token = this.peek()
    if (token.kind === 'quoted_word') throw this.error(null, 'invalid token')
    if (token.kind !== 'word' || isReservedName(token.value)) throw this.error(null)
    return this.next().value
  }

  /** `users` or `system.users_s0`. */
  localTable(): string {
    const name = this.plainName()
    return name === 'system' && this.atKind('subkey') ? `system.${this.next().value.toLowerCase()}` : name
  }

  /** `users`, `system.users_s0`, `c:users`. */
  clusterTable(): TableName {
    const first = this.localTable()
    if (!this.acceptMark(':')) return { cluster: null, name: first }
    return { cluster: first, name: this.localTable() }
  }

  /** What a SELECT reads: a table, or its chunks: `system.users_s0.@status`. */
  readTable(): TableName {
    const table = this.clusterTable()
    const token = this.peek()
    if (token.kind !== 'subkey' || token.value.toLowerCase() !== CHUNKS_SUBKEY) return table
    this.next()
    return { ...table, name: `${table.name}.${CHUNKS_SUBKEY}` }
  }

  /** Like {@link clusterTable}, but only users may say the prefix in a definition, not the daemon. */
  definedTable(): TableName {
    return this.dialect === 'extended' ? this.clusterTable() : { cluster: null, name: this.localTable() }
  }

  /** `OPTION force=1` or nothing. */
  forceOption(): boolean {
    if (!this.acceptWords('option')) return false
    this.expectWord('force')
    this.expectMark('=')
    if (!this.atKind('integer')) throw this.error('integer')
    return this.next().value !== '0'
  }

  /** Runs `read` one level deeper. */
  nested<Result>(read: () => Result): Result {
    this.#nesting += 1
    if (this.#nesting > MAX_NESTING) throw this.problem('nested too deeply')
    const result = read()
    this.#nesting -= 1
    return result
  }

  /** Throws unless the statement is over here; leaves a `;` unread. */
  expectEnd(): void {
    if (!this.atKind('end') && !this.atMark(';')) throw this.error('$end')
  }

  /** The error for the token that stands here. */
  error(expecting: string | null, unexpected = this.#nameOf(this.peek())): SqlSyntaxError {
    const { position } = this.peek()
    return new SqlSyntaxError({ text: this.text, position, section: this.section, unexpected, expecting })
  }

  /** An error with wording of its own instead of `syntax error, unexpected …`. */
  problem(problem: string): SqlSyntaxError {
    return new SqlSyntaxError({
      text: this.text,
      position: this.peek().position,
      section: this.section,
      unexpected: this.#nameOf(this.peek()),
      expecting: null,
      problem,
    })
  }

  /** A token in the daemon's words. */
  #nameOf(token: Token): string {
    switch (token.kind) {
      case 'word':
        return isKeyword(token.value) ? token.value.toUpperCase() : 'identifier'
      case 'quoted_word':
        return 'identifier'
      case 'subkey':
        return 'SUBKEY'
      case 'variable':
        return '@variable'
      case 'mark':
        return this.section === 'P03' && !DEFINITION_MARKS.includes(token.value)
          ? 'invalid token'
          : `'${token.value}'`
      case 'invalid':
        return 'invalid token'
      case 'end':
        return '$end'
      case 'string':
      case 'integer':
      case 'float':
        return token.kind
      default:
        return unreachable(token.kind)
    }
  }
}
