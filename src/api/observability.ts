import { Hono } from 'hono'
import { messageOf } from '../domain/errors.ts'
import type { Metrics } from './metrics.ts'

/** How long it may take to find out whether we are ready, in milliseconds. */
const READY_TIMEOUT_MS = 5_000

export interface ObservabilityParts {
  readonly metrics: Pick<Metrics, 'text' | 'contentType'>
  /** Rejects with the reason why this process cannot do its work now. */
  readonly ready: (signal: AbortSignal) => Promise<void>
}

const ENDPOINTS = `/metrics  for Prometheus
/healthz  200 while the process is alive
/readyz   200 while it can do its work, 503 with the reason otherwise
`

/** What those who watch a service ask it: metrics, and whether it is alive and ready. Changes nothing. */
export function observabilityApp({ metrics, ready }: ObservabilityParts): Hono {
  const readiness = new SharedCheck(ready)
  const app = new Hono()
  app.get('/', (context) => context.text(ENDPOINTS))
  app.get('/healthz', (context) => context.json({ alive: true }))
  app.get('/readyz', async (context) => {
    const reason = await readiness.reasonAgainst()
    return reason === undefined ? context.json({ ready: true }) : context.json({ ready: false, reason }, 503)
  })
  app.get('/metrics', async (context) => {
    const text = await metrics.text()
    return context.body(text, 200, { 'content-type': metrics.contentType })
  })
  app.notFound((context) => context.text(`There is no such page. There are:\n${ENDPOINTS}`, 404))
  app.onError((error, context) => context.text(messageOf(error), 500))
  return app
}

/** However many ask, one look at a time is taken. */
class SharedCheck {
  readonly #check: (signal: AbortSignal) => Promise<void>
  #looking: Promise<string | undefined> | undefined

  constructor(check: (signal: AbortSignal) => Promise<void>) {
    this.#check = check
  }

  async reasonAgainst(): Promise<string | undefined> {
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined))
    return await this.#looking
  }

  async #look(): Promise<string | undefined> {
    const over = AbortSignal.timeout(READY_TIMEOUT_MS)
    const late = Promise.withResolvers<never>()
    over.addEventListener('abort', () => {
      late.reject(new Error(`no answer within ${READY_TIMEOUT_MS} ms`))
    })
    try {
      await Promise.race([this.#check(over), late.promise])
      return undefined
    } catch (error) {
      return messageOf(error) || 'no reason given'
    }
  }
}
