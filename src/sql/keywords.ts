/** The words of the language. All sets are lower case. */

function words(list: string): string[] {
  return list.trim().split(/\s+/)
}

/** Words that can be neither a column's nor a table's name unless they are back-quoted. */
const NEVER_BARE = words(`
  and as asc between by columnarscan desc distinct div docidindex explain facet false force from
  group having if ignore in indexes inner is join knn left like limit mod not no_columnarscan
  no_docidindex no_secondaryindex null offset on option or order reload secondaryindex select set
  sysfilters true values where
`)

/** Words that begin or shape a statement: fine as a column, refused as the name of a table or cluster. */
const STATEMENT_WORDS = words(`
  alter begin commit create delete describe drop exists exit insert into replace rollback show
  table truncate update
`)

/** Words that have a meaning somewhere and are names everywhere else. */
const CONTEXT_WORDS = words(`
  add at cluster column databases global meta names nodes options path session settings start
  status tables threads to transaction variables warnings
`)

const COLUMN_RESERVED: ReadonlySet<string> = new Set(NEVER_BARE)
const NAME_RESERVED: ReadonlySet<string> = new Set([...NEVER_BARE, ...STATEMENT_WORDS])
const KEYWORDS: ReadonlySet<string> = new Set([...NEVER_BARE, ...STATEMENT_WORDS, ...CONTEXT_WORDS])

/** Whether a column of that name must be back-quoted. */
export function isReservedColumn(lowerCaseWord: string): boolean {
  return COLUMN_RESERVED.has(lowerCaseWord)
}

/** Whether the word cannot name a table or cluster: there is no quoting for those. */
export function isReservedName(lowerCaseWord: string): boolean {
  return NAME_RESERVED.has(lowerCaseWord)
}

/** Whether the word has any meaning of its own in the language. */
export function isKeyword(lowerCaseWord: string): boolean {
  return KEYWORDS.has(lowerCaseWord)
}
