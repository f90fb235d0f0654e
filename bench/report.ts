import type { CreateResult } from './create.ts'

/** The results as a table for people. */
export function renderCreateResults(results: readonly CreateResult[]): string {
  const header = [
    'shards',
    'table',
    'what',
    'floor ms',
    'in flight',
    'ours ms',
    'ratio',
    'goal',
    '',
    'rounds',
  ]
  const rows = results.map((result) => [
    String(result.shards),
    result.table,
    result.what,
    result.floorMs.toFixed(1),
    String(result.floorInFlight),
    result.oursMs.toFixed(1),
    result.ratio.toFixed(2),
    `≤ ${result.goal}`,
    result.goalMet ? 'met' : 'MISSED',
    String(result.rounds),
  ])
  return renderTable([header, ...rows])
}

/** Words to the left, numbers to the right. */
function renderTable(rows: readonly (readonly string[])[]): string {
  const columns = rows[0] ?? []
  const widths = columns.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const isNumeric = columns.map((_, column) =>
    rows.slice(1).every((row) => Number.isFinite(Number(row[column] ?? ''))),
  )
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) =>
        isNumeric[column] === true ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd()
  return rows.map(line).join('\n')
}
