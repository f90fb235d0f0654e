import type { NodeId } from './words.ts'

/** What the engine does with a failed statement. */
export type RetryRule =
  /** It will fail again; stop. */
  | 'never'
  /** Nothing happened, and it may work later. */
  | 'backoff'
  /** It may or may not have happened; look at the node first. */
  | 'probe'

interface ErrorRule {
  readonly retry: RetryRule
  readonly httpStatus: number
  readonly exitCode: number
  /** What a person can do; one sentence. */
  readonly next: string
}

/** Every error code of the project with its consequences. The only place where they are written down. */
export const ERROR_RULES = {
  // Failures of a statement on a node.
  unreachable: {
    retry: 'backoff',
    httpStatus: 503,
    exitCode: 69,
    next: 'Check that the node runs and that its address is reachable from here.',
  },
  outcome_unknown: {
    retry: 'probe',
    httpStatus: 504,
    exitCode: 75,
    next: 'The statement may or may not have taken effect; look at the node before sending it again.',
  },
  conflict: {
    retry: 'backoff',
    httpStatus: 409,
    exitCode: 75,
    next: 'Another write won; nothing was changed, send it again.',
  },
  not_primary: {
    retry: 'backoff',
    httpStatus: 503,
    exitCode: 75,
    next: 'The replication cluster has no quorum on this node; bring its members back.',
  },
  busy: {
    retry: 'backoff',
    httpStatus: 503,
    exitCode: 75,
    next: 'The node is busy with a state transfer or out of capacity; try again in a while.',
  },
  syntax: {
    retry: 'never',
    httpStatus: 400,
    exitCode: 65,
    next: 'Correct the statement.',
  },
  duplicate: {
    retry: 'never',
    httpStatus: 409,
    exitCode: 65,
    next: 'An object or row of that name or id exists already; choose another or drop it first.',
  },
  missing: {
    retry: 'never',
    httpStatus: 404,
    exitCode: 65,
    next: 'The object that the statement names does not exist on this node.',
  },
  refused: {
    retry: 'never',
    httpStatus: 422,
    exitCode: 65,
    next: 'The daemon refuses this statement; its own text says why.',
  },
  unauthorized: {
    retry: 'never',
    httpStatus: 401,
    exitCode: 77,
    next: 'Give a user and password (or token) that the node accepts.',
  },
  not_manticore: {
    retry: 'never',
    httpStatus: 502,
    exitCode: 69,
    next: 'Give the address of a Manticore HTTP or API listener, e.g. http://127.0.0.1:9312.',
  },
  copies_differ: {
    retry: 'never',
    httpStatus: 409,
    exitCode: 70,
    next: 'The copies of a shard do not hold the same rows; compare them on their nodes before going on.',
  },
  copy_needed: {
    retry: 'backoff',
    httpStatus: 409,
    exitCode: 75,
    next: 'A copy is dropped only when enough others are known to be complete; bring their nodes back.',
  },
  plan_stale: {
    retry: 'never',
    httpStatus: 409,
    exitCode: 65,
    next: 'The cluster has changed since the plan was made; make a new one.',
  },
  // Bad input.
  invalid_input: {
    retry: 'never',
    httpStatus: 400,
    exitCode: 64,
    next: 'Correct the input as the message says.',
  },
  table_exists: {
    retry: 'never',
    httpStatus: 409,
    exitCode: 65,
    next: 'Choose another table name, or drop the table first.',
  },
  table_missing: {
    retry: 'never',
    httpStatus: 404,
    exitCode: 65,
    next: 'Check the name of the table and the cluster.',
  },
  cluster_missing: {
    retry: 'never',
    httpStatus: 404,
    exitCode: 65,
    next: 'Create the cluster first, or give the name of one that exists.',
  },
  cluster_unhealthy: {
    retry: 'backoff',
    httpStatus: 503,
    exitCode: 69,
    next: 'Bring all nodes of the cluster back before starting this operation.',
  },
  unsupported_daemon: {
    retry: 'never',
    httpStatus: 501,
    exitCode: 69,
    next: "Upgrade Manticore to a version that has type='shard' tables and EXIT CLUSTER.",
  },
  rollback_invalid: {
    retry: 'never',
    httpStatus: 400,
    exitCode: 65,
    next: 'Give a rollback command that undoes exactly what the command does, and nothing else.',
  },
  // Operations.
  operation_failed: {
    retry: 'never',
    httpStatus: 500,
    exitCode: 70,
    next: 'See which command failed and why; what had been done was undone.',
  },
  operation_pending: {
    retry: 'never',
    httpStatus: 504,
    exitCode: 75,
    next: 'The operation goes on in the journal; watch it by its id.',
  },
  operation_busy: {
    retry: 'backoff',
    httpStatus: 409,
    exitCode: 75,
    next: 'Wait for the other operation on this table to end.',
  },
  operation_missing: {
    retry: 'never',
    httpStatus: 404,
    exitCode: 65,
    next: 'Check the id of the operation.',
  },
  illegal_transition: {
    retry: 'never',
    httpStatus: 409,
    exitCode: 70,
    next: 'The state table in docs/architecture.md lists what is allowed in which state.',
  },
  leadership_lost: {
    retry: 'backoff',
    httpStatus: 503,
    exitCode: 75,
    next: 'Another coordinator acts now and goes on from the journal.',
  },
  leadership_taken: {
    retry: 'backoff',
    httpStatus: 503,
    exitCode: 75,
    next: 'Another coordinator holds the lease; wait until it releases it.',
  },
  closed: {
    retry: 'never',
    httpStatus: 503,
    exitCode: 70,
    next: 'Open a new connection.',
  },
} as const satisfies Record<string, ErrorRule>

export type ErrorCode = keyof typeof ERROR_RULES

export function errorRule(code: ErrorCode): ErrorRule {
  return ERROR_RULES[code]
}

/** Base of all errors that this project throws on purpose. */
export class ShardingError extends Error {
  readonly code: ErrorCode
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ShardingError'
    this.code = code
  }
  get next(): string {
    return ERROR_RULES[this.code].next
  }
}

/** Codes that a statement sent to a node can fail with. */
export type NodeErrorCode = Extract<
  ErrorCode,
  | 'unreachable'
  | 'outcome_unknown'
  | 'conflict'
  | 'not_primary'
  | 'busy'
  | 'syntax'
  | 'duplicate'
  | 'missing'
  | 'refused'
  | 'unauthorized'
  | 'not_manticore'
  | 'closed'
>

/** A statement failed on a node. `daemonText` is what the daemon said, word for word, or `''`. */
export class NodeError extends ShardingError {
  readonly node: NodeId
  readonly sql: string
  readonly daemonText: string
  constructor(
    code: NodeErrorCode,
    fields: { node: NodeId; sql: string; daemonText?: string; message: string },
    options?: ErrorOptions,
  ) {
    super(code, fields.message, options)
    this.name = 'NodeError'
    this.node = fields.node
    this.sql = fields.sql
    this.daemonText = fields.daemonText ?? ''
  }
}

/** The caller gave something that cannot be used; nothing was changed. */
export class InputError extends ShardingError {
  /** Which input: `table`, `shards`, `rf`, `columns`, `rollback`, … */
  readonly field: string
  constructor(field: string, message: string, code: ErrorCode = 'invalid_input', options?: ErrorOptions) {
    super(code, message, options)
    this.name = 'InputError'
    this.field = field
  }
}

/** Runs out of a `switch` over a closed union. The parameter's type makes a forgotten case a compile error. */
export function unreachable(value: never): never {
  throw new TypeError(`a value outside its type: ${JSON.stringify(value)}`)
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
