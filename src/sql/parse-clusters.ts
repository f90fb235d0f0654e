import type {
  AlterCluster,
  CreateCluster,
  ExitCluster,
  JoinCluster,
  SetCluster,
} from '../domain/statement.ts'
import type { TokenCursor } from './cursor.ts'
import { readScalar } from './parse-values.ts'

interface ClusterSettings {
  readonly path: string | null
  readonly options: string | null
}

/** Behind CREATE CLUSTER. */
export function readCreateCluster(cursor: TokenCursor): CreateCluster {
  const cluster = cursor.plainName()
  return { kind: 'create_cluster', cluster, ...readSettings(cursor) }
}

/** Behind the word JOIN. */
export function readJoinCluster(cursor: TokenCursor): JoinCluster {
  cursor.expectWord('cluster')
  const cluster = cursor.plainName()
  const at = cursor.acceptWords('at') ? cursor.expectString() : null
  return { kind: 'join_cluster', cluster, at, ...readSettings(cursor) }
}

/** `'dir' as path, 'gcache.size=8M' as options`, in any order, each at most once. */
function readSettings(cursor: TokenCursor): ClusterSettings {
  let settings: ClusterSettings = { path: null, options: null }
  if (!cursor.atKind('string')) return settings
  do {
    const value = cursor.expectString()
    cursor.expectWord('as')
    if (settings.path === null && cursor.acceptWords('path')) settings = { ...settings, path: value }
    else if (settings.options === null && cursor.acceptWords('options'))
      settings = { ...settings, options: value }
    else throw cursor.error(null)
  } while (cursor.acceptMark(','))
  return settings
}

/** Behind the word EXIT. */
export function readExitCluster(cursor: TokenCursor): ExitCluster {
  cursor.expectWord('cluster')
  return { kind: 'exit_cluster', cluster: cursor.plainName() }
}

/** Behind ALTER CLUSTER. */
export function readAlterCluster(cursor: TokenCursor): AlterCluster {
  const cluster = cursor.plainName()
  if (cursor.acceptWords('update')) {
    cursor.expectWord('nodes')
    return { kind: 'alter_cluster', cluster, action: 'update_nodes', tables: [] }
  }
  const action = cursor.acceptWords('add') ? 'add' : 'drop'
  if (action === 'drop' && !cursor.acceptWords('drop')) throw cursor.error(null)
  const tables = cursor.list(() => cursor.localTable())
  return { kind: 'alter_cluster', cluster, action, tables }
}

/** Behind SET CLUSTER. */
export function readSetCluster(cursor: TokenCursor): SetCluster {
  const cluster = cursor.plainName()
  cursor.expectWord('global')
  const variable = cursor.expectString()
  cursor.expectMark('=')
  return { kind: 'set_cluster', cluster, variable, value: readScalar(cursor) }
}
