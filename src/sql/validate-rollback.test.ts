import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { InputError } from '../domain/errors.ts'
import { inverseOf, inverseOfScript } from './inverse.ts'
import { NOTHING_OBSERVED, type ObservedObjects } from './observed-objects.ts'
import { parseStatement } from './parse.ts'
import { renderStatement } from './render.ts'
import { anyStatement, STATEMENTS } from '../../test/conformance/statement-arbitraries.ts'
import type { RollbackProblemCode } from './undo-rules.ts'
import { assertRollback, suggestRollback, validateRollback } from './validate-rollback.ts'

function codesOf(forward: string, rollback: string, observed = NOTHING_OBSERVED): RollbackProblemCode[] {
  const validation = validateRollback(forward, rollback, observed)
  return validation.valid ? [] : validation.problems.map(({ code }) => code)
}

function messagesOf(forward: string, rollback: string, observed = NOTHING_OBSERVED): string {
  const validation = validateRollback(forward, rollback, observed)
  return validation.valid ? '' : validation.problems.map(({ message }) => message).join('\n')
}

const SHARDED_BEFORE = "CREATE TABLE users (v int) type='shard' local='system.users_s0'"
const SHARDED_AFTER = "CREATE TABLE users (v int) type='shard' agent='n1:1:system.users_s0'"

function observedDefinition(sql: string): ObservedObjects['definitions'] & object {
  const definition = parseStatement(sql)
  return new Map(definition.kind === 'create_table' ? [[definition.table.name, definition]] : [])
}

/** Node n0 of three: with tables, a cluster of all and one that it is not in. */
const OBSERVED: ObservedObjects = {
  node: 'n0:1',
  tables: new Set(['users', 'plain', 'system.old_s0']),
  clusters: new Map([
    ['c', ['n0:1', 'n1:1', 'n2:1']],
    ['elsewhere', ['n1:1', 'n2:1']],
    ['alone', ['n0:1']],
    ['empty', []],
  ]),
  definitions: observedDefinition(SHARDED_BEFORE),
}

describe('rollbacks that undo what the command does', () => {
  test.each([
    ['CREATE TABLE x (a int)', 'DROP TABLE IF EXISTS x'],
    ['CREATE TABLE IF NOT EXISTS system.x_s0 (a int)', 'drop table if exists system.x_s0;'],
    [SHARDED_AFTER.replace('users', 'x'), 'DROP TABLE IF EXISTS x OPTION force=1'],
    ["CREATE CLUSTER rs1 'system.rs1' as path", 'DELETE CLUSTER rs1'],
    ["JOIN CLUSTER elsewhere AT 'n1:1'", 'EXIT CLUSTER elsewhere'],
    ["JOIN CLUSTER empty AT 'n1:1'", 'DELETE CLUSTER empty'],
    ['ALTER CLUSTER c ADD a,b', 'ALTER CLUSTER c DROP b,a'],
    ['ALTER CLUSTER c DROP a,b', 'ALTER CLUSTER c ADD a,b'],
    ['EXIT CLUSTER c', "JOIN CLUSTER c AT 'n1:1'"],
    ['DELETE CLUSTER alone', 'CREATE CLUSTER alone'],
    ['ALTER TABLE plain ADD COLUMN a int', 'ALTER TABLE plain DROP COLUMN a'],
    ['INSERT INTO c:t (id,a) VALUES (1,1),(2,2)', 'DELETE FROM c:t WHERE id IN (2,1)'],
    ['INSERT INTO t (id) VALUES (1)', 'DELETE FROM t WHERE id=1'],
    ['INSERT INTO t (id) VALUES (1),(2)', 'DELETE FROM t WHERE id=1 OR id=2'],
    ['DELETE FROM t WHERE id IN (1,2)', "REPLACE INTO t (id,a) VALUES (1,'x'),(2,'y')"],
    ["REPLACE INTO t (id,a) VALUES (1,'new')", "REPLACE INTO t (id,a) VALUES (1,'old')"],
    ['UPDATE t SET a=2, b=3 WHERE id=1', 'UPDATE t SET b=0, a=0 WHERE id=1'],
    ['UPDATE t SET a=2 WHERE id=1 AND a=1', 'UPDATE t SET a=1 WHERE id=1 AND a=2'],
    ['DROP TABLE users OPTION force=1', SHARDED_BEFORE.replace('TABLE', 'TABLE IF NOT EXISTS')],
    ['DROP TABLE users OPTION force=1', `DROP TABLE IF EXISTS users OPTION force=1; ${SHARDED_BEFORE}`],
    [
      `DROP TABLE users OPTION force=1; ${SHARDED_AFTER}`,
      `DROP TABLE IF EXISTS users OPTION force=1; ${SHARDED_BEFORE}`,
    ],
    [
      'CREATE TABLE x (a int); CREATE CLUSTER rs1; ALTER CLUSTER rs1 ADD x',
      'ALTER CLUSTER rs1 DROP x; DELETE CLUSTER rs1; DROP TABLE IF EXISTS x',
    ],
    ['CREATE TABLE x (a int); SELECT 1; SET NAMES utf8', 'SET NAMES utf8; DROP TABLE IF EXISTS x'],
    ['CREATE TABLE x (a int); DROP TABLE x; CREATE TABLE y (a int)', 'DROP TABLE IF EXISTS y'],
    ['SHOW TABLES', 'SHOW TABLES'],
  ])('%s  <-  %s', (forward, rollback) => {
    expect(messagesOf(forward, rollback, OBSERVED)).toBe('')
  })

  test('the definition may come back in the words of SHOW CREATE TABLE', () => {
    const shown = SHARDED_BEFORE.replace('(v int)', '(\nid bigint,\nv integer\n)').replace(
      'TABLE',
      'TABLE IF NOT EXISTS',
    )
    expect(messagesOf('DROP TABLE users OPTION force=1', shown, OBSERVED)).toBe('')
  })

  test('a sharded table that is not there is replaced by nothing', () => {
    const forward = `DROP TABLE IF EXISTS users OPTION force=1; ${SHARDED_AFTER}`
    expect(codesOf(forward, 'DROP TABLE IF EXISTS users OPTION force=1')).toEqual([])
  })

  test('both come back parsed', () => {
    expect(validateRollback('CREATE TABLE x', 'DROP TABLE IF EXISTS x', NOTHING_OBSERVED)).toMatchObject({
      valid: true,
      forward: [{ kind: 'create_table' }],
      rollback: [{ kind: 'drop_table', ifExists: true }],
    })
  })
})

