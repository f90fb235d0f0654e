import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { withStateTables } from '../../scripts/state-tables.ts'

it('the state tables in the architecture are those of the code (node scripts/state-tables.ts writes them)', () => {
  const text = readFileSync('docs/architecture.md', 'utf8')
  expect(withStateTables(text)).toBe(text)
})
