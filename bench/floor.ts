import { setTimeout as sleep } from 'node:timers/promises'
import { NodeError } from '../src/domain/errors.ts'
import type { Plan, PlannedCommand } from '../src/domain/plan.ts'
import type { NodeConnector } from '../src/domain/ports.ts'
import type { NodeId } from '../src/domain/words.ts'
import { renderStatement } from '../src/sql/index.ts'

/** As for the library: a JOIN may copy tables. In milliseconds. */
const STATEMENT_TIMEOUT_MS = 120_000
/**
 * A shard has left its set when the node that was asked says so; the other members know some milliseconds later,
 * and until then refuse to drop it. In milliseconds, short against that.
 */
const STILL_IN_CLUSTER_PAUSE_MS = 2
const STILL_IN_CLUSTER = /unable to drop a cluster table/

interface Step {
  readonly node: NodeId
  readonly sql: string
  readonly dependents: Step[]
  /** Dependencies that are not done yet. */
  waits: number
}

/**
 * Sends the statements of a plan as somebody would who needs no safety: each as soon as what it depends on is
 * done, at most `maxInFlight` at once to one node. No journal, no lease, and no second try but of a DROP that
 * comes too early for a member.
 *
 * @returns how long it took, in milliseconds
 * @throws NodeError the first failure, when nothing is in flight any more
 */
export async function runByHand(plan: Plan, connector: NodeConnector, maxInFlight: number): Promise<number> {
  const byNode = Map.groupBy(stepsOf(plan.commands), ({ node }) => node)
  const lanes = new Map([...byNode.keys()].map((node) => [node, new Lane(connector, maxInFlight)]))
  const startedAt = performance.now()
  const failures: unknown[] = []
  const submit = async (step: Step): Promise<void> => {
    if (failures.length > 0) return
    try {
      await lanes.get(step.node)?.send(step)
    } catch (error) {
      failures.push(error)
      return
    }
    const ready = step.dependents.filter((dependent) => --dependent.waits === 0)
    await Promise.all(ready.map(submit))
  }
  const first = [...byNode.values()].flat().filter(({ waits }) => waits === 0)
  await Promise.all(first.map(submit))
  if (failures.length > 0) throw failures[0]
  return performance.now() - startedAt
}

/** SQL text is rendered beforehand: it is no part of what the nodes cost. Creates and drops have one statement a command. */
function stepsOf(commands: readonly PlannedCommand[]): Step[] {
  const steps = new Map<string, Step>()
  for (const { key, node, statements, dependsOn } of commands) {
    const step = {
      node,
      sql: statements.map(renderStatement).join(';'),
      dependents: [],
      waits: dependsOn.length,
    }
    for (const dependency of dependsOn) steps.get(dependency)?.dependents.push(step)
    steps.set(key, step)
  }
  return [...steps.values()]
}

/** Statements to one node, in the order in which they became ready. */
class Lane {
  readonly #connector: NodeConnector
  readonly #maxInFlight: number
  readonly #waiting: (() => void)[] = []
  #inFlight = 0

  constructor(connector: NodeConnector, maxInFlight: number) {
    this.#connector = connector
    this.#maxInFlight = maxInFlight
  }

  async send({ node, sql }: Step): Promise<void> {
    if (this.#inFlight >= this.#maxInFlight) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    } else {
      this.#inFlight++
    }
    try {
      await this.#execute(node, sql)
    } finally {
      // The place in flight goes straight to the next one.
      const next = this.#waiting.shift()
      if (next === undefined) this.#inFlight--
      else next()
    }
  }

  async #execute(node: NodeId, sql: string): Promise<void> {
    for (;;) {
      try {
        await this.#connector.connection(node).execute(sql, { timeoutMs: STATEMENT_TIMEOUT_MS })
        return
      } catch (error) {
        if (!(error instanceof NodeError && STILL_IN_CLUSTER.test(error.message))) throw error
        await sleep(STILL_IN_CLUSTER_PAUSE_MS)
      }
    }
  }
}
