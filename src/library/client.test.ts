import { expect, it } from 'vitest'
import { fixedRandom, JumpingClock, ScriptedConnector } from '../../test/support/engine-doubles.ts'
import { ConnectedCatalog } from '../manticore/index.ts'
import { Client } from './client.ts'

function clientOf() {
  const told: string[] = []
  const connector = Object.assign(new ScriptedConnector(), {
    close: async () => {
      await Promise.resolve()
      told.push('connections')
    },
  })
  const client = new Client({
    connector,
    catalog: new ConnectedCatalog(connector),
    clock: new JumpingClock(),
    random: fixedRandom(),
    ids: { next: () => 1 },
    owner: 'test',
  })
  const onClose = (name: string) =>
    client.onClose(async () => {
      await Promise.resolve()
      told.push(name)
    })
  return { client, connector, told, onClose }
}

it('statements of your own go to the node that you name', async () => {
  const { client, connector } = clientOf()
  await client.connection('10.0.0.2:9312').execute('SELECT 1')
  expect(connector.sent).toEqual([{ node: '10.0.0.2:9312', sql: 'SELECT 1' }])
})

it('closing ends what was begun last first, and the connections when all has ended', async () => {
  const { client, told, onClose } = clientOf()
  for (const name of ['first', 'second', 'third']) onClose(name)
  await client.close()
  expect(told).toEqual(['third', 'second', 'first', 'connections'])
})

it('closing twice ends nothing twice', async () => {
  const { client, told, onClose } = clientOf()
  onClose('only')
  await client.close()
  await client.close()
  expect(told.filter((name) => name === 'only')).toEqual(['only'])
})

it('closes at the end of a block', async () => {
  const { client, told, onClose } = clientOf()
  onClose('only')
  {
    await using used = client
    expect(used.parts.owner).toBe('test')
    expect(told).toEqual([])
  }
  expect(told).toEqual(['only', 'connections'])
})

it('closes the connections also when something cannot be ended', async () => {
  const { client, told, onClose } = clientOf()
  onClose('first')
  client.onClose(async () => await Promise.reject(new Error('stuck')))
  await expect(client.close()).rejects.toThrow('stuck')
  expect(told).toEqual(['first', 'connections'])
})
