import { unreachable } from '../../domain/errors.ts'
import { DaemonError } from '../store.ts'
import type { ResultType } from './column-kinds.ts'
import { unsupported } from './column-kinds.ts'
import { combined, emptyOf, fragment, widestNumber, type Fragment } from './fragment.ts'
import { compilePattern } from './functions.ts'

export interface Call {
  readonly name: string
  readonly distinct: boolean
  /** `COUNT(*)`. */
  readonly star: boolean
  /** Of the table that is read; errors begin with it. */
  readonly table: string
}

type Compile = (parts: readonly Fragment[], call: Call) => Fragment

/** A function with one operand that SQLite has under the same or another name. */
function simple(type: ResultType | 'operand', render: (text: string) => string): Compile {
  return (parts, call) => {
    const [operand] = parts
    if (operand === undefined || parts.length !== 1) throw wrongCount(call, parts.length)
    return combined(type === 'operand' ? operand.type : type, parts, (text = '') => render(text))
  }
}

function parseError(call: Call, text: string): DaemonError {
  return new DaemonError(`table ${call.table}: parse error: ${text}`)
}

/** For functions that take one argument. */
function wrongCount(call: Call, count: number): DaemonError {
  const given = count === 0 ? 'without args' : `with ${count} args`
  return parseError(call, `${call.name}() called ${given}, 1 args expected`)
}

function wrongArguments(call: Call, count: number): Error {
  return unsupported(`${call.name}() with other than ${count} argument${count === 1 ? '' : 's'}`)
}

const count: Compile = (parts, call) => {
  if (call.star || parts.length === 0) return fragment('COUNT(*)', [], 'long long', { aggregate: true })
  if (parts.length !== 1) throw wrongArguments(call, 1)
  return aggregate(call.distinct ? 'long' : 'long long', parts, (text) =>
    call.distinct ? `COUNT(DISTINCT ${text})` : `COUNT(${text})`,
  )
}

/** A bare column of type JSON or text cannot be added up or averaged, only what lies at a path in it. */
function numeric(type: (operand: Fragment) => ResultType, name: string): Compile {
  return (parts, call) => {
    const [operand] = parts
    if (operand === undefined || parts.length !== 1) throw wrongArguments(call, 1)
    if (operand.type === 'multi' || operand.type === 'json')
      throw unsupported(`${name} of a ${operand.type} attribute`)
    return aggregate(type(operand), parts, (text) => `${name}(${text})`)
  }
}

function aggregate(type: ResultType, parts: readonly Fragment[], render: (text: string) => string): Fragment {
  const made = combined(type, parts, (text = '') => `COALESCE(${render(text)}, ${emptyOf(type)})`)
  return { ...made, aggregate: true, nullable: false }
}

/** SUM of integers is a 64-bit integer, of anything else a double. */
function sumType(operand: Fragment): ResultType {
  const isInteger = operand.type === 'long' || operand.type === 'long long' || operand.type === 'bool'
  return isInteger ? 'long long' : 'double'
}

const choose: Compile = (parts, call) => {
  const [, yes, no] = parts
  if (yes === undefined || no === undefined || parts.length !== 3) throw wrongArguments(call, 3)
  const type = yes.type === 'string' && no.type === 'string' ? 'string' : widestNumber([yes, no])
  return combined(
    type,
    parts,
    (test = '', then = '', otherwise = '') => `(CASE WHEN ${test} THEN ${then} ELSE ${otherwise} END)`,
  )
}

const regex: Compile = (parts, call) => {
  const [text, pattern] = parts
  if (text === undefined || pattern === undefined || parts.length !== 2) throw wrongArguments(call, 2)
  if (typeof pattern.literal !== 'string') throw unsupported('REGEX() with a pattern that is not a literal')
  compilePattern(pattern.literal)
  return {
    ...combined('long', parts, (subject = '', of = '') => `regex_matches(${subject}, ${of})`),
    nullable: false,
  }
}

function quantified(quantifier: 'any' | 'all'): Compile {
  return (parts, call) => {
    const [operand] = parts
    if (operand === undefined || parts.length !== 1) throw wrongArguments(call, 1)
    if (operand.type !== 'multi')
      throw unsupported(`${quantifier.toUpperCase()}() of anything but a multi-value`)
    return { ...operand, quantifier }
  }
}

