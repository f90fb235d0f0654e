/**
 * The parts of the MySQL client/server protocol that a node speaks: framing, the greeting, and the payloads of
 * text results. Text is UTF-8 both ways whatever the client says, as with the daemon.
 */

import type { ResultColumn, Value } from '../domain/values.ts'

/** A payload of this length is continued in the next packet. */
const MAX_PAYLOAD_BYTES = 0xff_ff_ff
const HEADER_BYTES = 4

/** Auto-commit is on; the only status a node has. */
const SERVER_STATUS = 2

const CHARSET_UTF8MB4 = 45
const CHARSET_BINARY = 63

const CAPABILITIES = {
  longPassword: 0x1,
  foundRows: 0x2,
  longFlag: 0x4,
  connectWithDatabase: 0x8,
  protocol41: 0x200,
  transactions: 0x2000,
  secureConnection: 0x8000,
  pluginAuth: 0x8_0000,
  lengthEncodedAuth: 0x20_0000,
} as const

/** All of them; results end with EOF packets, and there is no TLS and no compression. */
const OFFERED = Object.values(CAPABILITIES).reduce((all, flag) => all | flag, 0)

export const COMMANDS = {
  quit: 0x01,
  useDatabase: 0x02,
  query: 0x03,
  ping: 0x0e,
  setOption: 0x1b,
  resetConnection: 0x1f,
} as const

export interface Packet {
  readonly sequence: number
  readonly payload: Buffer
}

