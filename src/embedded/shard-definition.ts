import type { TableOption } from '../domain/statement.ts'
import type { NodeId } from '../domain/words.ts'
import { DaemonError, type TableStore } from './store.ts'

/** A copy of a shard on another node, or on this one under its own name. */
interface ShardMirror {
  readonly node: NodeId
  readonly table: string
}

/**
 * Where one shard of a `type='shard'` table lies. `order` is the number after `_s` in the table's name, null when it has
 * none.
 */
export type ShardTarget =
  | { readonly kind: 'local'; readonly order: number | null; readonly table: string }
  | {
      readonly kind: 'remote'
      readonly order: number | null
      readonly table: string
      readonly mirrors: readonly ShardMirror[]
    }

/** Whether the options of a CREATE TABLE make it a sharded table. */
export function isShardDefinition(options: readonly TableOption[]): boolean {
  return options.some((option) => option.name === 'type' && option.value === 'shard')
}

/**
 * The shards that the options of a sharded table name, in routing order: by the number after `_s`. Throws
 * {@link DaemonError} in the words of CREATE TABLE.
 */
export function parseShardTargets(table: string, options: readonly TableOption[]): readonly ShardTarget[] {
  const refuse = (reason: string): never => {
    throw new DaemonError(`error adding table '${table}': table '${table}': ${reason}`)
  }
  const targets = options
    .filter((option) => option.name === 'local' || option.name === 'agent')
    .map((option) =>
      option.name === 'local' ? localTarget(option.value) : remoteTarget(option.value, refuse),
    )
  if (targets.length === 0) refuse('no valid local/remote tables in shard table')
  const byOrder = new Map<number, ShardTarget>()
  for (const target of targets) {
    if (target.order === null) continue
    const other = byOrder.get(target.order)
    if (other !== undefined) {
      refuse(
        `duplicate shard suffix order ${target.order} for targets '${other.table}' and '${target.table}'`,
      )
    }
    byOrder.set(target.order, target)
  }
  return targets.toSorted((a, b) => (a.order ?? Infinity) - (b.order ?? Infinity) || 0)
}

/** Checks what CREATE TABLE checks: targets are well formed, and local ones exist. Remote ones are not looked at. */
export function checkShardDefinition(
  store: TableStore,
  table: string,
  options: readonly TableOption[],
): void {
  for (const target of parseShardTargets(table, options)) {
    if (target.kind === 'local' && store.table(target.table)?.kind !== 'rt') {
      throw new DaemonError(
        `error adding table '${table}': table '${table}': no such local table '${target.table}'`,
      )
    }
  }
}

type Refuse = (reason: string) => never

function localTarget(value: string): ShardTarget {
  const table = value.trim().toLowerCase()
  return { kind: 'local', order: suffixOrder(table), table }
}

/** `host:port:table|host:port:table[option=value,…]` */
function remoteTarget(value: string, refuse: Refuse): ShardTarget {
  const optionsStart = value.indexOf('[')
  const targets = optionsStart < 0 ? value : value.slice(0, optionsStart)
  const mirrors = targets.split('|').map((mirror) => parseMirror(mirror.trim(), refuse))
  const table = mirrors[0]?.table ?? ''
  if (mirrors.some((mirror) => mirror.table !== table)) {
    refuse(`shard remote target '${value}' must name the same remote table on every mirror`)
  }
  return { kind: 'remote', order: suffixOrder(table), table, mirrors }
}

function parseMirror(text: string, refuse: Refuse): ShardMirror {
  const [host, port, table, ...rest] = text.split(':')
  if (!host || !port || !table || rest.length > 0) return refuse(`invalid shard remote target '${text}'`)
  return { node: `${host}:${port}`, table: table.toLowerCase() }
}

/** The number behind the last `_s`; null without one, which the daemon lets pass. */
function suffixOrder(table: string): number | null {
  const suffixStart = table.lastIndexOf('_s')
  const suffix = suffixStart < 0 ? '' : table.slice(suffixStart + 2)
  const order = Number(suffix)
  return suffix !== '' && Number.isSafeInteger(order) && order >= 0 ? order : null
}
