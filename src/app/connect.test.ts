import { afterEach, expect, it } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { LocalServer, sendJson } from '../../test/contract/local-server.ts'
import { connect } from './connect.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

it('tells the nodes who asks: this package in its version', async () => {
  const node = await LocalServer.start((_, response) =>
    sendJson(response, { error: 'no such statement' }, 500),
  )
  cleanups.push(() => node.stop())
  await expect(connect({ nodes: [`http://${node.node}`] })).rejects.toThrow('no such statement')
  expect(node.received.map(({ headers }) => headers['user-agent'])).toContain(
    `manticore-sharding/${manifest.version}`,
  )
})
