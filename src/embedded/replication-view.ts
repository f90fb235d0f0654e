import type { NodeId } from '../domain/words.ts'

/** Who is in a replication cluster, as its members agree on. All members of a view share the object. */
export interface View {
  /** Unique; of two views the one with the higher order was formed later. */
  readonly order: number
  /** Counts the changes of the cluster as its members see them. */
  readonly confId: number
  /** In joining order. */
  readonly members: readonly NodeId[]
  /** Whether it may write. */
  readonly primary: boolean
  /** Since when a member is missing or cut off, in milliseconds of the clock; null while all is well. */
  brokenSinceMs: number | null
}

/** The view of a member that is connected to nobody and knows nothing of the others. */
export const NO_VIEW: View = { order: 0, confId: 0, members: [], primary: false, brokenSinceMs: null }

/** Galera's rule: a part stays primary when it holds more than half of the last primary view. */
export function hasQuorum(part: readonly NodeId[], view: View): boolean {
  const present = view.members.filter((member) => part.includes(member))
  return present.length * 2 > view.members.length
}

/** Splits `items` into groups that are connected, directly or through others: members relay for each other. */
export function connectedComponents<T>(
  items: readonly T[],
  connected: (a: T, b: T) => boolean,
): readonly (readonly T[])[] {
  const rest = new Set(items)
  const components: T[][] = []
  for (const start of items) {
    if (!rest.delete(start)) continue
    const component = [start]
    for (const reached of component) {
      for (const other of rest) {
        if (!connected(reached, other)) continue
        rest.delete(other)
        component.push(other)
      }
    }
    components.push(component)
  }
  return components
}
