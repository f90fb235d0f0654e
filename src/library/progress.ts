import { EventEmitter } from 'node:events'
import type { ProgressEvent, ProgressListener } from '../engine/events.ts'

/** Events that an iterator keeps for a slow reader; older ones of commands are dropped first. */
const MAX_BUFFERED_EVENTS = 10_000

/** Tells everybody who wants to know about every change that stands in the journal. */
export class ProgressHub {
  readonly #emitter = new EventEmitter<{ progress: [ProgressEvent] }>()

  constructor() {
    // As many listeners as there are queues and iterators; each one removes itself.
    this.#emitter.setMaxListeners(0)
  }

  emit(event: ProgressEvent): void {
    this.#emitter.emit('progress', event)
  }

  subscribe(listener: ProgressListener): () => void {
    this.#emitter.on('progress', listener)
    return () => void this.#emitter.off('progress', listener)
  }
}

export interface ProgressOptions {
  /** Only events of this operation. */
  readonly group?: string
  /** The iteration ends when this promise settles; a rejection is thrown out of the loop. */
  readonly until?: Promise<unknown>
  readonly signal?: AbortSignal
}

/**
 * Progress as an async iterator. Listening begins with the call, not with the first turn of the loop, so no
 * event of an operation that is started right after it is missed.
 */
export function iterateProgress(
  hub: ProgressHub,
  options: ProgressOptions,
): AsyncIterableIterator<ProgressEvent> {
  const buffer: ProgressEvent[] = []
  let ended: { readonly error?: unknown } | undefined
  let wake = Promise.withResolvers<void>()
  const unsubscribe = hub.subscribe((event) => {
    if (options.group !== undefined && event.group !== options.group) return
    if (buffer.length >= MAX_BUFFERED_EVENTS) dropOldest(buffer)
    buffer.push(event)
    wake.resolve()
  })
  const end = (how: { readonly error?: unknown }) => {
    ended ??= how
    unsubscribe()
    wake.resolve()
  }
  options.until?.then(
    () => end({}),
    (error: unknown) => end({ error }),
  )
  options.signal?.addEventListener('abort', () => end({}), { once: true })
  if (options.signal?.aborted === true) end({})
  async function* iterate(): AsyncGenerator<ProgressEvent, void, void> {
    try {
      for (;;) {
        const event = buffer.shift()
        if (event !== undefined) {
          yield event
          continue
        }
        if (ended !== undefined) break
        await wake.promise
        wake = Promise.withResolvers<void>()
      }
    } finally {
      unsubscribe()
    }
    if ('error' in ended) throw ended.error
  }
  const inner = iterate()
  return {
    next: async () => await inner.next(),
    // Also when the loop has never begun, or waits for an event at this moment.
    return: async () => {
      end({})
      return await inner.return()
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

/** A change of a whole operation is kept longer than those of its commands. */
function dropOldest(buffer: ProgressEvent[]): void {
  const index = buffer.findIndex(({ kind }) => kind === 'command')
  buffer.splice(Math.max(index, 0), 1)
}
