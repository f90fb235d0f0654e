import { describe, expect, it } from 'vitest'
import { parseStatement } from '../sql/index.ts'
import { isAsWritten, RowChecksum, sampleRow, writeSampleRows } from './sample-rows.ts'

describe('sample rows', () => {
  it('come back from their statement as they are', () => {
    const statement = parseStatement(writeSampleRows('books', 5, 7))
    expect(statement).toMatchObject({
      kind: 'replace',
      rows: [5, 6, 7].map((id) => Object.values(sampleRow(id))),
    })
  })

  it('hold what breaks careless clients: quotes, backslashes, other letters, integers beyond 2^53', () => {
    const rows = Array.from({ length: 100 }, (_, index) => sampleRow(index + 1))
    const text = rows.map((row) => `${row.author} ${row.summary}`).join()
    for (const part of ["'", '"', '\\', 'ø', 'ō']) expect(text).toContain(part)
    expect(rows.every(({ barcode }) => BigInt(barcode) > BigInt(Number.MAX_SAFE_INTEGER))).toBe(true)
  })

  it('are told from rows of which one value was changed', () => {
    const row = sampleRow(42)
    expect(isAsWritten(row)).toBe(true)
    for (const column of ['title', 'author', 'summary', 'year', 'barcode']) {
      expect(isAsWritten({ ...row, [column]: 1 })).toBe(false)
    }
  })

  it('have a checksum that depends on content and order', () => {
    const digest = (...ids: number[]) =>
      ids.reduce((sum, id) => sum.add(sampleRow(id)), new RowChecksum()).digest()
    expect(digest(1, 2)).toBe(digest(1, 2))
    expect(digest(1, 2)).not.toBe(digest(2, 1))
  })
})
