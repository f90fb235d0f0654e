import { afterEach, describe, expect, it } from 'vitest'
import { type Script, type ScriptedNode, scriptedNode } from '../../test/contract/scripted-node.ts'
import { checkCapabilities } from './capabilities.ts'

const CREATE = "CREATE TABLE mshard_capability_probe (id bigint) type='shard'"
const DROP = 'DROP TABLE IF EXISTS mshard_capability_probe OPTION force=1'
const EXIT = 'EXIT CLUSTER mshard_capability_probe'
const VERSION = "SHOW STATUS LIKE 'version'"

const ABLE: Script = {
  [CREATE]: { error: "error adding table 'x': table 'x': no valid local/remote tables in shard table" },
  [EXIT]: { error: "unknown cluster 'mshard_capability_probe'" },
  [VERSION]: [{ Counter: 'version', Value: '6.0.0 abc@230101' }],
}

let node: ScriptedNode
afterEach(() => node.stop())

describe('checkCapabilities', () => {
  it('is content with a daemon that knows both features', async () => {
    node = await scriptedNode(ABLE)
    await checkCapabilities(node.connection)
    expect(node.statements()).toEqual([CREATE, EXIT])
  })

  it('names what is missing, and the version', async () => {
    node = await scriptedNode({
      ...ABLE,
      [CREATE]: { error: "error adding table 'x': unknown type 'shard'" },
      [EXIT]: { error: "P02: syntax error, unexpected identifier near 'EXIT'" },
    })
    await expect(checkCapabilities(node.connection)).rejects.toMatchObject({
      code: 'unsupported_daemon',
      message: `${node.connection.node}: Manticore 6.0.0 abc@230101 does not have type='shard' tables and EXIT CLUSTER`,
    })
  })

  it('leaves nothing behind on a daemon that makes a table of the probe', async () => {
    node = await scriptedNode({ ...ABLE, [CREATE]: [], [DROP]: [] })
    await expect(checkCapabilities(node.connection)).rejects.toMatchObject({
      code: 'unsupported_daemon',
      message: expect.stringContaining("type='shard'"),
    })
    expect(node.statements()).toContain(DROP)
  })

  it('never drops a table that was there before', async () => {
    node = await scriptedNode({ ...ABLE, [CREATE]: { error: "table 'x': table 'x' already exists" } })
    await expect(checkCapabilities(node.connection)).rejects.toMatchObject({ code: 'duplicate' })
    expect(node.statements()).toEqual([CREATE])
  })

  it('does not blame the daemon for being busy', async () => {
    node = await scriptedNode({ ...ABLE, [CREATE]: { error: 'maxed out, dismissing client' } })
    await expect(checkCapabilities(node.connection)).rejects.toMatchObject({ code: 'busy' })
  })
})
