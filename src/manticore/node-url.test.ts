import { describe, expect, it } from 'vitest'
import { InputError } from '../domain/errors.ts'
import { parseNodeUrl, urlToNode } from './node-url.ts'

describe('parseNodeUrl', () => {
  it.each([
    ['http://10.0.0.1:9312', 'http', '10.0.0.1:9312'],
    ['https://Search.example:9443/', 'https', 'search.example:9443'],
    ['127.0.0.1:9312', 'http', '127.0.0.1:9312'],
    [' localhost:9308 ', 'http', 'localhost:9308'],
    ['http://[::1]:9312', 'http', '[::1]:9312'],
    ['http://proxy', 'http', 'proxy:80'],
    ['https://proxy', 'https', 'proxy:443'],
  ])('%s', (url, scheme, node) => {
    expect(parseNodeUrl(url)).toEqual({ scheme, node, auth: null })
    expect(urlToNode(url)).toBe(node)
  })

  it('takes credentials out', () => {
    expect(parseNodeUrl('https://ann:p%40ss@h:9443')).toEqual({
      scheme: 'https',
      node: 'h:9443',
      auth: { kind: 'basic', user: 'ann', password: 'p@ss' },
    })
  })

  it.each([
    '',
    'http://',
    'mysql://h:9306',
    'http://h:9312/sql',
    'http://h:9312?x=1',
    'h:99999',
    'http://u:%ff@h:1',
  ])('refuses %s', (url) => {
    expect(() => parseNodeUrl(url)).toThrow(InputError)
  })

  it('never repeats a password', () => {
    expect(() => parseNodeUrl('http://ann:hunter2@h:99999')).not.toThrow(/hunter2/)
    expect(() => parseNodeUrl('http://ann:hunter2@h:1/path')).not.toThrow(/hunter2/)
  })
})
