import { defineConfig } from 'vitest/config'

/** Node tests only: unit and property tests beside their source, everything larger under `test/`. */
export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
})
