import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

/** `npm run test:real`: the end-to-end tests against real daemons, when there is one. */
const binary = process.env['MANTICORE_SEARCHD']
if (binary === undefined || binary === '') {
  console.log('Skipped: set MANTICORE_SEARCHD to the path of a searchd binary to test against real nodes.')
  process.exit(0)
}
if (!existsSync(binary)) {
  console.error(`MANTICORE_SEARCHD names '${binary}', which does not exist.`)
  process.exit(1)
}
const run = spawnSync('vitest', ['run', '--config', 'vitest.real.config.ts', ...process.argv.slice(2)], {
  stdio: 'inherit',
  shell: process.platform === 'win32',
})
process.exit(run.status ?? 1)
