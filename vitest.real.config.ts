import { defineConfig } from 'vitest/config'

/** The end-to-end tests against real daemons: the binary that `MANTICORE_SEARCHD` names. */
export default defineConfig({
  test: {
    include: ['test/e2e/**/*.test.ts', 'test/contract/**/*.test.ts'],
    env: { MSHARD_TEST_REAL: '1' },
    testTimeout: 600_000,
    hookTimeout: 120_000,
    // Each file starts daemons of its own; two cores carry no more of them at once.
    fileParallelism: false,
    reporters: ['default', './test/support/closing-line.ts'],
  },
})
