import type { NodeErrorCode } from '../domain/errors.ts'

interface FailureClass {
  readonly pattern: RegExp
  readonly code: NodeErrorCode
}

/**
 * The daemon's texts and what they mean. The first pattern that fits decides; what none fits is `refused`.
 *
 * Patterns see the text with everything between quotes taken out, so the name of a table never decides.
 */
const FAILURE_CLASSES: readonly FailureClass[] = [
  // Every parser error begins with the number of the parser that gave up.
  { pattern: /^P\d\d: /, code: 'syntax' },
  { pattern: /^(access|permission) denied/i, code: 'unauthorized' },

  { pattern: /not primary state|non-primary/i, code: 'not_primary' },
  // Another node's write won; this one was applied nowhere.
  { pattern: /PostRollback, code 3\b/, code: 'conflict' },
  { pattern: /transaction (was )?aborted|deadlock|brute force abort/i, code: 'conflict' },

  // The donor may come back, and a cluster that never existed answers the same.
  { pattern: /failed to fetch donor user from any node/, code: 'busy' },
  { pattern: /\b(donor|joining|joiner)\b|state transfer/i, code: 'busy' },
  { pattern: /is not ready\b/, code: 'busy' },
  { pattern: /maxed out/i, code: 'busy' },
  // Not any "too many": too many columns stay too many, however often they are sent.
  { pattern: /too many (\w+ )?(connections|requests|queries|threads|clients)/i, code: 'busy' },

  // The node lost another one half-way: what it had done there is not known.
  { pattern: /tim(ed|e) ?out|connection (reset|refused|closed)|closed connection/i, code: 'outcome_unknown' },

  { pattern: /(table|cluster) '' already exists/, code: 'duplicate' },
  { pattern: /duplicate id ''/, code: 'duplicate' },
  { pattern: /is already part of cluster ''/, code: 'duplicate' },

  { pattern: /unknown (local )?table(\(s\))? ''/, code: 'missing' },
  { pattern: /unknown or wrong type of table ''/, code: 'missing' },
  { pattern: /no such (local )?table ''/, code: 'missing' },
  { pattern: /table '' absent/, code: 'missing' },
  { pattern: /requires an existing RT table/, code: 'missing' },
  { pattern: /unknown cluster ''/, code: 'missing' },
  { pattern: /is not in cluster ''/, code: 'missing' },
]

const QUOTED = /'[^']*'/g
/** What stands in front of another node's own text. A parser error may quote these words from the statement. */
const REMOTE_PREFIX = /^(?!P\d\d: ).*remote error: /s

/**
 * The class of what the daemon said. A remote node's error inside the text gives the class.
 *
 * `outcome_unknown` is right for statements with effect only: a lost read has changed nothing.
 */
export function classifyFailure(daemonText: string): NodeErrorCode {
  const masked = daemonText.replace(QUOTED, "''").replace(REMOTE_PREFIX, '')
  return FAILURE_CLASSES.find(({ pattern }) => pattern.test(masked))?.code ?? 'refused'
}
