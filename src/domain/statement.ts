/**
 * Statements of the Manticore dialect as typed data. Rendering, parsing and what a statement does to a node
 * are in `src/sql`.
 */

/** A table as a statement names it. `name` is lower case and may begin with `system.`. */
export interface TableName {
  /** The replication cluster prefix of `c:users`, or null. */
  readonly cluster: string | null
  readonly name: string
}

export type ColumnType =
  | 'text'
  | 'string'
  | 'int'
  | 'bigint'
  | 'float'
  | 'bool'
  | 'timestamp'
  | 'multi'
  | 'multi64'
  | 'json'

export interface ColumnDefinition {
  /** Lower case. */
  readonly name: string
  readonly type: ColumnType
  /** Words behind the type in the order given: `indexed`, `stored`, `attribute`, `engine='columnar'`, … */
  readonly properties: readonly string[]
}

/** `name='value'` behind the column list; the same name may stand several times (`agent`). */
export interface TableOption {
  readonly name: string
  readonly value: string
}

export interface CreateTable {
  readonly kind: 'create_table'
  readonly table: TableName
  readonly ifNotExists: boolean
  /** Null when the statement has no column list at all. */
  readonly columns: readonly ColumnDefinition[] | null
  readonly options: readonly TableOption[]
}

export interface DropTable {
  readonly kind: 'drop_table'
  readonly table: TableName
  readonly ifExists: boolean
  /** `OPTION force=1`; needed for tables over `system.` tables. */
  readonly force: boolean
}

export interface AlterTable {
  readonly kind: 'alter_table'
  readonly table: TableName
  readonly action: 'add_column' | 'drop_column'
  readonly column: string
  /** The type for `add_column`, null for `drop_column`. */
  readonly type: ColumnType | null
}

export interface TruncateTable {
  readonly kind: 'truncate_table'
  readonly table: TableName
}

export interface CreateCluster {
  readonly kind: 'create_cluster'
  readonly cluster: string
  /** Folder relative to the data folder, or null for the data folder itself. */
  readonly path: string | null
  /** Galera options separated by `;`, or null. */
  readonly options: string | null
}

export interface JoinCluster {
  readonly kind: 'join_cluster'
  readonly cluster: string
  /** `host:port` of a member, or null when the statement names none (which the daemon refuses). */
  readonly at: string | null
  readonly path: string | null
  readonly options: string | null
}

export interface DeleteCluster {
  readonly kind: 'delete_cluster'
  readonly cluster: string
}

export interface ExitCluster {
  readonly kind: 'exit_cluster'
  readonly cluster: string
}

export interface AlterCluster {
  readonly kind: 'alter_cluster'
  readonly cluster: string
  readonly action: 'add' | 'drop' | 'update_nodes'
  /** Empty for `update_nodes`. */
  readonly tables: readonly string[]
}

export interface SetCluster {
  readonly kind: 'set_cluster'
  readonly cluster: string
  /** e.g. `pc.bootstrap`. */
  readonly variable: string
  readonly value: Literal
}

/** Integers are `bigint` when a double cannot hold them exactly; a list is a multi-value. */
export type Literal = string | number | bigint | readonly (number | bigint)[]

export interface InsertRows {
  readonly kind: 'insert' | 'replace'
  readonly table: TableName
  /** Null when the statement names none: all columns in the table's order. */
  readonly columns: readonly string[] | null
  readonly rows: readonly (readonly Literal[])[]
}

export interface UpdateRows {
  readonly kind: 'update'
  readonly table: TableName
  readonly assignments: readonly { readonly column: string; readonly value: Literal }[]
  readonly where: Expression | null
}

export interface DeleteRows {
  readonly kind: 'delete'
  readonly table: TableName
  readonly where: Expression | null
}

export type BinaryOperator =
  | '='
  | '!='
  | '<'
  | '<='
  | '>'
  | '>='
  | 'and'
  | 'or'
  | '+'
  | '-'
  | '*'
  | '/'
  | '%'
  | '&'
  | '|'

