import type { NodeId, Placement } from '../../domain/words.ts'

const MS_PER_S = 1_000

/** `10,000` */
export function number(value: number): string {
  return value.toLocaleString('en-US')
}

/** `1 shard`, `4 shards` */
export function plural(count: number, noun: string): string {
  return `${number(count)} ${noun}${count === 1 ? '' : 's'}`
}

/** `85 ms`, `4.2 s` */
export function duration(ms: number): string {
  return ms < MS_PER_S ? `${Math.round(ms)} ms` : `${(ms / MS_PER_S).toFixed(1)} s`
}

/** Exactly as wide as `columns`: cut off with `…`, or filled up with spaces. */
export function fit(text: string, columns: number): string {
  const line = text.replaceAll(/\s+/g, ' ')
  if (line.length <= columns) return line.padEnd(columns)
  // The list of columns of a CREATE TABLE tells nothing here.
  const short = line.replace(/ \(.*/, '')
  return short.length > columns ? `${short.slice(0, Math.max(columns - 1, 0))}…` : short.padEnd(columns)
}

/** The daemon's own words out of an error that also names the node and repeats the statement. */
export function failureReason(message: string, node: NodeId): string {
  const start = message.startsWith(`${node}: `) ? node.length + 2 : 0
  const end = message.indexOf(' (statement: ')
  return message.slice(start, end === -1 ? undefined : end)
}

/** Which nodes hold which shards: one line for each group of nodes that hold the same. */
export function shardsByNodes(placements: readonly Placement[]): string[] {
  const holders = new Map<number, NodeId[]>()
  for (const { node, shards } of placements) {
    for (const shard of shards) holders.set(shard, [...(holders.get(shard) ?? []), node])
  }
  const groups = new Map<string, number[]>()
  for (const [shard, nodes] of [...holders].toSorted(([a], [b]) => a - b)) {
    const key = nodes.toSorted().join(' and ')
    groups.set(key, [...(groups.get(key) ?? []), shard])
  }
  return [...groups].map(([nodes, shards]) => {
    return `${shards.length === 1 ? 'shard' : 'shards'} ${shards.join(', ')} on ${nodes}`
  })
}