describe('rollbacks that are refused', () => {
  test.each<[string, string, RollbackProblemCode[]]>([
    // Not even SQL, or nothing.
    ['CREATE TABLE x', '', ['empty']],
    ['CREATE TABLE x', ' \n; -- nothing', ['empty']],
    ['', 'DROP TABLE IF EXISTS x', ['empty']],
    ['CREATE TABLE x', 'DROP TABEL x', ['syntax']],
    ['CREAT TABLE x', '', ['syntax', 'empty']],
    // No effect.
    ['CREATE TABLE x', 'SELECT 1', ['no_effect']],
    ['CREATE TABLE x', 'SHOW TABLES; BEGIN', ['no_effect']],
    // The wrong thing.
    ['CREATE TABLE x', 'DROP TABLE IF EXISTS y', ['other_object']],
    ['CREATE CLUSTER rs1', 'DELETE CLUSTER rs2', ['other_object']],
    ["JOIN CLUSTER elsewhere AT 'n1:1'", 'EXIT CLUSTER other', ['other_object']],
    ['ALTER CLUSTER c ADD a', 'ALTER CLUSTER c DROP b', ['other_object']],
    ['ALTER CLUSTER c ADD a', 'ALTER CLUSTER c DROP a,b', ['other_object']],
    ['ALTER CLUSTER c ADD a', 'ALTER CLUSTER d DROP a', ['other_object']],
    ['CREATE TABLE x', 'DROP TABLE IF EXISTS x; CREATE TABLE y', ['other_object']],
    ['INSERT INTO t (id) VALUES (1)', 'DELETE FROM t WHERE id IN (1,2)', ['other_object']],
    ['UPDATE t SET a=1 WHERE id=1', 'UPDATE t SET a=0 WHERE id=2', ['incomplete', 'other_object']],
    ['UPDATE t SET a=1 WHERE id=1', 'UPDATE t SET a=0, b=0 WHERE id=1', ['other_object']],
    ['UPDATE t SET a=1 WHERE id=1', 'UPDATE u SET a=0 WHERE id=1', ['other_object']],
    // The right thing, done wrongly.
    ['CREATE TABLE x', 'TRUNCATE TABLE x', ['does_not_undo']],
    ['CREATE TABLE x', 'CREATE TABLE IF NOT EXISTS x', ['does_not_undo']],
    ['CREATE CLUSTER rs1', 'EXIT CLUSTER rs1', ['does_not_undo']],
    ['ALTER CLUSTER c ADD a', 'ALTER CLUSTER c ADD a', ['does_not_undo']],
    ['EXIT CLUSTER c', 'JOIN CLUSTER c', ['does_not_undo']],
    ['INSERT INTO c:t (id) VALUES (1)', 'DELETE FROM t WHERE id=1', ['does_not_undo']],
    [SHARDED_AFTER.replace('users', 'x'), 'DROP TABLE IF EXISTS x', ['does_not_undo']],
    ['DROP TABLE users OPTION force=1', 'CREATE TABLE IF NOT EXISTS users (v int)', ['does_not_undo']],
    [
      'DROP TABLE users OPTION force=1',
      SHARDED_AFTER.replace('TABLE', 'TABLE IF NOT EXISTS'),
      ['does_not_undo'],
    ],
    // A part stays.
    ['CREATE TABLE x; CREATE TABLE y', 'DROP TABLE IF EXISTS y', ['incomplete']],
    ['ALTER CLUSTER c ADD a,b', 'ALTER CLUSTER c DROP a', ['incomplete']],
    ['INSERT INTO t (id) VALUES (1),(2)', 'DELETE FROM t WHERE id=1', ['incomplete']],
    ['UPDATE t SET a=1, b=1 WHERE id=1', 'UPDATE t SET a=0 WHERE id=1', ['incomplete']],
    // In the order in which it was done.
    ['CREATE TABLE x; CREATE TABLE y', 'DROP TABLE IF EXISTS x; DROP TABLE IF EXISTS y', ['wrong_order']],
    // It would be gone although it was there.
    ['CREATE TABLE plain', 'DROP TABLE IF EXISTS plain', ['destroys_existing']],
    ['CREATE TABLE IF NOT EXISTS plain', 'DROP TABLE IF EXISTS plain', ['destroys_existing']],
    ['CREATE TABLE x', 'DROP TABLE IF EXISTS x; DROP TABLE IF EXISTS plain', ['destroys_existing']],
    ['CREATE CLUSTER c', 'DELETE CLUSTER c', ['destroys_existing']],
    ["JOIN CLUSTER c AT 'n1:1'", 'EXIT CLUSTER c', ['destroys_existing']],
    ["JOIN CLUSTER elsewhere AT 'n1:1'", 'DELETE CLUSTER elsewhere', ['destroys_existing']],
    ["JOIN CLUSTER unknown AT 'n1:1'", 'DELETE CLUSTER unknown', ['destroys_existing']],
    ['ALTER CLUSTER c ADD a', 'DELETE CLUSTER c', ['destroys_existing']],
    ['INSERT INTO t (id) VALUES (1)', 'DROP TABLE IF EXISTS t', ['destroys_existing']],
    ['INSERT INTO t (id) VALUES (1)', 'TRUNCATE TABLE t', ['destroys_existing']],
    ['INSERT INTO t (id) VALUES (1)', 'DELETE FROM t WHERE id>0', ['destroys_existing']],
    ['INSERT INTO t (id) VALUES (1)', 'DELETE FROM t', ['destroys_existing']],
    ['REPLACE INTO t (id) VALUES (1)', 'DELETE FROM t WHERE id=1', ['destroys_existing']],
    ['UPDATE t SET a=1 WHERE id=1', 'UPDATE t SET a=0', ['destroys_existing']],
    // A second run would fail.
    ['CREATE TABLE x', 'DROP TABLE x', ['not_repeatable']],
    ['DROP TABLE users OPTION force=1', SHARDED_BEFORE, ['not_repeatable']],
    ['DELETE FROM t WHERE id=1', 'INSERT INTO t (id) VALUES (1)', ['not_repeatable']],
    [SHARDED_AFTER.replace('users', 'x'), 'DROP TABLE x', ['not_repeatable', 'does_not_undo']],
    // Nothing brings it back.
    ['DROP TABLE plain', 'CREATE TABLE IF NOT EXISTS plain (a int)', ['not_undoable']],
    ['DROP TABLE IF EXISTS gone', 'CREATE TABLE IF NOT EXISTS gone (a int)', ['not_undoable']],
    ['TRUNCATE TABLE plain', 'SELECT 1', ['not_undoable']],
    ['DELETE FROM t WHERE a=1', 'REPLACE INTO t (id) VALUES (1)', ['not_undoable']],
    ['UPDATE t SET a=1 WHERE a=0', 'UPDATE t SET a=0 WHERE a=1', ['not_undoable']],
    ['INSERT INTO t (a) VALUES (1)', 'DELETE FROM t WHERE a=1', ['not_undoable']],
    ['DELETE CLUSTER c', 'CREATE CLUSTER c', ['not_undoable']],
    ['ALTER TABLE plain DROP COLUMN a', 'ALTER TABLE plain ADD COLUMN a int', ['not_undoable']],
    ['ALTER CLUSTER c UPDATE nodes', 'ALTER CLUSTER c UPDATE nodes', ['not_undoable']],
    ["SET CLUSTER c GLOBAL 'pc.bootstrap' = 1", 'SELECT 1', ['not_undoable']],
  ])('%s  <-  %s', (forward, rollback, codes) => {
    expect(codesOf(forward, rollback, OBSERVED)).toEqual(codes)
  })

  test('the messages say what to do', () => {
    expect(messagesOf('CREATE TABLE x', 'DROP TABLE x')).toContain('write DROP TABLE IF EXISTS x')
    expect(messagesOf('DROP TABLE plain', 'SELECT 1')).toContain('only behind the pivot of an operation')
    expect(messagesOf('CREATE TABLE x', 'DROP TABEL x')).toContain('line 1, column 6')
    expect(messagesOf('DELETE FROM t WHERE id=1', 'INSERT INTO t (id) VALUES (1)')).toContain('write REPLACE')
  })

  test('a statement that cannot be rendered again is still named', () => {
    expect(messagesOf(String.raw`DELETE FROM t WHERE a='\0'`, 'SELECT 1')).toContain('the delete statement')
  })
})

