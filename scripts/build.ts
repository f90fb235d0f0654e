import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { z } from 'zod'

/**
 * `npm run build`: compiles `src` to ESM with types in `dist`, and writes the manifest that is published from
 * there. It takes what it can from the workspace's own manifest and leaves out what is only for working on the
 * project: scripts, development tools, and the packages that bring a Node.js binary.
 */
const manifest = z
  .object({
    name: z.string(),
    version: z.string(),
    description: z.string(),
    license: z.string(),
    keywords: z.array(z.string()),
    engines: z.record(z.string(), z.string()),
    dependencies: z.record(z.string(), z.string()),
    exports: z.record(z.string(), z.string()),
    bin: z.record(z.string(), z.string()),
  })
  .parse(JSON.parse(readFileSync('package.json', 'utf8')))

const compiled = (path: string) => path.replace(/^\.\/src\//, './').replace(/\.ts$/, '.js')

rmSync('dist', { recursive: true, force: true })
execFileSync('tsc', ['--project', 'tsconfig.build.json'], {
  stdio: 'inherit',
  shell: process.platform === 'win32',
})

const exports = Object.fromEntries(
  Object.entries(manifest.exports).map(([name, path]) => [
    name,
    { types: compiled(path).replace(/\.js$/, '.d.ts'), default: compiled(path) },
  ]),
)
const bin = Object.fromEntries(Object.entries(manifest.bin).map(([name, path]) => [name, compiled(path)]))
const { name, version, description, license, keywords, engines, dependencies } = manifest
const published = {
  name,
  version,
  description,
  license,
  keywords,
  type: 'module',
  engines,
  exports,
  bin,
  dependencies,
}
writeFileSync('dist/package.json', `${JSON.stringify(published, null, 2)}\n`)
for (const file of ['README.md', 'LICENSE', 'CHANGELOG.md']) copyFileSync(file, `dist/${file}`)
for (const path of Object.values(bin)) chmodSync(`dist/${path}`, 0o755)
