#!/usr/bin/env node
// Imports nothing at its top: a Node that is too old for the rest must get as far as saying so.
const REQUIRED_NODE_MAJOR = 24

if (Number.parseInt(process.versions.node, 10) < REQUIRED_NODE_MAJOR) {
  process.stderr.write(
    `mshard needs Node.js ${REQUIRED_NODE_MAJOR} or later; this is v${process.versions.node}. ` +
      `Install it from https://nodejs.org or with a version manager (nvm install ${REQUIRED_NODE_MAJOR}), then run mshard again.\n`,
  )
  process.exitCode = 1
} else {
  const { main } = await import('./main.ts')
  process.exitCode = await main(process.argv.slice(2))
}