/** Puts the packets of a byte stream together, continued ones as one. */
export class PacketReader {
  readonly #maxBytes: number
  #chunks: Buffer[] = []
  #size = 0
  #parts: Buffer[] = []

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** @throws RangeError when a packet is longer than allowed. */
  *read(chunk: Buffer): Iterable<Packet> {
    this.#chunks.push(chunk)
    this.#size += chunk.length
    while (this.#size >= HEADER_BYTES) {
      const header = this.#front(HEADER_BYTES)
      const length = header.readUIntLE(0, 3)
      const before = this.#parts.reduce((size, part) => size + part.length, 0)
      if (before + length > this.#maxBytes) throw new RangeError('packet too long')
      if (this.#size < HEADER_BYTES + length) return
      const packet = this.#front(HEADER_BYTES + length)
      const sequence = packet.readUInt8(3)
      this.#parts.push(packet.subarray(HEADER_BYTES, HEADER_BYTES + length))
      this.#chunks[0] = packet.subarray(HEADER_BYTES + length)
      this.#size -= HEADER_BYTES + length
      if (length === MAX_PAYLOAD_BYTES) continue
      const payload = Buffer.concat(this.#parts)
      this.#parts = []
      yield { sequence, payload }
    }
  }

  /** The first bytes that wait, at least `length` of them, in one piece. */
  #front(length: number): Buffer {
    const [first] = this.#chunks
    if (first !== undefined && first.length >= length) return first
    const joined = Buffer.concat(this.#chunks)
    this.#chunks = [joined]
    return joined
  }
}

/** The bytes of several packets, numbered from `sequence` on. */
export function framed(payloads: readonly Buffer[], sequence: number): Buffer {
  const chunks: Buffer[] = []
  let number = sequence
  for (const payload of payloads) {
    for (let from = 0; from <= payload.length; from += MAX_PAYLOAD_BYTES) {
      const part = payload.subarray(from, from + MAX_PAYLOAD_BYTES)
      const header = Buffer.alloc(HEADER_BYTES)
      header.writeUIntLE(part.length, 0, 3)
      header.writeUInt8(number % 256, 3)
      chunks.push(header, part)
      number += 1
    }
  }
  return Buffer.concat(chunks)
}

/** What the server says first. `salt` has 20 bytes, none of them 0. */
export function greeting(connectionId: number, version: string, salt: Buffer): Buffer {
  const flags = Buffer.alloc(4)
  flags.writeUInt32LE(OFFERED)
  const id = Buffer.alloc(4)
  id.writeUInt32LE(connectionId)
  return Buffer.concat([
    Buffer.from([10]),
    Buffer.from(`${version}\0`, 'utf8'),
    id,
    salt.subarray(0, 8),
    Buffer.from([0]),
    flags.subarray(0, 2),
    Buffer.from([CHARSET_UTF8MB4, SERVER_STATUS, 0]),
    flags.subarray(2, 4),
    Buffer.from([salt.length + 1]),
    Buffer.alloc(10),
    salt.subarray(8),
    Buffer.from('\0mysql_native_password\0', 'latin1'),
  ])
}

export interface ClientHello {
  readonly user: string
  /** `''` when the client names none. */
  readonly database: string
}

/** Reads the client's answer to the greeting, as far as a node is concerned. */
export function readClientHello(payload: Buffer): ClientHello {
  const flags = payload.length >= 4 ? payload.readUInt32LE(0) : 0
  const userStart = 32
  const userEnd = payload.indexOf(0, userStart)
  if ((flags & CAPABILITIES.protocol41) === 0 || userEnd < 0) throw new RangeError('not a 4.1 handshake')
  const user = payload.toString('utf8', userStart, userEnd)
  if ((flags & CAPABILITIES.connectWithDatabase) === 0) return { user, database: '' }
  const databaseStart = userEnd + 2 + (payload[userEnd + 1] ?? 0)
  const databaseEnd = payload.indexOf(0, databaseStart)
  return { user, database: databaseEnd < 0 ? '' : payload.toString('utf8', databaseStart, databaseEnd) }
}

export function okPayload(affectedRows: number, warnings: number): Buffer {
  const tail = Buffer.alloc(4)
  tail.writeUInt16LE(SERVER_STATUS, 0)
  tail.writeUInt16LE(warnings, 2)
  return Buffer.concat([Buffer.from([0]), lengthEncoded(affectedRows), lengthEncoded(0), tail])
}

export function errorPayload(code: number, sqlState: string, text: string): Buffer {
  const head = Buffer.alloc(3)
  head.writeUInt8(0xff, 0)
  head.writeUInt16LE(code, 1)
  return Buffer.concat([head, Buffer.from(`#${sqlState}${text}`, 'utf8')])
}

export function endPayload(warnings: number): Buffer {
  const payload = Buffer.alloc(5)
  payload.writeUInt8(0xfe, 0)
  payload.writeUInt16LE(warnings, 1)
  payload.writeUInt16LE(SERVER_STATUS, 3)
  return payload
}

interface WireType {
  readonly code: number
  readonly lengthBytes: number
  readonly charset: number
  readonly flags: number
  readonly decimals: number
}

const UNSIGNED = 0x20
const BINARY = 0x80
const NUMBER = { charset: CHARSET_BINARY, decimals: 0 } as const
const TEXT: WireType = {
  code: 0xfd,
  lengthBytes: 0xff_ff_ff,
  charset: CHARSET_UTF8MB4,
  flags: 0,
  decimals: 0,
}

/** By the daemon's word for the type; all others go as text. */
const WIRE_TYPES: Readonly<Record<string, WireType>> = {
  'long long': { ...NUMBER, code: 0x08, lengthBytes: 20, flags: BINARY },
  long: { ...NUMBER, code: 0x03, lengthBytes: 11, flags: BINARY | UNSIGNED },
  bool: { ...NUMBER, code: 0x01, lengthBytes: 1, flags: BINARY | UNSIGNED },
  float: { ...NUMBER, code: 0x04, lengthBytes: 20, flags: BINARY, decimals: 6 },
  double: { ...NUMBER, code: 0x05, lengthBytes: 23, flags: BINARY, decimals: 31 },
}

export function countPayload(columns: number): Buffer {
  return lengthEncoded(columns)
}

export function columnPayload(column: ResultColumn): Buffer {
  const type = WIRE_TYPES[column.type] ?? TEXT
  const fixed = Buffer.alloc(13)
  fixed.writeUInt8(12, 0)
  fixed.writeUInt16LE(type.charset, 1)
  fixed.writeUInt32LE(type.lengthBytes, 3)
  fixed.writeUInt8(type.code, 7)
  fixed.writeUInt16LE(type.flags, 8)
  fixed.writeUInt8(type.decimals, 10)
  const texts = ['def', '', '', '', column.name, column.name]
  return Buffer.concat([...texts.map(lengthEncodedText), fixed])
}

export function rowPayload(cells: readonly Value[], columns: readonly ResultColumn[]): Buffer {
  return Buffer.concat(cells.map((cell, index) => cellBytes(cell, columns[index]?.type ?? '')))
}

function cellBytes(cell: Value, type: string): Buffer {
  if (cell === null) return Buffer.from([0xfb])
  if (typeof cell === 'boolean') return lengthEncodedText(cell ? '1' : '0')
  return lengthEncodedText(typeof cell === 'number' && type === 'float' ? cell.toFixed(6) : String(cell))
}

function lengthEncodedText(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8')
  return Buffer.concat([lengthEncoded(bytes.length), bytes])
}

function lengthEncoded(value: number): Buffer {
  if (value < 0xfb) return Buffer.from([value])
  const width = value <= 0xff_ff ? 2 : value <= MAX_PAYLOAD_BYTES ? 3 : 6
  const marker = width === 2 ? 0xfc : width === 3 ? 0xfd : 0xfe
  const bytes = Buffer.alloc(width === 6 ? 9 : width + 1)
  bytes.writeUInt8(marker, 0)
  bytes.writeUIntLE(value, 1, width)
  return bytes
}