describe('assertRollback', () => {
  test('returns both parsed', () => {
    const { forward, rollback } = assertRollback('CREATE CLUSTER c', 'DELETE CLUSTER c', NOTHING_OBSERVED)
    expect([forward, rollback]).toEqual([
      [{ kind: 'create_cluster', cluster: 'c', path: null, options: null }],
      [{ kind: 'delete_cluster', cluster: 'c' }],
    ])
  })

  test('throws every problem and a rollback that would do', () => {
    const act = (): unknown =>
      assertRollback('CREATE TABLE x; CREATE TABLE y', 'DROP TABLE x; DROP TABLE y', NOTHING_OBSERVED)
    expect(act).toThrow(InputError)
    expect(act).toThrow(expect.objectContaining({ code: 'rollback_invalid', field: 'rollback' }))
    expect(act).toThrow(/IF EXISTS x.*IF EXISTS y.*DROP TABLE IF EXISTS y; DROP TABLE IF EXISTS x$/)
  })

  test('suggests nothing where there is nothing', () => {
    expect(suggestRollback('DROP TABLE x', NOTHING_OBSERVED)).toBeNull()
    expect(suggestRollback('nonsense', NOTHING_OBSERVED)).toBeNull()
    expect(suggestRollback('SELECT 1', NOTHING_OBSERVED)).toBeNull()
    expect(suggestRollback('CREATE TABLE plain', OBSERVED)).toBeNull()
  })
})

