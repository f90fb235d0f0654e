import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * Ports are taken from below the range that systems hand out for outgoing connections (from 32,768 on Linux, from
 * 49,152 elsewhere), so that a crashed node finds its port free when it is started again.
 */
const FIRST_PORT = 20_000
const LAST_PORT = 32_000

/** Tries to find a free port; with even half of the range in use one in 2^50 searches fails. */
const MAX_TRIES = 50

/** A port on which nobody listens now, and none of `taken`. */
export async function findFreePort(host: string, taken: ReadonlySet<number>): Promise<number> {
  for (let attempt = 0; attempt < MAX_TRIES; attempt += 1) {
    const port = randomInt(FIRST_PORT, LAST_PORT)
    if (!taken.has(port) && (await isFree(host, port))) return port
  }
  throw new Error(`no free port between ${FIRST_PORT} and ${LAST_PORT} on ${host}`)
}

async function isFree(host: string, port: number): Promise<boolean> {
  const server = createServer()
  try {
    server.listen({ host, port, exclusive: true })
    await once(server, 'listening')
    server.close()
    await once(server, 'close')
    return true
  } catch {
    return false
  }
}
