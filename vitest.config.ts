import { defineConfig } from 'vitest/config'

/** Everything on embedded nodes: unit and property tests beside their source, all others under `test/`. */
export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    // Both cores of a small machine: most tests wait for something.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    reporters: ['default', './test/support/closing-line.ts'],
  },
})
