// Message schemas against anything: a typed value or bad-request, never another error, never an echo.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as v from 'valibot';
import { OperaError } from '../../src/errors/errors.ts';
import { pathOf, routeFacts, routeNames, routesOf } from '../../src/wire/routes.ts';
import * as schema from '../../src/wire/schema.ts';
import { refuses } from '../support/refuses.ts';

const accepts = (of: v.GenericSchema, value: unknown): unknown => schema.parseWith(of, value);
const rejects = (of: v.GenericSchema, ...values: readonly unknown[]): void => {
  for (const value of values) {
    const error = refuses(() => schema.parseWith(of, value), 'bad-request');
    assert.doesNotMatch(error.message, /canary/);
  }
};

test('bytes are canonical base64 of the right length, and nothing else', () => {
  const three = schema.bytes(3);
  assert.deepEqual(accepts(three, 'AQID'), new Uint8Array([1, 2, 3]));
  rejects(three, '', 'AQI=', 'AQIDBA==', 'AQID\n', ' AQID', 'AQ-_', 'A', 'AQI', 3, null, ['AQID']);
  const most = schema.bytes(0, 1);
  assert.deepEqual(accepts(most, 'AQ=='), new Uint8Array([1]));
  rejects(most, 'AQI=');
});

test('one byte string has one spelling: unused bits of base64 are zero', () => {
  rejects(schema.bytes(1), 'AR==', 'Af==');
  rejects(schema.bytes(2), 'AQJ=');
});

test('64-bit numbers are decimal text without leading zeros, below 2^64', () => {
  assert.equal(accepts(schema.u64, '18446744073709551615'), 2n ** 64n - 1n);
  assert.equal(accepts(schema.u64, '0'), 0n);
  rejects(
    schema.u64,
    '18446744073709551616',
    '99999999999999999999',
    '-1',
    '01',
    '+1',
    '1.0',
    '1e3',
    '0x1',
    '',
    ' 1',
    1,
  );
});

test('integers are whole, finite and in range', () => {
  assert.equal(accepts(schema.u32, 2 ** 32 - 1), 2 ** 32 - 1);
  rejects(schema.u32, 2 ** 32, -1, 0.5, 1e308, Number.POSITIVE_INFINITY, Number.NaN, '1', 2 ** 53, null, true);
  rejects(schema.count, 2 ** 53, -1);
});

test('addresses are host and port, without user, path, scheme or spaces', () => {
  for (const good of ['10.0.0.1:7', 'opera.example:65535', '[::1]:80', '[2001:db8::1]:443'])
    accepts(schema.address, good);
  rejects(
    schema.address,
    'canary@10.0.0.1:7',
    'https://h:1',
    'h:1/x',
    'h',
    ':1',
    'h:',
    'h:1 ',
    'h:123456',
    '::1:80',
    'h\n:1',
  );
});

test('an unknown member is refused without repeating its name', () => {
  const strict = v.strictObject({ number: schema.u64 });
  rejects(
    strict,
    { number: '1', canary: 1 },
    { number: '1', 'canary\u001b[31m': 1 },
    { canary: 1 },
    [],
    null,
    'canary',
  );
  const named = refuses(() => schema.parseWith(strict, { number: 1 }), 'bad-request');
  assert.match(named.message, /at number/);
});

test('any value is parsed or refused with bad-request by every request and every answer', () => {
  const value = fc.anything({ maxDepth: 3, withBigInt: true, withNullPrototype: true, withDate: true });
  const keys = fc.constantFrom(
    'names',
    'memberId',
    'number',
    'rosters',
    'ticket',
    'versions',
    'chunks',
    'kind',
    'changes',
  );
  const object = fc.dictionary(keys, value, { maxKeys: 5 });
  fc.assert(
    fc.property(fc.constantFrom(...routeNames), fc.oneof(value, object), (name, sample) => {
      for (const of of [routeFacts(name).request, routeFacts(name).answer]) {
        try {
          schema.parseWith(of, sample);
        } catch (error) {
          assert.ok(error instanceof OperaError, String(error));
          assert.equal(error.code, 'bad-request');
          assert.ok(error.message.length < 600);
        }
      }
    }),
    { numRuns: 2_000 },
  );
});

test('requests without arguments take nothing else', () => {
  const { request } = routeFacts('ping');
  assert.deepEqual(accepts(request, {}), {});
  rejects(request, { a: 1 }, [1], null, 'x', 1);
});

test('paths of routes are distinct, and each route belongs to one listener', () => {
  assert.equal(new Set(routeNames.map(pathOf)).size, routeNames.length);
  for (const path of routeNames.map(pathOf)) assert.match(path, /^\/v1(\/[a-z]+)+$/);
  for (const name of routesOf('gateway', 'join')) {
    assert.equal(routeFacts(name).allow, 'anyone');
    assert.ok(!routesOf('gateway', 'mesh').includes(name));
  }
  for (const name of routeNames) {
    const { allow, listener } = routeFacts(name);
    assert.equal(allow === 'anyone', listener === 'join', `${name} must not be open to anyone on the mesh`);
    if (allow !== 'anyone') assert.ok(allow.length > 0);
  }
});
