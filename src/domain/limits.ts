/** Limits of the whole system, each with its unit and its reason. */

/** Shards of one table. The daemon's helper has the same limit, and users know it. */
export const MAX_SHARDS = 3_000

/**
 * Characters of a sharded table's name. Its longest shard is `system.<table>_s2999`, which is also a folder
 * name; 64 keeps it and the daemon's own files far below what file systems allow.
 */
export const MAX_TABLE_NAME_LENGTH = 64

/** Characters of a cluster's name, for the same reason. */
export const MAX_CLUSTER_NAME_LENGTH = 64
