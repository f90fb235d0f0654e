import type { Statement } from '../domain/statement.ts'
import type { NodeId } from '../domain/words.ts'

/** What goes wrong with a statement that a client sends to a node. */
export type FaultEffect =
  /** Refused; nothing happens. */
  | { readonly kind: 'error_before'; readonly message: string }
  /** It takes effect, and the client is told that it failed. */
  | { readonly kind: 'error_after'; readonly message: string }
  /** It does not take effect, and the client gets no answer. */
  | { readonly kind: 'lose_request' }
  /** It takes effect, and the client gets no answer. */
  | { readonly kind: 'lose_reply' }
  | { readonly kind: 'delay'; readonly ms: number; readonly before: boolean }
  /** The node dies before it does anything. */
  | { readonly kind: 'crash_before' }
  /** It takes effect, and the node dies before it answers. */
  | { readonly kind: 'crash_after' }

export interface Fault {
  /** Only on this node; on any when left out. */
  readonly node?: NodeId
  readonly when: (statement: Statement, sql: string) => boolean
  readonly effect: FaultEffect
  /** How often it happens; once when left out. */
  readonly times?: number
}

export interface FaultHandle {
  /** How often it has happened. */
  readonly hits: number
  /** It will not happen again. */
  remove(): void
}

class ActiveFault implements FaultHandle {
  readonly fault: Fault
  readonly #remove: (fault: ActiveFault) => void
  hits = 0

  constructor(fault: Fault, remove: (fault: ActiveFault) => void) {
    this.fault = fault
    this.#remove = remove
  }

  remove(): void {
    this.#remove(this)
  }
}

/** The faults that wait for their statement. */
export class Faults {
  readonly #active = new Set<ActiveFault>()

  add(fault: Fault): FaultHandle {
    const active = new ActiveFault(fault, (removed) => this.#active.delete(removed))
    this.#active.add(active)
    return active
  }

  clear(): void {
    this.#active.clear()
  }

  /** The effects that happen to this statement now, in the order they were added. Counts them. */
  take(node: NodeId, statement: Statement, sql: string): readonly FaultEffect[] {
    const effects: FaultEffect[] = []
    for (const active of this.#active) {
      const { fault } = active
      if (fault.node !== undefined && fault.node !== node) continue
      if (!fault.when(statement, sql)) continue
      active.hits += 1
      if (active.hits >= (fault.times ?? 1)) active.remove()
      effects.push(fault.effect)
    }
    return effects
  }
}
