import type { Cluster } from '../library/cluster.ts'

/**
 * Whether a process can do its work on a cluster: some node answers and counts as part of it, and the journal can be
 * read. Changes nothing.
 *
 * @returns a check that rejects with the reason against it
 */
export function readinessOf(
  cluster: Pick<Cluster, 'nodes' | 'journal'>,
): (signal: AbortSignal) => Promise<void> {
  return async (signal) => {
    await cluster.nodes()
    await cluster.journal.backlog(signal)
  }
}
