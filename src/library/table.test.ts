import { beforeAll, describe, expect, it } from 'vitest'
import { fixedRandom, JumpingClock, ScriptedConnector } from '../../test/support/engine-doubles.ts'
import { InputError } from '../domain/errors.ts'
import { ConnectedCatalog } from '../manticore/index.ts'
import { Client } from './client.ts'
import { Cluster } from './cluster.ts'
import { Queue } from './queue.ts'
import { Table } from './table.ts'

/** No node answers: what cannot be is refused before any is asked. */
let connector: ScriptedConnector
let client: Client
let cluster: Cluster

beforeAll(() => {
  connector = new ScriptedConnector('unreachable')
  client = new Client({
    connector,
    catalog: new ConnectedCatalog(connector),
    clock: new JumpingClock(),
    random: fixedRandom(),
    ids: { next: () => 1 },
    owner: 'test',
  })
  cluster = new Cluster(client, 'c', ['10.0.0.1:9312'])
})
function tableOf(name: string, columns = 'title text', options?: string): Table {
  return new Table(client, cluster, name, columns, options)
}

function refusalOf(make: () => unknown): InputError {
  try {
    make()
  } catch (error) {
    if (error instanceof InputError) return error
    throw error
  }
  throw new Error('it was accepted')
}

describe('a table', () => {
  it('has the columns that it is given, but for the id, which all have', () => {
    const table = tableOf('users', 'id bigint, title text, tags multi64, price float')
    expect(table.name).toBe('users')
    expect(table.columns.map(({ name, type }) => `${name} ${type}`)).toEqual([
      'title text',
      'tags multi64',
      'price float',
    ])
  })

  it('has no options unless they are given', () => {
    expect(tableOf('users').options).toEqual([])
    const { options } = tableOf('users', 'title text', "min_infix_len='2' morphology='stem_en'")
    expect(options.map(({ name, value }) => [name, value])).toEqual([
      ['min_infix_len', '2'],
      ['morphology', 'stem_en'],
    ])
  })

  it.each(['', 'Users', 'a-b', '1st', 'a.b', "o'x", 'system', 'select', 'c:users', 'x'.repeat(65), 'ü'])(
    'has not the name %j',
    (name) => {
      const error = refusalOf(() => tableOf(name))
      expect(error).toMatchObject({ field: 'table', code: 'invalid_input' })
    },
  )

  it.each(['a', '_a', 'a1', 'x'.repeat(64), 'users_s0'])('may have the name %j', (name) => {
    expect(tableOf(name).name).toBe(name)
  })

  it.each([
    '',
    'title',
    'title text,',
    'title text price float',
    'title strin',
    'title text; DROP TABLE x',
    '(title text)',
  ])('is not made of the columns %j, and says where they go wrong', (columns) => {
    const error = refusalOf(() => tableOf('users', columns))
    expect(error).toMatchObject({ field: 'columns', code: 'invalid_input' })
    expect(error.message).toMatch(/^the columns cannot be read: ./)
    expect(error.cause).toBeInstanceOf(Error)
  })

  it.each(['min_infix_len', "min_infix_len='2", 'nonsense here', "a='1'; DROP TABLE x"])(
    'is not made with the options %j',
    (options) => {
      const error = refusalOf(() => tableOf('users', 'title text', options))
      expect(error).toMatchObject({ field: 'options' })
      expect(error.message).toMatch(/^the options cannot be read: ./)
    },
  )

  it.each(['type', 'local', 'agent', 'shards', 'rf'])(
    'is not told %s, which sharding writes itself',
    (name) => {
      const error = refusalOf(() => tableOf('users', 'title text', `min_infix_len='2' ${name}='1'`))
      expect(error.field).toBe('options')
      expect(error.message).toContain(`'${name}'`)
    },
  )
})

describe('calls with what cannot be', () => {
  it.each([
    [0, 1, 'shards'],
    [3_001, 1, 'shards'],
    [1.5, 1, 'shards'],
    [Number.NaN, 1, 'shards'],
    [1, 0, 'rf'],
    [1, -1, 'rf'],
    [1, 1.5, 'rf'],
  ])('%d shards of %d copies are refused for the %s', async (shards, rf, field) => {
    const queue = new Queue(cluster, client)
    await expect(tableOf('users').shard(queue, shards, rf)).rejects.toMatchObject({
      name: 'InputError',
      field,
    })
    await expect(tableOf('users').planShard(shards, rf)).rejects.toMatchObject({ name: 'InputError', field })
    expect(connector.sent).toEqual([])
  })

  it('the queue of another cluster is refused by all that need one', async () => {
    const other = new Queue(new Cluster(client, 'other', ['10.0.0.1:9312']), client)
    const table = tableOf('users')
    const calls = [table.shard(other, 1, 1), table.drop(other), table.rebalance(other), table.undrop(other)]
    for (const outcome of await Promise.allSettled(calls)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { name: 'InputError', field: 'queue' } })
    }
    expect(connector.sent).toEqual([])
  })
})