export type Expression =
  | { readonly kind: 'literal'; readonly value: string | number | bigint }
  /** A column, with a path into a JSON column: `doc[0].a` is `{column: 'doc', path: [0, 'a']}`. */
  | { readonly kind: 'column'; readonly column: string; readonly path: readonly (string | number)[] }
  /** `*` in the list of a SELECT or in COUNT(*). */
  | { readonly kind: 'star' }
  /** A function in lower case: count, sum, min, max, avg, if, regex, any, all, match, crc32, … */
  | {
      readonly kind: 'call'
      readonly name: string
      readonly distinct: boolean
      readonly arguments: readonly Expression[]
    }
  | {
      readonly kind: 'binary'
      readonly operator: BinaryOperator
      readonly left: Expression
      readonly right: Expression
    }
  | { readonly kind: 'not'; readonly operand: Expression }
  | {
      readonly kind: 'in'
      readonly operand: Expression
      readonly values: readonly (string | number | bigint)[]
      readonly negated: boolean
    }
  | {
      readonly kind: 'between'
      readonly operand: Expression
      readonly low: Expression
      readonly high: Expression
    }

export interface SelectItem {
  readonly expression: Expression
  readonly alias: string | null
}

export interface OrderBy {
  readonly expression: Expression
  readonly direction: 'asc' | 'desc'
}

export interface Select {
  readonly kind: 'select'
  readonly items: readonly SelectItem[]
  /** Null for `SELECT 1`. A name that ends in `.@status` means the chunks of that table, one row each. */
  readonly from: TableName | null
  readonly where: Expression | null
  readonly groupBy: readonly Expression[]
  readonly having: Expression | null
  readonly orderBy: readonly OrderBy[]
  /** Null when not said; the daemon then returns 20 rows. */
  readonly limit: number | null
  readonly offset: number
  /** `OPTION name=value, …` */
  readonly options: readonly { readonly name: string; readonly value: string | number | bigint }[]
}

export interface ShowTables {
  readonly kind: 'show_tables'
  /** `SHOW TABLES FROM system`. */
  readonly system: boolean
  readonly like: string | null
}

export interface ShowStatus {
  readonly kind: 'show_status'
  readonly like: string | null
}

/** `SHOW TABLE STATUS`: all tables of the node with their numbers of rows. */
export interface ShowTableStatus {
  readonly kind: 'show_table_status'
  readonly like: string | null
}

export interface ShowCreateTable {
  readonly kind: 'show_create_table'
  readonly table: TableName
  readonly force: boolean
}

export interface DescribeTable {
  readonly kind: 'describe'
  readonly table: TableName
  readonly force: boolean
}

/** SHOW statements without a part of their own. */
export interface ShowOther {
  readonly kind: 'show_other'
  readonly what: 'settings' | 'meta' | 'warnings' | 'variables' | 'threads' | 'databases' | 'version'
  readonly like: string | null
}

export interface Transaction {
  readonly kind: 'begin' | 'commit' | 'rollback'
}

/** `SET NAMES utf8`, `SET autocommit=1`: session settings that clients send; without effect on data. */
export interface SetVariable {
  readonly kind: 'set_variable'
  readonly text: string
}

/**
 * Our own: never sent to a daemon. Compares the copies of tables on several nodes, row counts and digests, and
 * succeeds when they hold the same rows.
 */
export interface VerifyTables {
  readonly kind: 'verify_tables'
  readonly tables: readonly string[]
  /** Two or more nodes that hold a copy of each. */
  readonly nodes: readonly string[]
}

export type Statement =
  | CreateTable
  | DropTable
  | AlterTable
  | TruncateTable
  | CreateCluster
  | JoinCluster
  | DeleteCluster
  | ExitCluster
  | AlterCluster
  | SetCluster
  | InsertRows
  | UpdateRows
  | DeleteRows
  | Select
  | ShowTables
  | ShowStatus
  | ShowTableStatus
  | ShowCreateTable
  | DescribeTable
  | ShowOther
  | Transaction
  | SetVariable
  | VerifyTables

export type StatementKind = Statement['kind']
