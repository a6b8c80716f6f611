// Log lines: parseable, bounded, without secrets, and never a reason for a role to fail.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OperaError } from '../../src/errors/errors.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import { createLogger, errorFacts, type LogLevel } from '../../src/runtime/log.ts';

const clock: Clock = {
  nowMs: () => 0,
  monotonicMs: () => 0,
  sleep: () => Promise.resolve(),
  after: () => () => undefined,
};

const record = (level: LogLevel = 'info') => {
  const lines: string[] = [];
  const logger = createLogger({ role: 'node', clock, level, write: (line) => void lines.push(line) });
  return { logger, lines };
};

test('a line is one JSON object with time, level, role, event and facts', () => {
  const { logger, lines } = record();
  logger.with({ zone: 'attic' }).info('layout-retired', { number: 7, owners: ['a', 'b'], sequence: 2n ** 60n });
  assert.equal(lines.length, 1);
  assert.deepEqual(JSON.parse(lines[0] ?? ''), {
    time: '1970-01-01T00:00:00.000Z',
    level: 'info',
    role: 'node',
    event: 'layout-retired',
    zone: 'attic',
    number: 7,
    owners: ['a', 'b'],
    sequence: '1152921504606846976',
  });
  assert.ok(lines[0]?.endsWith('}\n'));
});

test('levels below the chosen one are dropped', () => {
  const { logger, lines } = record('warn');
  logger.debug('a');
  logger.info('b');
  logger.warn('c');
  logger.error('d');
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).event),
    ['c', 'd'],
  );
});

test('facts cannot forge the fields of a line or a second line', () => {
  const { logger, lines } = record();
  logger.info('real', { event: 'forged', time: 'x', text: 'a\n{"event":"forged"}' });
  assert.equal(lines.join('').split('\n').length, 2);
  assert.equal(JSON.parse(lines[0] ?? '').event, 'real');
});

test('long facts are cut and secrets are removed by their shape', () => {
  const { logger, lines } = record();
  logger.info('x', {
    long: 'y'.repeat(100_000),
    url: 'redis://:secret@h',
    code: 'opera1.aaaaaaaa.bbbbbbbb.cccccccc@h:1',
  });
  const line = lines[0] ?? '';
  assert.ok(line.length < 1000);
  assert.ok(!line.includes('secret') && !line.includes('cccccccc'));
  logger.info('x', { many: Array.from({ length: 1000 }, (_, index) => index) });
  assert.equal(JSON.parse(lines[1] ?? '').many.length, 33);
});

test('a writer that throws does not stop the role', () => {
  const logger = createLogger({
    role: 'node',
    clock,
    write: () => {
      throw new Error('disk full');
    },
  });
  logger.error('x');
});

test('a foreign error is logged without its message, which may quote data', () => {
  const facts = errorFacts(
    new OperaError('internal', 'an internal error', { cause: new SyntaxError('near "Sol,4.83"') }),
  );
  assert.equal(facts.code, 'internal');
  assert.equal(facts.errorName, 'SyntaxError');
  assert.ok(!JSON.stringify(facts).includes('Sol'));
  assert.equal(errorFacts(new OperaError('no-space', 'full')).message, 'full');
  assert.equal(errorFacts('text').errorName, 'string');
});