describe('properties', () => {
  const undoable = fc
    .oneof(STATEMENTS.create_table, STATEMENTS.create_cluster, STATEMENTS.join_cluster)
    .chain((made) => fc.oneof(fc.constant(made), STATEMENTS.alter_cluster, STATEMENTS.insert, anyStatement))
    // The daemon takes no cluster prefix in a definition.
    .filter((statement) => statement.kind !== 'create_table' || statement.table.cluster === null)
    .filter((statement) => inverseOf(statement) !== null)

  test('the inverse of a statement is a valid rollback of it', () => {
    fc.assert(
      fc.property(undoable, (forward) => {
        const inverse = inverseOf(forward)
        const rollback = inverse === null ? '' : renderStatement(inverse)
        expect(messagesOf(renderStatement(forward), rollback)).toBe('')
      }),
      { numRuns: 500 },
    )
  })

  test('the inverses of several statements are a valid rollback of all, but only in reverse order', () => {
    const scripts = fc.uniqueArray(undoable, {
      minLength: 2,
      maxLength: 4,
      selector: (statement) =>
        'table' in statement ? statement.table?.name : 'cluster' in statement ? statement.cluster : '',
    })
    fc.assert(
      fc.property(scripts, (statements) => {
        const forward = statements.map((statement) => renderStatement(statement)).join(';')
        const inverses = (inverseOfScript(statements) ?? []).map((statement) => renderStatement(statement))
        expect(messagesOf(forward, inverses.join(';'))).toBe('')
        expect(codesOf(forward, inverses.toReversed().join(';'))).toContain('wrong_order')
        expect(codesOf(forward, inverses.slice(1).join(';'))).toEqual(
          expect.arrayContaining([expect.stringMatching(/incomplete|wrong_order/)]),
        )
      }),
      { numRuns: 300 },
    )
  })

  test('a rollback of something else is never valid', () => {
    fc.assert(
      fc.property(undoable, undoable, (forward, other) => {
        const inverse = inverseOf(other)
        const undone = inverseOf(forward)
        if (inverse === null || undone === null) return
        const [rollback, right] = [renderStatement(inverse), renderStatement(undone)]
        fc.pre(rollback !== right)
        expect(codesOf(renderStatement(forward), rollback)).not.toEqual([])
      }),
      { numRuns: 500 },
    )
  })
})
