// Errors on the wire: of the closed table, without secrets going out and without trust in what comes in.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ErrorCode, errorTable, OperaError } from '../../src/errors/errors.ts';
import { decodeError, encodeError } from '../../src/wire/error-body.ts';

const codes = Object.keys(errorTable) as ErrorCode[];
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

test('a refusal comes back with its code, words, details and request id', () => {
  const sent = encodeError(new OperaError('conflict', 'the name moved', { details: { sequence: '7' } }), 'abc');
  assert.equal(sent.status, 409);
  const got = decodeError(sent.status, bytesOf(sent.body));
  assert.deepEqual(
    [got.code, got.message, got.details, got.requestId],
    ['conflict', 'the name moved', { sequence: '7' }, 'abc'],
  );
});

test('a 5xx carries only its code, the sentence of the table and the request id', () => {
  for (const code of codes.filter((each) => errorTable[each].status >= 500)) {
    const thrown = new OperaError(code, 'canary', {
      details: { canary: 1 },
      hint: 'canary',
      cause: new Error('canary'),
    });
    const { status, body } = encodeError(thrown, 'id');
    assert.equal(status, errorTable[code].status);
    assert.deepEqual(JSON.parse(body), { code, message: errorTable[code].title, requestId: 'id' });
  }
});

test('hints, causes and stacks never leave, and what is not ours is an internal error', () => {
  for (const code of codes) {
    const thrown = new OperaError(code, 'words', { hint: 'canary', cause: new Error('canary') });
    assert.doesNotMatch(encodeError(thrown, 'id').body, /canary|stack|\.ts/);
  }
  for (const thrown of [new Error('canary'), 'canary', undefined, null, { message: 'canary' }, 7]) {
    const { status, body } = encodeError(thrown, 'id');
    assert.equal(status, 500);
    assert.doesNotMatch(body, /canary/);
  }
});

test('a body that is none of ours becomes unavailable with the status, and nothing of the body', () => {
  const bodies = [
    '',
    '<html>canary</html>',
    '{"code":"canary","message":"x"}',
    '{"code":"toString","message":"x"}',
    '{"code":"internal"}',
    '{"code":"internal","message":{"canary":1}}',
    '{"code":"internal","code":"forbidden","message":"canary"}',
    'null',
    '[]',
    '\xff\xfe',
  ];
  for (const body of bodies) {
    const error = decodeError(502, bytesOf(body));
    assert.equal(error.code, 'unavailable');
    assert.match(error.message, /502/);
    assert.doesNotMatch(error.message, /canary/);
    assert.equal(error.requestId, undefined);
  }
});

test('long words of a peer are cut', () => {
  const body = JSON.stringify({ code: 'conflict', message: 'x'.repeat(10_000), requestId: 'y'.repeat(10_000) });
  const error = decodeError(409, bytesOf(body));
  assert.ok(error.message.length <= 500 && (error.requestId?.length ?? 0) <= 64);
});

test('any status and bytes give an error of ours', () => {
  fc.assert(
    fc.property(fc.integer(), fc.oneof(fc.uint8Array(), fc.json().map(bytesOf)), (status, bytes) => {
      assert.ok(decodeError(status, bytes) instanceof OperaError);
    }),
    { numRuns: 1_000 },
  );
});
