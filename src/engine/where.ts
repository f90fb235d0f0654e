import type { Expression, Literal, OrderBy, Select, TableName, UpdateRows } from '../domain/statement.ts'

/** Short forms for the few statements that the journal is read and written with. */

type Scalar = string | number | bigint

export function column(name: string): Expression {
  return { kind: 'column', column: name, path: [] }
}

export function equals(name: string, value: Scalar): Expression {
  return compare(name, '=', value)
}

export function compare(name: string, operator: '=' | '<' | '<=' | '>' | '!=', value: Scalar): Expression {
  return { kind: 'binary', operator, left: column(name), right: { kind: 'literal', value } }
}

export function oneOf(name: string, values: readonly Scalar[]): Expression {
  return { kind: 'in', operand: column(name), values, negated: false }
}

export function all(first: Expression, ...others: readonly Expression[]): Expression {
  return others.reduce((left, right) => ({ kind: 'binary', operator: 'and', left, right }), first)
}

export function select(
  from: string,
  where: Expression | null,
  options: {
    readonly columns?: readonly string[]
    readonly limit: number
    readonly orderBy?: readonly OrderBy[]
  },
): Select {
  return {
    kind: 'select',
    items:
      options.columns === undefined
        ? [{ expression: { kind: 'star' }, alias: null }]
        : options.columns.map((name) => ({ expression: column(name), alias: null })),
    from: { cluster: null, name: from },
    where,
    groupBy: [],
    having: null,
    orderBy: options.orderBy ?? [{ expression: column('id'), direction: 'asc' }],
    limit: options.limit,
    offset: 0,
    options: [],
  }
}

export function update(
  table: TableName,
  values: Readonly<Record<string, Literal>>,
  where: Expression,
): UpdateRows {
  return {
    kind: 'update',
    table,
    assignments: Object.entries(values).map(([name, value]) => ({ column: name, value })),
    where,
  }
}
