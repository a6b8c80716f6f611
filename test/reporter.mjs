// Reporter of test/run.mjs: one line a file, failures and skips in full, counts as JSON for the runner.
// It keeps no verdict of its own: node:test decides what failed; this only counts and prints.
import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { inspect } from 'node:util';

const nameOf = (file) => relative(process.cwd(), file ?? 'unknown').replace(/^dist\/test\//, '');

const indent = (text) => text.replace(/^/gm, '    ');

const causeOf = (error) => {
  const cause = error?.code === 'ERR_TEST_FAILURE' && error.cause !== undefined ? error.cause : error;
  if (!(cause instanceof Error)) return typeof cause === 'string' ? cause : inspect(cause, { depth: 4 });
  // An assertion's message holds both sides already; printing its fields would show them twice.
  const text = cause.stack ?? String(cause);
  return cause.cause === undefined ? text : `${text}\ncaused by ${inspect(cause.cause, { depth: 4 })}`;
};

const lineOf = ({ file, tests, failed, ms }) =>
  `  ${failed === 0 ? 'ok  ' : 'FAIL'} ${file}  ${tests} ${tests === 1 ? 'test' : 'tests'}  ${Math.round(ms)} ms\n`;

/** What one outcome prints, after counting it. */
const outcomeOf = (type, data, file, counts) => {
  if (data.skip !== undefined) {
    counts.skipped++;
    return `  SKIP ${file}: ${data.name}${typeof data.skip === 'string' ? ` (${data.skip})` : ''}\n`;
  }
  if (data.todo !== undefined) {
    counts.todo++;
    return `  TODO ${file}: ${data.name}\n`;
  }
  if (type === 'test:pass') {
    counts.pass++;
    return '';
  }
  counts.fail++;
  return `  FAIL ${file}: ${data.name}\n${indent(causeOf(data.details?.error))}\n`;
};

/** Tests are counted, suites are not; a file that registers none is reported by node under its own path. */
export default async function* report(source) {
  const counts = { tests: 0, pass: 0, fail: 0, skipped: 0, todo: 0, empty: 0, durationMs: 0 };
  const started = process.hrtime.bigint();
  // node:test reports the files one after another, also when they run at the same time.
  let current;
  for await (const { type, data } of source) {
    if (type === 'test:stdout' || type === 'test:stderr') yield data.message;
    if ((type !== 'test:pass' && type !== 'test:fail') || data.details?.type === 'suite') continue;
    const file = nameOf(data.file ?? data.name);
    if (type === 'test:pass' && data.nesting === 0 && data.name.endsWith('.test.mjs')) {
      counts.empty++;
      yield `  EMPTY ${file}: the file holds no test\n`;
      continue;
    }
    if (current !== undefined && current.file !== file) yield lineOf(current);
    if (current?.file !== file) current = { file, tests: 0, failed: 0, ms: 0 };
    const failedBefore = counts.fail;
    yield outcomeOf(type, data, file, counts);
    counts.tests++;
    current.tests++;
    current.failed += counts.fail - failedBefore;
    if (data.nesting === 0) current.ms += data.details?.duration_ms ?? 0;
  }
  if (current !== undefined) yield lineOf(current);
  counts.durationMs = Number(process.hrtime.bigint() - started) / 1e6;
  const target = process.env.OPERA_TEST_COUNTS;
  if (target !== undefined) writeFileSync(target, JSON.stringify(counts));
}
