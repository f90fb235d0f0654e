import type { BinaryOperator } from '../../domain/statement.ts'
import { unsupported } from './column-kinds.ts'
import type { SqlCell } from './database.ts'
import { combined, fragment, literalFragment, type Fragment } from './fragment.ts'
import { multiText } from './multi-value.ts'

type Comparison = Extract<BinaryOperator, '=' | '!=' | '<' | '<=' | '>' | '>='>

/** The same comparison with its sides exchanged. */
const MIRRORED: Readonly<Record<Comparison, Comparison>> = {
  '=': '=',
  '!=': '!=',
  '<': '>',
  '<=': '>=',
  '>': '<',
  '>=': '<=',
}

/** Longer IN lists travel as one JSON parameter, so that lists of any length share a prepared statement. */
const MAX_SEPARATE_IN_VALUES = 8

export function isComparison(operator: BinaryOperator): operator is Comparison {
  return operator in MIRRORED
}

/** Never NULL: a missing JSON value equals nothing, and so differs from everything. */
export function compareFragments(operator: Comparison, left: Fragment, right: Fragment): Fragment {
  if (left.type === 'multi') return compareMulti(operator, left, right)
  if (right.type === 'multi') return compareMulti(MIRRORED[operator], right, left)
  const parts = [asFloatLike(right, left), asFloatLike(left, right)]
  const collation = parts.some((part) => part.type === 'string' && part.nullable) ? ' COLLATE NOCASE' : ''
  const nullable = parts.some((part) => part.nullable)
  const test = (l: string, r: string): string => `(${l}${collation} ${operator} ${r})`
  const compared = combined('long', parts, (l = '', r = '') =>
    nullable ? `IFNULL(${test(l, r)}, ${operator === '!=' ? 1 : 0})` : test(l, r),
  )
  return { ...compared, nullable: false }
}

/** A float attribute holds 32-bit floats, so a literal is compared with it as one. */
function asFloatLike(other: Fragment, own: Fragment): Fragment {
  if (other.type !== 'float' || other.literal !== null) return own
  if (typeof own.literal !== 'number' || Number.isInteger(own.literal)) return own
  return fragment('?', [Math.fround(own.literal)], 'float', { literal: own.literal })
}

function compareMulti(operator: Comparison, multi: Fragment, other: Fragment): Fragment {
  if (other.type !== 'long' && other.type !== 'long long') {
    throw unsupported('comparing a multi-value with anything but an integer')
  }
  return combined(
    'long',
    [multi, other],
    (text = '', value = '') => `multi_compares(${text}, '${multi.quantifier}', '${operator}', ${value})`,
  )
}

export function inFragment(
  operand: Fragment,
  values: readonly (string | number | bigint)[],
  negated: boolean,
): Fragment {
  const inside = operand.type === 'multi' ? multiIn(operand, values) : scalarIn(operand, values)
  return negated ? { ...inside, sql: `(NOT ${inside.sql})` } : inside
}

function multiIn(operand: Fragment, values: readonly (string | number | bigint)[]): Fragment {
  const wanted = multiText(values.map((value) => (typeof value === 'string' ? BigInt(value) : value)))
  return fragment(
    `multi_in(${operand.sql}, '${operand.quantifier}', ?)`,
    [...operand.parameters, wanted],
    'long',
    { aggregate: operand.aggregate },
  )
}

function scalarIn(operand: Fragment, values: readonly (string | number | bigint)[]): Fragment {
  const list = valueList(operand, values)
  const collation = operand.nullable ? ' COLLATE NOCASE' : ''
  const test = `(${operand.sql}${collation} IN ${list.sql})`
  return fragment(
    operand.nullable ? `IFNULL(${test}, 0)` : test,
    [...operand.parameters, ...list.parameters],
    'long',
    { aggregate: operand.aggregate },
  )
}

function valueList(
  operand: Fragment,
  values: readonly (string | number | bigint)[],
): { readonly sql: string; readonly parameters: readonly SqlCell[] } {
  if (values.length <= MAX_SEPARATE_IN_VALUES) {
    const parameters = values.flatMap((value) => asFloatLike(operand, literalFragment(value)).parameters)
    return { sql: `(${parameters.map(() => '?').join(', ')})`, parameters }
  }
  const items = values.map((value) => (typeof value === 'string' ? JSON.stringify(value) : String(value)))
  return { sql: '(SELECT value FROM json_each(?))', parameters: [`[${items.join(',')}]`] }
}

export function betweenFragment(operand: Fragment, low: Fragment, high: Fragment): Fragment {
  if (operand.type === 'multi') throw unsupported('BETWEEN on a multi-value')
  const parts = [operand, asFloatLike(operand, low), asFloatLike(operand, high)]
  const between = combined(
    'long',
    parts,
    (text = '', from = '', to = '') => `(${text} BETWEEN ${from} AND ${to})`,
  )
  return between.nullable ? { ...between, sql: `IFNULL(${between.sql}, 0)`, nullable: false } : between
}
