import { describe, expect, it } from 'vitest'
import { type NodeState, NodeWatch, type NodeWatchSettings, type Sighting } from './node-watch.ts'

const SETTINGS: NodeWatchSettings = { graceDelayMs: 60_000, flapWindowMs: 600_000, maxFlaps: 3 }
const A = '10.0.0.1:9312'
const B = '10.0.0.2:9312'

/** Looks at one node every ten seconds, and gives what changed. */
function follow(watch: NodeWatch, seen: readonly Sighting[], from = 1_000_000): (NodeState | '-')[] {
  return seen.map((sighting, look) => {
    const [change] = watch.look(new Map([[A, sighting]]), from + look * 10_000)
    return change?.view.state ?? '-'
  })
}

describe('a node that is watched', () => {
  it('is new, and then only what changes is told', () => {
    const watch = new NodeWatch(SETTINGS)
    expect(watch.look(new Map([[A, 'serving']]), 1_000)).toEqual([
      { view: { node: A, state: 'serving', since: 1_000, seenAt: 1_000 }, before: undefined },
    ])
    expect(watch.look(new Map([[A, 'serving']]), 2_000)).toEqual([])
    expect(watch.views()).toEqual([{ node: A, state: 'serving', since: 1_000, seenAt: 2_000 }])
  })

  it('is down at once, and gone when it has been down for the whole delay', () => {
    const watch = new NodeWatch(SETTINGS)
    const absent = Array.from({ length: 8 }, (): Sighting => 'absent')
    expect(follow(watch, ['serving', ...absent])).toEqual([
      'serving',
      'down',
      '-',
      '-',
      '-',
      '-',
      '-',
      'gone',
      '-',
    ])
    expect(watch.views()).toEqual([{ node: A, state: 'gone', since: 1_010_000, seenAt: 1_000_000 }])
  })

  it('that only gives no answer is waited for, however long', () => {
    const watch = new NodeWatch(SETTINGS)
    expect(
      follow(watch, ['serving', 'silent', ...Array.from({ length: 20 }, (): Sighting => 'silent')]),
    ).toEqual(['serving', 'silent', ...Array.from({ length: 20 }, () => '-')])
  })

  it('that is down or gone stays so until it serves again', () => {
    const watch = new NodeWatch(SETTINGS)
    expect(follow(watch, ['serving', 'absent', 'silent', 'serving'])).toEqual([
      'serving',
      'down',
      '-',
      'serving',
    ])
    const gone = new NodeWatch(SETTINGS, [{ node: A, state: 'gone', since: 5, seenAt: 1 }])
    expect(follow(gone, ['absent', 'silent', 'serving'])).toEqual(['-', '-', 'serving'])
  })

  it('goes on waiting where a former coordinator has stopped', () => {
    const watch = new NodeWatch(SETTINGS, [{ node: A, state: 'down', since: 945_000, seenAt: 940_000 }])
    expect(follow(watch, ['absent', 'absent'])).toEqual(['-', 'gone'])
  })

  it('that is no member any more is forgotten', () => {
    const watch = new NodeWatch(SETTINGS)
    watch.look(
      new Map<string, Sighting>([
        [A, 'serving'],
        [B, 'serving'],
      ]),
      1,
    )
    watch.look(new Map([[B, 'serving']]), 2)
    expect(watch.views().map(({ node }) => node)).toEqual([B])
  })

  it('that comes and goes too often is found out, and trusted again when it has been quiet', () => {
    const watch = new NodeWatch(SETTINGS)
    follow(watch, ['serving', 'absent', 'serving', 'absent'])
    expect(watch.flaps(A, 1_030_000)).toBe(false)
    follow(watch, ['serving'], 1_040_000)
    expect(watch.flaps(A, 1_040_000)).toBe(true)
    expect(watch.flaps(A, 1_040_000 + SETTINGS.flapWindowMs)).toBe(false)
  })

  it('coming for the first time is no flap', () => {
    const watch = new NodeWatch({ ...SETTINGS, maxFlaps: 0 })
    follow(watch, ['absent', 'silent', 'serving'])
    expect(watch.flaps(A, 1_020_000)).toBe(true)
    const quiet = new NodeWatch({ ...SETTINGS, maxFlaps: 0 })
    follow(quiet, ['serving', 'serving'])
    expect(quiet.flaps(A, 1_010_000)).toBe(false)
  })
})
