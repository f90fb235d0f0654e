/** What a node answers, decoded. */

/** A cell. Integers that a double cannot hold exactly are `bigint`; JSON and multi-value columns stay text. */
export type Value = string | number | bigint | boolean | null

export type Row = Readonly<Record<string, Value>>

export interface ResultColumn {
  readonly name: string
  /** The daemon's word: `long`, `long long`, `string`, `json`, `multi`, `float`, `double`, `bool`, … */
  readonly type: string
}

/** The answer to one successful statement. */
export interface Reply {
  /** Empty for statements that return no rows. */
  readonly columns: readonly ResultColumn[]
  readonly rows: readonly Row[]
  /** Rows returned, or rows affected for statements without a result set. */
  readonly total: number
  /** Not empty when the daemon answered only partly; such a reply proves nothing. */
  readonly warning: string
}
