import { InputError } from '../domain/errors.ts'
import { MAX_CLUSTER_NAME_LENGTH, MAX_TABLE_NAME_LENGTH } from '../domain/limits.ts'
import type { TableName } from '../domain/statement.ts'
import { isBuddySet } from '../domain/words.ts'
import { isKeyword, isReservedName } from './keywords.ts'

const PLAIN_NAME = /^[a-z_][a-z0-9_]*$/
const SYSTEM_NAME = /^system\.[a-z_][a-z0-9_]*$/
const CHUNKS_SUFFIX = '.@status'
const SYSTEM_VARIABLE = /^@@[a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)*$/

/**
 * Checks the name that a user gives to a sharded table, and returns it.
 *
 * @throws InputError field `table`, with a message that says what to do
 */
export function checkTableName(name: string): string {
  checkName({ field: 'table', word: 'table', name, maxLength: MAX_TABLE_NAME_LENGTH })
  if (name === 'system') {
    throw new InputError('table', "'system' is where Manticore keeps internal tables; choose another name")
  }
  return name
}

/**
 * Checks the name of a cluster, and returns it.
 *
 * @throws InputError field `cluster`, with a message that says what to do
 */
export function checkClusterName(name: string): string {
  checkName({ field: 'cluster', word: 'cluster', name, maxLength: MAX_CLUSTER_NAME_LENGTH })
  return name
}

interface NameCheck {
  readonly field: string
  readonly word: string
  readonly name: string
  readonly maxLength: number
}

function checkName({ field, word, name, maxLength }: NameCheck): void {
  if (name === '') throw new InputError(field, `give the ${word} a name`)
  if (name.length > maxLength) {
    throw new InputError(
      field,
      `the ${word} name '${name.slice(0, 20)}…' has ${name.length} characters; use at most ${maxLength}`,
    )
  }
  const lower = name.toLowerCase()
  if (lower !== name && PLAIN_NAME.test(lower)) {
    throw new InputError(field, `${word} names are lower case in Manticore; use '${lower}'`)
  }
  if (!PLAIN_NAME.test(name)) throw new InputError(field, complaint(word, name))
  if (isReservedName(name)) {
    throw new InputError(field, `'${name}' is a word of the SQL language; choose another ${word} name`)
  }
}

/** What is wrong with a name that is not a plain one. */
function complaint(word: string, name: string): string {
  const allowed = 'use only letters a-z, digits and _, beginning with a letter or _'
  const shown = JSON.stringify(name)
  if (name.includes('.')) return `the ${word} name ${shown} has a dot in it; ${allowed}`
  if (/['"`]/.test(name)) return `the ${word} name ${shown} has a quote in it; ${allowed}`
  if (/^\d/.test(name)) return `the ${word} name ${shown} begins with a digit; ${allowed}`
  if (name.includes(':')) {
    return `the ${word} name ${shown} has a cluster prefix in it; give the cluster separately`
  }
  return `the ${word} name ${shown} cannot be used; ${allowed}`
}

/** @throws InputError field `table` when the name could not stand in a statement */
export function renderTableName({ cluster, name }: TableName): string {
  const local = renderLocalTable(name)
  return cluster === null ? local : `${renderClusterName(cluster)}:${local}`
}

/** @throws InputError field `table` */
export function renderLocalTable(name: string): string {
  const usable = SYSTEM_NAME.test(name) || (PLAIN_NAME.test(name) && !isReservedName(name))
  if (!usable) throw new InputError('table', complaint('table', name))
  return name
}

/** What a SELECT reads: a table, or its chunks behind `.@status`. @throws InputError field `table` */
export function renderReadTable(table: TableName): string {
  if (!table.name.endsWith(CHUNKS_SUFFIX)) return renderTableName(table)
  return renderTableName({ ...table, name: table.name.slice(0, -CHUNKS_SUFFIX.length) }) + CHUNKS_SUFFIX
}

/** @throws InputError field `cluster` */
export function renderClusterName(name: string): string {
  if (!isBuddySet(name) && (!PLAIN_NAME.test(name) || isReservedName(name))) {
    throw new InputError('cluster', complaint('cluster', name))
  }
  return name
}

/** Back-quoted when the language has a use for the word. @throws InputError field `column` */
export function renderColumnName(name: string): string {
  if (!PLAIN_NAME.test(name)) throw new InputError('column', complaint('column', name))
  return isKeyword(name) ? `\`${name}\`` : name
}

/** The name of an option, setting or function. @throws InputError */
export function renderWord(field: string, word: string): string {
  if (!PLAIN_NAME.test(word)) throw new InputError(field, complaint(field, word))
  return word
}

export function isSystemVariable(name: string): boolean {
  return SYSTEM_VARIABLE.test(name)
}
