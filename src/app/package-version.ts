import { readFile } from 'node:fs/promises'
import { findPackageJSON } from 'node:module'

/**
 * Version of this package as its manifest has it, or `unknown`. The manifest stands in another folder above
 * the sources than above what is built from them, so it is looked for.
 */
export async function packageVersion(): Promise<string> {
  const path = findPackageJSON(import.meta.url)
  if (path === undefined) return 'unknown'
  const parsed: unknown = JSON.parse(await readFile(path, 'utf8'))
  const isPackage = typeof parsed === 'object' && parsed !== null && 'version' in parsed
  return isPackage ? String(parsed.version) : 'unknown'
}
