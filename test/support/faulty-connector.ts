import { NodeError } from '../../src/domain/errors.ts'
import type { CallOptions, NodeConnection, NodeConnector } from '../../src/domain/ports.ts'
import type { Reply } from '../../src/domain/values.ts'
import type { NodeId } from '../../src/domain/words.ts'

/** A statement with effect on its way to a node. */
export interface Call {
  /** Counts all statements with effect through this connector, from 1. */
  readonly number: number
  readonly node: NodeId
  readonly sql: string
}

export type Trouble =
  /** The daemon refuses it; nothing happens. */
  | 'refused'
  /** It never arrives, and the sender does not know. */
  | 'lost request'
  /** It takes effect, and the sender does not know. */
  | 'lost reply'
  /** The sender's process dies before it is sent. */
  | 'death before'
  /** The sender's process dies after it took effect. */
  | 'death after'

/**
 * Connections on which things go wrong on demand, the same against embedded and real nodes. After a death
 * nothing of this process reaches any node any more, and no call of it ever returns.
 */
export class FaultyConnector implements NodeConnector {
  readonly #inner: NodeConnector
  readonly #trouble: (call: Call) => Trouble | undefined
  readonly calls: Call[] = []
  #dead = false
  readonly #died = Promise.withResolvers<void>()

  constructor(inner: NodeConnector, trouble: (call: Call) => Trouble | undefined) {
    this.#inner = inner
    this.#trouble = trouble
  }

  /** Resolves when the process has died. */
  get died(): Promise<void> {
    return this.#died.promise
  }

  connection(node: NodeId): NodeConnection {
    const inner = this.#inner.connection(node)
    return {
      node,
      read: async (sql, options) =>
        this.#dead ? await never() : await this.#alive(inner.read(sql, options)),
      execute: async (sql, options) => await this.#execute(inner, sql, options),
      close: async () => await inner.close(),
    }
  }

  async close(): Promise<void> {
    await this.#inner.close()
  }

  async #execute(inner: NodeConnection, sql: string, options?: CallOptions): Promise<Reply> {
    if (this.#dead) return await never()
    const call = { number: this.calls.length + 1, node: inner.node, sql }
    this.calls.push(call)
    const trouble = this.#trouble(call)
    const about = { node: inner.node, sql }
    switch (trouble) {
      case undefined:
        return await this.#alive(inner.execute(sql, options))
      case 'refused':
        throw new NodeError('refused', {
          ...about,
          daemonText: 'injected',
          message: `${inner.node}: injected`,
        })
      case 'lost request':
        throw new NodeError('outcome_unknown', { ...about, message: `${inner.node}: the request was lost` })
      case 'lost reply':
        await inner.execute(sql, options)
        throw new NodeError('outcome_unknown', { ...about, message: `${inner.node}: the reply was lost` })
      case 'death before':
        return await this.#die()
      case 'death after':
        await inner.execute(sql, options)
        return await this.#die()
    }
  }

  /** What is under way when the process dies takes effect, but nobody hears of it. */
  async #alive(reply: Promise<Reply>): Promise<Reply> {
    try {
      return await reply
    } finally {
      if (this.#dead) await never()
    }
  }

  async #die(): Promise<never> {
    this.#dead = true
    this.#died.resolve()
    return await never()
  }
}

async function never(): Promise<never> {
  return await new Promise<never>(() => undefined)
}
