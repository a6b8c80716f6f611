// The checker itself, on histories whose answer is known.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Call, checkLinearizable, type NameOperation } from '../support/linearizability.ts';
import { SeededRandom } from '../support/seeded.ts';

const ok = (start: number, end: number, operation: NameOperation): Call => ({ operation, start, end, outcome: 'ok' });
const unknown = (start: number, operation: NameOperation): Call => ({
  operation,
  start,
  end: start,
  outcome: 'unknown',
});
const no = (start: number, end: number, refusal: NonNullable<Call['refusal']>, operation: NameOperation): Call => ({
  operation,
  start,
  end,
  outcome: 'refused',
  refusal,
});
const put = (value: string, name = 'a'): NameOperation => ({ kind: 'put', name, value });
const get = (value: string | undefined, name = 'a'): NameOperation => ({ kind: 'get', name, value });
const has = (present: boolean, name = 'a'): NameOperation => ({ kind: 'has', name, present });
const remove = (name = 'a'): NameOperation => ({ kind: 'remove', name });
const rename = (name: string, to: string, replace = true): NameOperation => ({ kind: 'rename', name, to, replace });

const good: Readonly<Record<string, readonly Call[]>> = {
  'nothing at all': [],
  'a read of what was put before': [ok(0, 1, put('1')), ok(2, 3, get('1'))],
  'a read beside a put sees either': [ok(0, 9, put('1')), ok(1, 2, get(undefined)), ok(3, 4, get('1'))],
  'puts at once, seen in one order by all': [
    ok(0, 9, put('1')),
    ok(1, 8, put('2')),
    ok(2, 3, get('2')),
    ok(10, 11, get('1')),
  ],
  'a put without an answer that never happened': [unknown(0, put('1')), ok(1, 2, get(undefined))],
  'a put without an answer that happened late': [
    unknown(0, put('1')),
    ok(1, 2, get(undefined)),
    ok(3, 4, put('2')),
    ok(5, 6, get('1')),
  ],
  'a rename moves the value': [
    ok(0, 1, put('1')),
    ok(2, 3, rename('a', 'b')),
    ok(4, 5, get('1', 'b')),
    ok(6, 7, get(undefined)),
  ],
  'a refusal that tells the state': [
    no(0, 1, 'not-found', remove()),
    ok(2, 3, put('1')),
    no(4, 5, 'exists', { ...put('2'), ifAbsent: true } as NameOperation),
    no(6, 7, 'conflict', { ...put('3'), ifValue: '0' } as NameOperation),
    no(8, 9, 'exists', rename('b', 'a', false)),
  ],
  'a condition that held': [
    ok(0, 1, put('1')),
    ok(2, 3, { ...put('2'), ifValue: '1' } as NameOperation),
    ok(4, 5, get('2')),
  ],
  'a listing beside a remove': [ok(0, 1, put('1')), ok(2, 9, remove()), ok(3, 4, has(true)), ok(5, 6, has(false))],
  'names apart do not order each other': [
    ok(0, 9, put('1')),
    ok(1, 2, put('2', 'b')),
    ok(3, 4, get('2', 'b')),
    ok(5, 6, get(undefined)),
  ],
};

const bad: Readonly<Record<string, readonly Call[]>> = {
  'a stale read after the answer': [ok(0, 1, put('1')), ok(2, 3, put('2')), ok(4, 5, get('1'))],
  'a lost write': [ok(0, 1, put('1')), ok(2, 3, get(undefined))],
  'a value nobody put': [ok(0, 1, put('1')), ok(2, 3, get('9'))],
  'reads that go back': [ok(0, 9, put('1')), ok(1, 2, get('1')), ok(3, 4, get(undefined))],
  'a removed name that comes back': [
    ok(0, 1, put('1')),
    ok(2, 3, remove()),
    ok(4, 5, get(undefined)),
    ok(6, 7, get('1')),
  ],
  'a remove of nothing that said ok': [ok(0, 1, remove())],
  'two creators of one name': [
    ok(0, 9, { ...put('1'), ifAbsent: true } as NameOperation),
    ok(1, 8, { ...put('2'), ifAbsent: true } as NameOperation),
  ],
  'a refused put that happened': [
    ok(0, 1, put('1')),
    no(2, 3, 'exists', { ...put('2'), ifAbsent: true } as NameOperation),
    ok(4, 5, get('2')),
  ],
  'a put without an answer that happened before it was called': [ok(0, 1, get('1')), unknown(2, put('1'))],
  'a value in two places after a rename': [
    ok(0, 1, put('1')),
    ok(2, 3, rename('a', 'b')),
    ok(4, 5, get('1')),
    ok(6, 7, get('1', 'b')),
  ],
  'a listing that forgot': [ok(0, 1, put('1')), ok(2, 3, has(false))],
  'a write seen, then unseen, without an answer': [unknown(0, put('1')), ok(1, 2, get('1')), ok(3, 4, get(undefined))],
};

describe('linearizability', () => {
  for (const [title, calls] of Object.entries(good)) {
    test(`accepts: ${title}`, () => assert.equal(checkLinearizable(calls).kind, 'linearizable'));
  }
  for (const [title, calls] of Object.entries(bad)) {
    test(`refuses: ${title}`, () => assert.equal(checkLinearizable(calls).kind, 'violated'));
  }

  test('a violation names the call that has no place', () => {
    const stale = ok(4, 5, get('1'));
    const verdict = checkLinearizable([ok(0, 1, put('1')), ok(2, 3, put('2')), stale]);
    assert.deepEqual(verdict.kind === 'violated' && [verdict.names, verdict.stuck], [['a'], stale]);
  });

  test('a search that grows too far says that it decided nothing', () => {
    const calls = [...Array.from({ length: 12 }, (_, at) => unknown(at, put(`${at}`))), ok(20, 21, get('nobody'))];
    assert.equal(checkLinearizable(calls, 100).kind, 'undecided');
    assert.equal(checkLinearizable(calls).kind, 'violated');
  });

  test('histories of a true register are accepted, and refused once a read is altered', () => {
    for (let seed = 0; seed < 100; seed++) {
      const random = new SeededRandom(`register ${seed}`);
      const calls: Call[] = [];
      let value: string | undefined;
      for (let at = 0; at < 40; at++) {
        // Each takes effect at 10 at + 5, within a call that began up to two operations before and ends up to two
        // after.
        const [start, end] = [10 * at + 5 - random.below(20), 10 * at + 5 + random.below(20)];
        if (random.below(2) === 0) {
          value = `${at}`;
          calls.push(random.below(5) === 0 ? unknown(start, put(value)) : ok(start, end, put(value)));
        } else calls.push(ok(start, end, get(value)));
      }
      assert.equal(checkLinearizable(calls).kind, 'linearizable', `seed ${seed}`);
      const altered = [...calls, ok(500, 501, get('nobody'))];
      assert.notEqual(checkLinearizable(altered, 2_000).kind, 'linearizable', `seed ${seed}`);
    }
  });
});
