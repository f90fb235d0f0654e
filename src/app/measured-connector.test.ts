import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { NodeRequest } from '../domain/ports.ts'
import { EmbeddedCluster } from '../embedded/index.ts'
import { HttpNodeConnector } from '../manticore/index.ts'
import { measured } from './measured-connector.ts'

describe('connections that are measured', () => {
  let cluster: EmbeddedCluster
  let node: string
  beforeAll(async () => {
    cluster = await EmbeddedCluster.start({ nodes: 1, dataDir: ':memory:' })
    node = cluster.nodes[0]?.id ?? ''
  })
  afterAll(async () => {
    await cluster.close()
  })

  it('tell of every statement how it went, and how long it took', async () => {
    const told: NodeRequest[] = []
    const connector = measured(new HttpNodeConnector(), (request) => told.push(request))
    const connection = connector.connection(node)
    await connection.execute('CREATE TABLE users (title text)')
    const reply = await connection.read('SHOW TABLES')
    expect(reply.rows).toHaveLength(1)
    await expect(connection.execute('CREATE TABLE users (title text)')).rejects.toThrow('already exists')
    const givenUp = AbortSignal.abort(new Error('given up'))
    await expect(connection.read('SHOW TABLES', { signal: givenUp })).rejects.toThrow('given up')
    await connector.close()
    expect(told.map(({ kind, outcome }) => `${kind} ${outcome}`)).toEqual([
      'execute ok',
      'read ok',
      'execute duplicate',
      'read aborted',
    ])
    for (const request of told) {
      expect(request.node).toBe(node)
      expect(request.durationMs).toBeGreaterThanOrEqual(0)
    }
    expect(told[0]?.durationMs).toBeGreaterThan(0)
  })

  it('are the same for the same node until they are closed', async () => {
    const connector = measured(new HttpNodeConnector(), () => undefined)
    const first = connector.connection(node)
    expect(connector.connection(node)).toBe(first)
    await first.close()
    expect(connector.connection(node)).not.toBe(first)
    await connector.close()
  })
})
