export { SqlSyntaxError, type SqlSection } from './errors.ts'
export type { Dialect } from './cursor.ts'
export { isReservedName } from './keywords.ts'
export { quoteString, renderLiteral } from './literals.ts'
export { checkClusterName, checkTableName, renderColumnName, renderTableName } from './names.ts'
export {
  parseColumnList,
  parseScript,
  parseStatement,
  parseTableOptions,
  type ParseOptions,
} from './parse.ts'
export { renderColumnList, renderStatement, renderTableOptions } from './render.ts'
export { renderExpression, renderFilter } from './render-expressions.ts'
export { effectOf, isShardedDefinition, type Effect } from './effect.ts'
export { inverseOf, inverseOfScript } from './inverse.ts'
export { NOTHING_OBSERVED, type ObservedCluster, type ObservedObjects } from './observed-objects.ts'
export type { RowId } from './row-ids.ts'
export type { RollbackProblem, RollbackProblemCode } from './undo-rules.ts'
export {
  assertRollback,
  suggestRollback,
  validateRollback,
  type RollbackValidation,
} from './validate-rollback.ts'
export { shardOfId } from './shard-routing.ts'
