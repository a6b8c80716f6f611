// The forms of the registry's address, and that nothing of a wrong one is repeated.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRedisUrl } from '../../src/registry/redis-url.ts';

const open = { username: undefined, password: undefined, database: 0 };

test('each form of address is understood', () => {
  const tcp = { kind: 'tcp', tls: false, ...open } as const;
  assert.deepEqual(parseRedisUrl('redis://h'), { ...tcp, address: { host: 'h', port: 6379 } });
  assert.deepEqual(parseRedisUrl('redis://h:1/'), { ...tcp, address: { host: 'h', port: 1 } });
  assert.deepEqual(parseRedisUrl('rediss://[::1]:7/3'), {
    ...tcp,
    tls: true,
    database: 3,
    address: { host: '::1', port: 7 },
  });
  const login = { username: 'u', password: 'p:@/ü' };
  assert.deepEqual(parseRedisUrl('redis://u:p:%40%2F%C3%BC@h'), {
    ...tcp,
    ...login,
    address: { host: 'h', port: 6379 },
  });
  const anonymous = { password: 'p', address: { host: 'h', port: 6379 } };
  assert.deepEqual(parseRedisUrl('redis://:p@h'), { ...tcp, ...anonymous });
  assert.deepEqual(parseRedisUrl('unix:///run/r.sock'), { kind: 'unix', path: '/run/r.sock', ...open });
  const sentinels = [
    { host: 'a', port: 1 },
    { host: 'b', port: 26379 },
  ];
  assert.deepEqual(parseRedisUrl('redis+sentinel://:p@a:1,b/main/2'), {
    ...{ kind: 'sentinel', sentinels, name: 'main', username: undefined, password: 'p', database: 2 },
  });
});

test('a malformed address is a configuration error that does not repeat it', () => {
  const wrong = ['', 'h:1', 'http://h', 'redis://', 'redis://h:0', 'redis://h:99999', 'redis://h/x', 'redis://h/1/2'];
  const more = ['redis://h?x=1', 'unix://relative', 'redis+sentinel://a:1', 'redis+sentinel://a,/m', 'redis://a b'];
  for (const url of [...wrong, ...more, 'redis://:secret%zz@h', 'redis://u:secret@h:x']) {
    assert.throws(
      () => parseRedisUrl(url),
      (error: Error & { code?: string }) => error.code === 'config' && !error.message.includes('secret'),
      url,
    );
  }
});
