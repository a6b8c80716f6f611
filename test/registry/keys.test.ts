// The keys in Redis: whatever stands at their ends, no two of them are the same key.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { publicKeys, redisKeys } from '../../src/registry/keys.ts';

const patterns = new Set<string>([redisKeys.everything]);
const keys = Object.values(redisKeys).filter((key) => !patterns.has(key));
/** Beginnings of keys, to which the scripts append a name, an address or an id. */
const beginnings = keys.filter((key) => key.endsWith(':'));

test('no name, address or id makes two keys one', () => {
  assert.equal(new Set(keys).size, keys.length);
  assert.ok(beginnings.length > 5);
  for (const beginning of beginnings) {
    const within = keys.filter((key) => key !== beginning && key.startsWith(beginning));
    assert.deepEqual(within, [], `${beginning} is the beginning of another key, which a name could end`);
  }
});

test('the public keys are spelled as other programs read them', () => {
  assert.equal(publicKeys.nodes, 'network:nodes');
  assert.equal(publicKeys.data, 'network:data');
  assert.equal(publicKeys.dataOfNode('192.0.2.1:7400'), 'network:data:node:192.0.2.1:7400');
  assert.equal(publicKeys.nodesOfFile('a:b*'), 'network:data:file:a:b*');
});
