import { styleText } from 'node:util'

/** Columns of a line where nobody says how wide it may be, e.g. in a pipe. */
const DEFAULT_COLUMNS = 120

export type Style = Parameters<typeof styleText>[0]

/** Where text for people goes. */
export interface Terminal {
  /** Columns of a line. */
  readonly columns: number
  /** Whether a line may be written over: only where somebody watches it. */
  readonly live: boolean
  /** Writes as it is, without a line break. */
  write(text: string): void
  /** Colours the text where colours are wanted: on a terminal, unless NO_COLOR says otherwise. */
  style(style: Style, text: string): string
}

/** A standard stream of this process. What is written after its reader is gone is dropped. */
export function terminalOf(stream: NodeJS.WriteStream): Terminal {
  return {
    columns: stream.columns ?? DEFAULT_COLUMNS,
    // A terminal without colours may be one without cursor movement, too.
    live: stream.isTTY && stream.hasColors(),
    write: (text) => {
      if (stream.writable) stream.write(text)
    },
    style: (style, text) => styleText(style, text, { stream }),
  }
}
