import type { OnExisting, Phase } from '../domain/command.ts'
import type { PlannedCommand } from '../domain/plan.ts'
import type { Statement } from '../domain/statement.ts'
import type { NodeId } from '../domain/words.ts'

interface CommandParts {
  readonly node: NodeId
  readonly statements: readonly Statement[]
  readonly rollback: readonly Statement[]
  readonly dependsOn?: readonly string[]
  readonly onExisting: OnExisting
  readonly copyBytes?: number
  readonly why: string
}

/** Collects the commands of one plan in an order that respects their dependencies. */
export class PlanBuilder {
  readonly #commands = new Map<string, PlannedCommand>()
  #phase: Phase = 'before_pivot'
  #savepoint = 0

  /** From here on nothing is undone: what follows only frees what is no longer used. */
  pivot(): void {
    this.#phase = 'after_pivot'
  }

  /** Commands added from now on belong to this part of the operation. */
  savepoint(number: number): void {
    this.#savepoint = number
  }

  /** Returns the key, for `dependsOn` of later commands. */
  add(key: string, parts: CommandParts): string {
    if (this.#commands.has(key)) throw new TypeError(`the plan has a command '${key}' already`)
    const dependsOn = parts.dependsOn ?? []
    for (const dependency of dependsOn) {
      if (!this.#commands.has(dependency)) {
        throw new TypeError(`command '${key}' depends on '${dependency}', which does not stand before it`)
      }
    }
    this.#commands.set(key, {
      key,
      copyBytes: 0,
      ...parts,
      dependsOn,
      phase: this.#phase,
      savepoint: this.#savepoint,
    })
    return key
  }

  commands(): readonly PlannedCommand[] {
    return [...this.#commands.values()]
  }
}
