import { ShardingError } from '../domain/errors.ts'

/**
 * Which of the daemon's grammars refused: `P01` rows, queries and SHOW, `P02` the first word,
 * `P03` CREATE, DROP and ALTER.
 */
export type SqlSection = 'P01' | 'P02' | 'P03'

export interface SqlSyntaxErrorFields {
  readonly text: string
  /** 0-based UTF-16 offset of the offending token. */
  readonly position: number
  readonly section: SqlSection
  /** What stands there, in the daemon's words: `identifier`, `string`, `$end`, `SELECT`, `'+'`. */
  readonly unexpected: string
  /** What would have been right, in the daemon's words, or null when too much would be. */
  readonly expecting: string | null
  /** Replaces `syntax error, unexpected …` in the daemon's message. */
  readonly problem?: string
}

/** Characters of the statement that the message for people quotes. Enough to find the place. */
const QUOTED_CHARACTERS = 40

/** A statement that is not in the language. `daemonMessage` is what the daemon itself answers to it. */
export class SqlSyntaxError extends ShardingError {
  /** 0-based UTF-16 offset of the offending token. */
  readonly position: number
  /** 1-based. */
  readonly line: number
  /** 1-based, in UTF-16 units. */
  readonly column: number
  readonly section: SqlSection
  readonly unexpected: string
  readonly expecting: string | null
  /** The rest of the text from the offending token on. */
  readonly near: string
  readonly daemonMessage: string

  constructor(fields: SqlSyntaxErrorFields) {
    const { text, position, section, unexpected, expecting, problem } = fields
    const before = text.slice(0, position)
    const line = before.split('\n').length
    const column = position - before.lastIndexOf('\n')
    const near = text.slice(position)
    super('syntax', messageForPeople({ line, column, near, unexpected, expecting, problem }))
    this.name = 'SqlSyntaxError'
    this.position = position
    this.line = line
    this.column = column
    this.section = section
    this.unexpected = unexpected
    this.expecting = expecting
    this.near = near
    const said =
      problem ??
      `syntax error, unexpected ${unexpected}${expecting === null ? '' : `, expecting ${expecting}`}`
    this.daemonMessage = `${section}: ${said} near '${near}'`
  }
}

function messageForPeople(place: {
  readonly line: number
  readonly column: number
  readonly near: string
  readonly unexpected: string
  readonly expecting: string | null
  readonly problem: string | undefined
}): string {
  const where = `at line ${place.line}, column ${place.column}`
  const quoted =
    place.near.length > QUOTED_CHARACTERS ? `${place.near.slice(0, QUOTED_CHARACTERS)}…` : place.near
  const found = place.near === '' ? 'the statement ends too early' : `near "${quoted}"`
  if (place.problem !== undefined) return `${place.problem} ${where}, ${found}`
  const unexpected = place.near === '' ? '' : `: unexpected ${spoken(place.unexpected)}`
  const expecting = place.expecting === null ? '' : `; expected ${spoken(place.expecting)}`
  return `syntax error ${where}${unexpected}, ${found}${expecting}`
}

/** The daemon's names of tokens in words that people know. */
function spoken(token: string): string {
  switch (token) {
    case '$end':
      return 'the end of the statement'
    case 'SUBKEY':
      return "'.name'"
    case 'invalid token':
      return 'character'
    default:
      return token
  }
}
