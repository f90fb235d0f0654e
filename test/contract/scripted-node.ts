import { HttpNodeConnection } from '../../src/manticore/http-node-connection.ts'
import { LocalServer, sendJson } from './local-server.ts'

/** What a node answers to one statement: rows or `error`, as in the transcripts of real nodes. */
export type Script = Readonly<
  Record<string, readonly Readonly<Record<string, unknown>>[] | { error: string }>
>

export interface ScriptedNode {
  readonly connection: HttpNodeConnection
  /** Statements in the order in which they came in. */
  readonly statements: () => readonly string[]
  readonly stop: () => Promise<void>
}

/** A node that knows some statements by heart and refuses all others, behind a real HTTP connection. */
export async function scriptedNode(script: Script): Promise<ScriptedNode> {
  const server = await LocalServer.start(({ sql }, response) => {
    const known = script[sql]
    if (known === undefined) sendJson(response, { error: `not in the script: ${sql}` }, 500)
    else if ('error' in known) sendJson(response, known, 500)
    else sendJson(response, [resultSet(known)])
  })
  const connection = new HttpNodeConnection(server.node)
  return {
    connection,
    statements: () => server.received.map(({ sql }) => sql),
    stop: async () => {
      await connection.close()
      await server.stop()
    },
  }
}

function resultSet(rows: readonly Readonly<Record<string, unknown>>[]): unknown {
  const columns = Object.keys(rows[0] ?? {}).map((name) => ({ [name]: { type: 'string' } }))
  return { columns, data: rows, total: rows.length, error: '', warning: '' }
}
