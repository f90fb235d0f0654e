import { InputError } from '../domain/errors.ts'
import type { NodeId } from '../domain/words.ts'

export type Scheme = 'http' | 'https'

/** How this process proves to a node who it is. */
export type NodeAuth =
  | { readonly kind: 'basic'; readonly user: string; readonly password: string }
  | { readonly kind: 'bearer'; readonly token: string }

export interface NodeUrl {
  readonly scheme: Scheme
  readonly node: NodeId
  /** From `user:password@` in the URL, or null. */
  readonly auth: NodeAuth | null
}

const DEFAULT_PORTS: Record<Scheme, string> = { http: '80', https: '443' }
const SCHEME_IN_FRONT = /^[a-z][a-z0-9+.-]*:\/\//i

/**
 * Takes `http://host:port`, `https://user:password@host:port` or a bare `host:port` apart.
 *
 * @throws InputError with field `url`; its message never repeats the URL, which may hold a password.
 */
export function parseNodeUrl(url: string): NodeUrl {
  const text = url.trim()
  const full = SCHEME_IN_FRONT.test(text) ? text : `http://${text}`
  if (!URL.canParse(full)) throw badUrl('it cannot be read')
  const parsed = new URL(full)
  const scheme = parsed.protocol.slice(0, -1)
  if (scheme !== 'http' && scheme !== 'https') throw badUrl(`'${scheme}' is neither http nor https`)
  if (parsed.pathname !== '/' || parsed.search !== '' || parsed.hash !== '') {
    throw badUrl('nothing may follow the port')
  }
  const port = parsed.port === '' ? DEFAULT_PORTS[scheme] : parsed.port
  return { scheme, node: `${parsed.hostname}:${port}`, auth: authOf(parsed) }
}

/** `host:port` of a node's URL. */
export function urlToNode(url: string): NodeId {
  return parseNodeUrl(url).node
}

function authOf(url: URL): NodeAuth | null {
  if (url.username === '' && url.password === '') return null
  try {
    return {
      kind: 'basic',
      user: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
    }
  } catch {
    throw badUrl('its user or password is not percent-encoded')
  }
}

function badUrl(why: string): InputError {
  return new InputError('url', `not the URL of a node: ${why}; expected e.g. http://127.0.0.1:9312`)
}

/** The value of the Authorization header. */
export function authorizationHeader(auth: NodeAuth): string {
  if (auth.kind === 'bearer') return `Bearer ${auth.token}`
  return `Basic ${Buffer.from(`${auth.user}:${auth.password}`, 'utf8').toString('base64')}`
}