/** Bytes of a string, values of a multi-value, elements of a JSON array. */
const length: Compile = (parts, call) => {
  const [operand] = parts
  if (operand === undefined || parts.length !== 1) throw wrongArguments(call, 1)
  const { sql, parameters } = operand
  if (operand.type === 'multi') return fragment(`json_array_length('[' || ${sql} || ']')`, parameters, 'long')
  if (operand.type === 'json') {
    return fragment(`IFNULL(json_array_length(NULLIF(${sql}, '')), 0)`, parameters, 'long')
  }
  return fragment(`LENGTH(CAST(${sql} AS BLOB))`, parameters, 'long', { nullable: operand.nullable })
}

/** Numbers are no strings there, and JSON is none either. */
const concat: Compile = (parts, call) => {
  if (parts.some(({ type }) => type === 'multi')) throw parseError(call, 'concat() arguments can not be MVA')
  const wrong = parts.findIndex(({ type }) => type !== 'string')
  if (wrong >= 0) {
    throw parseError(call, `all CONCAT() arguments must be strings (arg ${wrong + 1} is not)`)
  }
  return combined(
    'string',
    parts,
    (...texts) => `(${texts.map((text) => `IFNULL(${text}, '')`).join(' || ')})`,
  )
}

/** Of anything but a string it is 0, without a word. */
const checksum: Compile = (parts, call) => {
  const [operand] = parts
  if (operand === undefined || parts.length !== 1) throw wrongCount(call, parts.length)
  if (operand.type === 'multi') throw parseError(call, 'crc32() arguments can not be MVA')
  if (operand.type !== 'string') return fragment('0', [], 'long')
  return { ...combined('long', parts, (text = '') => `crc32(${text})`), nullable: false }
}

/** As a SELECT shows it, but floats always with six decimals, and an empty document as no text. */
const text: Compile = (parts, call) => {
  const [operand] = parts
  if (operand === undefined || parts.length !== 1) throw wrongCount(call, parts.length)
  const { parameters, aggregate } = operand
  return fragment(`IFNULL(${textOf(operand)}, '')`, parameters, 'string', { aggregate })
}

function textOf({ sql, shown, type }: Fragment): string {
  switch (type) {
    case 'float':
      return `float_text(${sql})`
    case 'double':
      return `double_text(${sql})`
    case 'json':
      return `NULLIF(${sql}, '{}')`
    case 'string':
    case 'multi':
    case 'long':
    case 'long long':
    case 'bool':
      return `CAST(${shown ?? sql} AS TEXT)`
    default:
      return unreachable(type)
  }
}

/** The functions an embedded node knows, by their lower-case name. */
const CALLS: ReadonlyMap<string, Compile> = new Map<string, Compile>([
  ['count', count],
  ['sum', numeric(sumType, 'SUM')],
  ['avg', numeric(() => 'double', 'AVG')],
  ['min', numeric((operand) => operand.type, 'MIN')],
  ['max', numeric((operand) => operand.type, 'MAX')],
  ['group_concat', (parts) => aggregate('string', parts, (text) => `GROUP_CONCAT(${text}, ',')`)],
  ['if', choose],
  ['regex', regex],
  ['any', quantified('any')],
  ['all', quantified('all')],
  ['length', length],
  ['concat', concat],
  ['crc32', checksum],
  ['abs', simple('operand', (text) => `ABS(${text})`)],
  ['ceil', simple('long long', (text) => `CAST(CEIL(${text}) AS INTEGER)`)],
  ['floor', simple('long long', (text) => `CAST(FLOOR(${text}) AS INTEGER)`)],
  ['sqrt', simple('double', (text) => `SQRT(${text})`)],
  ['lower', simple('string', (text) => `LOWER(${text})`)],
  ['upper', simple('string', (text) => `UPPER(${text})`)],
  ['to_string', text],
  ['bigint', simple('long long', (text) => `CAST(${text} AS INTEGER)`)],
  ['integer', simple('long', (text) => `CAST(${text} AS INTEGER)`)],
  ['double', simple('double', (text) => `CAST(${text} AS REAL)`)],
])

export function compileCall(call: Call, parts: readonly Fragment[]): Fragment {
  const compile = CALLS.get(call.name)
  if (compile === undefined) throw unsupported(`the function ${call.name.toUpperCase()}()`)
  return compile(parts, call)
}
