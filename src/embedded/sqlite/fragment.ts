import { unreachable } from '../../domain/errors.ts'
import type { ResultType } from './column-kinds.ts'
import { bindable, type SqlCell, type SqlText } from './database.ts'
import type { MultiQuantifier } from './multi-value.ts'

/** A part of an SQLite statement together with what the dialect has to know about it. */
export interface Fragment extends SqlText {
  readonly type: ResultType
  /** Contains COUNT, SUM, … */
  readonly aggregate: boolean
  /** May be NULL: a path into JSON, or something computed from one. */
  readonly nullable: boolean
  /** For multi-values: which of the values have to satisfy a comparison. */
  readonly quantifier: MultiQuantifier
  /** The value when it is a literal, else null. */
  readonly literal: string | number | bigint | null
  /** How a SELECT shows it when that differs from how it is compared. */
  readonly shown: string | null
}

type FragmentTraits = Partial<Omit<Fragment, 'sql' | 'parameters' | 'type'>>

export function fragment(
  sql: string,
  parameters: readonly SqlCell[],
  type: ResultType,
  traits: FragmentTraits = {},
): Fragment {
  return {
    sql,
    parameters,
    type,
    aggregate: false,
    nullable: false,
    quantifier: 'any',
    literal: null,
    shown: null,
    ...traits,
  }
}

/** Joins the texts and parameters of `parts`; aggregate and nullable when one of them is. */
export function combined(
  type: ResultType,
  parts: readonly Fragment[],
  render: (...texts: readonly string[]) => string,
): Fragment {
  return fragment(
    render(...parts.map((part) => part.sql)),
    parts.flatMap((part) => part.parameters),
    type,
    { aggregate: parts.some((part) => part.aggregate), nullable: parts.some((part) => part.nullable) },
  )
}

const INT32_MAX = 2 ** 31 - 1

export function literalFragment(value: string | number | bigint): Fragment {
  return fragment('?', [bindable(value)], literalType(value), { literal: value })
}

function literalType(value: string | number | bigint): ResultType {
  if (typeof value === 'string') return 'string'
  if (typeof value === 'number' && !Number.isInteger(value)) return 'float'
  return value >= -INT32_MAX && value <= INT32_MAX ? 'long' : 'long long'
}

const WIDTH: Readonly<Record<ResultType, number>> = {
  bool: 0,
  long: 0,
  'long long': 1,
  float: 2,
  double: 3,
  json: 3,
  multi: 3,
  string: 3,
}

/** The type of an arithmetic result: text and JSON count as double. */
export function widestNumber(parts: readonly Fragment[]): ResultType {
  const width = Math.max(0, ...parts.map((part) => WIDTH[part.type]))
  return width === 0 ? 'long' : width === 1 ? 'long long' : width === 2 ? 'float' : 'double'
}

/** What stands in for "no rows": 0 or the empty string. */
export function emptyOf(type: ResultType): string {
  switch (type) {
    case 'string':
    case 'json':
    case 'multi':
      return "''"
    case 'float':
    case 'double':
      return '0.0'
    case 'long':
    case 'long long':
    case 'bool':
      return '0'
    default:
      return unreachable(type)
  }
}
