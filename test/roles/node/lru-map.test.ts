// The map behind a node's caches: it forgets the oldest, and never holds more than its bound.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LruMap } from '../../../src/roles/node/lru-map.ts';

const held = <Key, Value>(map: LruMap<Key, Value>, keys: readonly Key[]): Key[] =>
  keys.filter((key) => map.get(key) !== undefined);

test('the oldest entries go when there are too many, and to get one makes it young', () => {
  const map = new LruMap<string, number>(2);
  map.set('a', 1);
  map.set('b', 2);
  assert.equal(map.get('a'), 1);
  map.set('c', 3);
  assert.deepEqual(held(map, ['a', 'b', 'c']), ['a', 'c']);
  map.delete('a');
  map.delete('a');
  map.set('d', 4);
  assert.deepEqual(held(map, ['a', 'b', 'c', 'd']), ['c', 'd']);
});

test('a bound on bytes holds however large single entries are', () => {
  const map = new LruMap<string, Uint8Array>(100, ({ length }) => length);
  for (const [key, length] of Object.entries({ a: 40, b: 40, c: 20 })) map.set(key, new Uint8Array(length));
  assert.deepEqual(held(map, ['a', 'b', 'c']), ['a', 'b', 'c']);
  // Replaced: what it weighed before counts no more.
  map.set('c', new Uint8Array(10));
  map.set('d', new Uint8Array(10));
  assert.deepEqual(held(map, ['a', 'b', 'c', 'd']), ['a', 'b', 'c', 'd']);
  map.set('e', new Uint8Array(70));
  assert.deepEqual(held(map, ['a', 'b', 'c', 'd', 'e']), ['c', 'd', 'e']);
  map.set('f', new Uint8Array(200));
  assert.deepEqual(held(map, ['c', 'd', 'e', 'f']), ['f']);
  map.set('g', new Uint8Array(1));
  assert.deepEqual(held(map, ['f', 'g']), ['g']);
});
