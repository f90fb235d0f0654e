import type { Client } from '../../library/client.ts'
import type { Cluster } from '../../library/cluster.ts'
import type { NodeId } from '../../domain/words.ts'
import type { EmbeddedCluster } from '../../embedded/index.ts'

/**
 * How long the failing node of an embedded cluster takes before it refuses, in milliseconds: meanwhile the others
 * finish their part, so that there is more to undo.
 */
const SLOW_REFUSAL_MS = 60

/** Makes one node refuse its part of a sharded table, late, when everything else is in place. */
export interface Sabotage {
  /** What will go wrong; one sentence. */
  story(node: NodeId): string
  /** From now on the node refuses. */
  arm(table: string, node: NodeId): ArmedSabotage
}

export interface ArmedSabotage {
  /**
   * Ends it and removes what it needed.
   *
   * @returns what was not as it should have been; sentences
   */
  disarm(): Promise<string[]>
}

/** Embedded nodes fail when told so. */
export function diskFull(cluster: EmbeddedCluster): Sabotage {
  return {
    story: (node) => `${node} has no space left when its turn comes`,
    arm: (table, node) => {
      const when = (statement: { readonly kind: string; readonly table?: unknown }) =>
        statement.kind === 'create_table' && isNamed(statement.table, table)
      const delay = cluster.faults.add({
        node,
        when,
        effect: { kind: 'delay', ms: SLOW_REFUSAL_MS, before: true },
      })
      const message = `error adding table '${table}': No space left on device`
      const refusal = cluster.faults.add({ node, when, effect: { kind: 'error_before', message } })
      return {
        disarm: async () => {
          delay.remove()
          refusal.remove()
          return await Promise.resolve(refusal.hits > 0 ? [] : [`${node}: never came to fail`])
        },
      }
    },
  }
}

function isNamed(table: unknown, name: string): boolean {
  return typeof table === 'object' && table !== null && 'name' in table && table.name === name
}

/**
 * Real nodes are made to refuse: somebody makes a plain table of the same name right after the plan was made.
 * The undo must leave that table alone.
 */
export function nameTaken(client: Client, cluster: Cluster): Sabotage {
  return {
    story: (node) => `somebody makes a plain table of that name on ${node} meanwhile`,
    arm: (table, node) => {
      let making: Promise<unknown> | undefined
      const unsubscribe = cluster.progress.subscribe((event) => {
        if (event.kind !== 'operation' || event.table !== table || event.state !== 'running') return
        making ??= client.connection(node).execute(`CREATE TABLE ${table} (note text)`)
        // Looked at when it is disarmed.
        making.catch(() => undefined)
      })
      return {
        disarm: async () => {
          unsubscribe()
          await making
          const type = (await client.parts.catalog.tables(node)).get(table)
          if (type === 'rt') await client.connection(node).execute(`DROP TABLE IF EXISTS ${table}`)
          if (making === undefined) return [`${node}: nobody came to make a table ${table}`]
          return type === 'rt' ? [] : [`${node}: table ${table} of somebody else is gone`]
        },
      }
    },
  }
}
