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
