import { type Dispatcher, errors } from 'undici'

/** A whole HTTP answer. */
export interface HttpAnswer {
  readonly kind: 'answer'
  readonly status: number
  readonly contentType: string
  readonly body: string
}

/** No answer, or none that could be taken in. */
export interface HttpFailure {
  readonly kind: 'failure'
  /**
   * - `lost`: the connection could not be made or broke.
   * - `no_http`: what came back is not HTTP, e.g. the greeting of the MySQL protocol.
   * - `stopped`: the signal fired; its reason is the cause.
   * - `too_large`: the answer is larger than what was allowed.
   */
  readonly reason: 'lost' | 'no_http' | 'stopped' | 'too_large'
  /** Whether any byte of the request may have left. False is certain: the other side saw nothing. */
  readonly sent: boolean
  readonly cause: unknown
}

export interface HttpRequest {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly maxReplyBytes: number
}

/**
 * Sends one POST request, at most once, and takes in its answer. Never rejects.
 *
 * It works on the dispatcher itself and not on `request()`, because only there one learns whether the
 * request began to leave: that decides between "nothing happened" and "nobody knows".
 */
export function exchange(
  dispatcher: Dispatcher,
  request: HttpRequest,
  signal: AbortSignal,
): Promise<HttpAnswer | HttpFailure> {
  return new Promise((resolve) => {
    const handler = new ExchangeHandler(request.maxReplyBytes, (outcome) => {
      signal.removeEventListener('abort', stop)
      resolve(outcome)
    })
    const stop = () => handler.stop(signal.reason)
    if (signal.aborted) {
      stop()
      return
    }
    signal.addEventListener('abort', stop, { once: true })
    const { path, headers, body } = request
    try {
      // Its own timeouts are off: the signal carries the deadline of the whole call.
      dispatcher.dispatch(
        { method: 'POST', path, headers: { ...headers }, body, headersTimeout: 0, bodyTimeout: 0 },
        handler,
      )
    } catch (error) {
      handler.onResponseError(null, error)
    }
  })
}

class ExchangeHandler implements Dispatcher.DispatchHandler {
  readonly #maxReplyBytes: number
  readonly #settle: (outcome: HttpAnswer | HttpFailure) => void
  #controller: Dispatcher.DispatchController | null = null
  #settled = false
  #sent = false
  #status = 0
  #contentType = ''
  #chunks: Buffer[] = []
  #size = 0

  constructor(maxReplyBytes: number, settle: (outcome: HttpAnswer | HttpFailure) => void) {
    this.#maxReplyBytes = maxReplyBytes
    this.#settle = settle
  }

  /** Called right before the first byte is written, on a connection that stands. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#settled || this.#sent) {
      // Stopped while it waited for a connection, or about to be written a second time: it must not leave.
      controller.abort(new Error('the request is not wanted any more'))
      this.#fail('lost', new Error('the connection was lost while the request was written'))
      return
    }
    this.#controller = controller
    this.#sent = true
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    this.#status = status
    this.#contentType = String(headers['content-type'] ?? '')
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#settled) return
    this.#size += chunk.length
    if (this.#size > this.#maxReplyBytes) {
      this.#interrupt('too_large', new Error(`the answer is larger than ${this.#maxReplyBytes} bytes`))
      return
    }
    this.#chunks.push(chunk)
  }

  onResponseEnd(): void {
    this.#finish({
      kind: 'answer',
      status: this.#status,
      contentType: this.#contentType,
      body: Buffer.concat(this.#chunks).toString('utf8'),
    })
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: unknown): void {
    // Broken off in the middle, an answer may fail to parse too; but then it had been HTTP so far.
    const noHttp = error instanceof errors.HTTPParserError && this.#status === 0
    this.#fail(noHttp ? 'no_http' : 'lost', error)
  }

  stop(reason: unknown): void {
    this.#interrupt('stopped', reason)
  }

  #interrupt(reason: HttpFailure['reason'], cause: unknown): void {
    this.#fail(reason, cause)
    // Breaks the connection: the rest of an unwanted answer must not stand before the next one.
    this.#controller?.abort(new Error('the request was given up'))
  }

  #fail(reason: HttpFailure['reason'], cause: unknown): void {
    this.#finish({ kind: 'failure', reason, sent: this.#sent, cause })
  }

  #finish(outcome: HttpAnswer | HttpFailure): void {
    if (this.#settled) return
    this.#settled = true
    this.#chunks = []
    this.#settle(outcome)
  }
}
