import { expect, it } from 'vitest'
import type { Config } from './config-schema.ts'
import { openLog } from './logging.ts'

function logTo(logs: Config['logs'], isTTY = false) {
  const lines: string[] = []
  const stream = {
    writable: true,
    isTTY,
    hasColors: () => isTTY,
    write: (line: string) => void lines.push(line),
  }
  return { log: openLog(logs, stream), lines, stream }
}

it('writes one JSON object a line where no terminal is, with the fields beside the message', () => {
  const { log, lines } = logTo({ level: 'info', format: 'auto' })
  log.debug('too little to be told')
  log.info('becoming master', { epoch: 3, resumed: ['a'] })
  log.error('broken', { error: new TypeError('why') })
  expect(lines.every((line) => line.indexOf('\n') === line.length - 1)).toBe(true)
  const [first, second] = lines.map((line): unknown => JSON.parse(line))
  expect(lines).toHaveLength(2)
  expect(first).toEqual({
    level: 'info',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    epoch: 3,
    resumed: ['a'],
    msg: 'becoming master',
  })
  expect(second).toMatchObject({ level: 'error', error: { type: 'TypeError', message: 'why' } })
})

it('writes a readable line on a terminal, or when told so', () => {
  const plain = logTo({ level: 'debug', format: 'pretty' })
  plain.log.warn('node is down', { node: '10.0.0.1:9312' })
  expect(plain.lines).toHaveLength(1)
  expect(plain.lines[0]).toMatch(
    /^\[\d\d:\d\d:\d\d\.\d{3}\] WARN: node is down \{"node":"10\.0\.0\.1:9312"\}\n$/,
  )
  const terminal = logTo({ level: 'debug', format: 'auto' }, true)
  terminal.log.debug('looking')
  expect(terminal.lines[0]).toContain('\u001B[')
  expect(terminal.lines[0]).toContain('looking')
  const asked = logTo({ level: 'debug', format: 'json' }, true)
  asked.log.info('for machines')
  expect(JSON.parse(asked.lines[0] ?? '')).toMatchObject({ msg: 'for machines' })
})

it('writes no secret, and nothing to a reader that has gone', () => {
  const { log, lines, stream } = logTo({ level: 'info', format: 'json' })
  log.info('connecting', { user: 'ann', password: 'hidden', auth: { token: 'hidden' } })
  expect(lines.join('')).not.toContain('hidden')
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ user: 'ann', password: '***', auth: { token: '***' } })
  stream.writable = false
  log.info('nobody hears')
  expect(lines).toHaveLength(1)
  const silent = logTo({ level: 'silent', format: 'json' })
  silent.log.error('not a word')
  expect(silent.lines).toEqual([])
})
