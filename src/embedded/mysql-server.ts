import { createServer, type Socket } from 'node:net'
import { messageOf } from '../domain/errors.ts'
import { ConnectionDropped, type ListenAddress, Listener } from './local-listener.ts'
import { EMBEDDED_VERSION, MAX_PACKET_BYTES } from './local-show.ts'
import {
  columnPayload,
  COMMANDS,
  countPayload,
  endPayload,
  errorPayload,
  framed,
  greeting,
  okPayload,
  type Packet,
  PacketReader,
  readClientHello,
  rowPayload,
} from './mysql-packets.ts'
import type { StatementResult } from './store.ts'

export interface MysqlClient {
  /** Unique among the connections of the server. */
  readonly connectionId: number
  /** Any user and password are accepted. */
  readonly user: string
  readonly database: string
}

/**
 * Runs a statement of one connection. What it rejects with is sent as an error with its message;
 * `ConnectionDropped` ends the connection without an answer.
 */
type ExecuteStatement = (sql: string) => Promise<StatementResult>

export interface MysqlServerOptions extends ListenAddress {
  /** Called once for every connection. */
  readonly openSession: (client: MysqlClient) => ExecuteStatement
}

/** The error that the daemon answers all failures with. */
const ERROR_CODE = 1_064
const SQL_STATE = '42000'
const UNKNOWN_COMMAND_CODE = 1_047
const UNKNOWN_COMMAND_STATE = '08S01'

/** The greeting asks for 20 bytes to mix into the password, which nobody checks here. */
const SALT = Buffer.from('embedded-node-no-aut', 'latin1')

/** Serves the MySQL protocol for one node: statements in text, one after the other on each connection. */
export async function startMysqlServer(options: MysqlServerOptions): Promise<Listener> {
  let lastConnectionId = 0
  const server = createServer({ noDelay: true }, (socket) => {
    lastConnectionId += 1
    const connection = new MysqlConnection(socket, lastConnectionId, options.openSession)
    connection.serve().catch(() => socket.destroy())
  })
  return await Listener.open(server, options)
}

class MysqlConnection {
  readonly #socket: Socket
  readonly #id: number
  readonly #openSession: MysqlServerOptions['openSession']
  readonly #reader = new PacketReader(MAX_PACKET_BYTES)
  #execute: ExecuteStatement | null = null

  constructor(socket: Socket, id: number, openSession: MysqlServerOptions['openSession']) {
    this.#socket = socket
    this.#id = id
    this.#openSession = openSession
  }

  /** Until the client leaves. Reads no further than it has answered. */
  async serve(): Promise<void> {
    this.#socket.write(framed([greeting(this.#id, EMBEDDED_VERSION, SALT)], 0))
    for await (const chunk of this.#socket) {
      if (!Buffer.isBuffer(chunk)) throw new TypeError('the socket gave text')
      for (const packet of this.#reader.read(chunk)) {
        const answer = await this.#answer(packet)
        if (answer === null) {
          this.#socket.end()
          return
        }
        this.#socket.write(framed(answer, packet.sequence + 1))
      }
    }
  }

  /** The payloads of the answer; null when the client said goodbye. */
  async #answer({ payload }: Packet): Promise<readonly Buffer[] | null> {
    if (this.#execute === null) {
      this.#execute = this.#openSession({ connectionId: this.#id, ...readClientHello(payload) })
      return [okPayload(0, 0)]
    }
    const [command = 0] = payload
    switch (command) {
      case COMMANDS.query:
        return await this.#answerQuery(this.#execute, payload.toString('utf8', 1))
      case COMMANDS.ping:
      case COMMANDS.useDatabase:
      case COMMANDS.resetConnection:
        return [okPayload(0, 0)]
      case COMMANDS.setOption:
        return [endPayload(0)]
      case COMMANDS.quit:
        return null
      default:
        return [errorPayload(UNKNOWN_COMMAND_CODE, UNKNOWN_COMMAND_STATE, `unknown command ${command}`)]
    }
  }

  async #answerQuery(execute: ExecuteStatement, sql: string): Promise<readonly Buffer[]> {
    try {
      return resultPayloads(await execute(sql))
    } catch (error) {
      if (error instanceof ConnectionDropped) throw error
      return [errorPayload(ERROR_CODE, SQL_STATE, messageOf(error))]
    }
  }
}

function resultPayloads(result: StatementResult): readonly Buffer[] {
  const { columns, rows } = result
  const warnings = result.warning === '' ? 0 : 1
  if (columns.length === 0) return [okPayload(result.total, warnings)]
  return [
    countPayload(columns.length),
    ...columns.map(columnPayload),
    endPayload(0),
    ...rows.map((row) =>
      rowPayload(
        columns.map(({ name }) => row[name] ?? null),
        columns,
      ),
    ),
    endPayload(warnings),
  ]
}
