// Worker threads: calls, their errors, and what happens to waiting calls when a thread ends.
// This file is its own thread: in a worker it serves, in the main thread it tests.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OperaError } from '../../src/errors/errors.ts';
import {
  defineWorkerService,
  givingAway,
  isWorkerThread,
  runWorkerThread,
  startWorker,
  wholeBuffers,
} from '../../src/runtime/worker.ts';
import { rejects } from '../support/refuses.ts';

defineWorkerService('echo', (options: { readonly fails?: boolean }) => {
  if (options.fails) throw new OperaError('config', 'no such file');
  let last = new Uint8Array(0);
  return {
    give: (length: number) => {
      last = new Uint8Array(length).fill(7);
      return givingAway({ body: last }, last);
    },
    kept: () => last.length,
    echo: (value: unknown) => value,
    later: (value: unknown) => new Promise((resolve) => setImmediate(() => resolve(value))),
    never: () => new Promise(() => undefined),
    refuse: () => {
      throw new OperaError('no-space', 'the disk is full');
    },
    crash: () => {
      throw new TypeError('not a function');
    },
    unsendable: () => () => undefined,
    die: () => process.exit(3),
    explode: () => void setImmediate(() => assert.fail('boom')),
  };
});

const entry = new URL(import.meta.url);
const open = (options: unknown = {}, service = 'echo') => startWorker(service, options, entry);
/** Workers hold this process only while a call waits for them. */
const isHeld = (): boolean => process.getActiveResourcesInfo().includes('MessagePort');

const defineTests = (): void => {
  test('the main thread is no worker thread', () => {
    assert.equal(isWorkerThread(), false);
  });

  test('calls are answered, bytes by value, each with its own answer whatever the order', async () => {
    const worker = open();
    const answers = await Promise.all([
      worker.call('later', ['first']),
      worker.call('echo', [new Uint8Array([1, 2])]),
      worker.call('echo', [{ deep: [1n, undefined, null] }]),
    ]);
    assert.deepEqual(answers, ['first', new Uint8Array([1, 2]), { deep: [1n, undefined, null] }]);
    await worker.close();
  });

  test('an answer that comes while the thread is being ended does not keep its end from being seen', async () => {
    // What holds this process then is the end of the thread alone.
    for (let turn = 0; turn < 5; turn++) {
      const worker = open();
      await worker.call('echo', [0]);
      const waiting = worker.call('echo', [turn]);
      waiting.catch(() => undefined);
      // The answer is there, and not read yet, when the thread is told to end.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
      await worker.close();
    }
  });

  test('a transferred buffer is given away', async () => {
    const worker = open();
    const bytes = new Uint8Array([1, 2, 3]);
    assert.deepEqual(await worker.call('echo', [bytes], [bytes.buffer]), new Uint8Array([1, 2, 3]));
    assert.equal(bytes.length, 0);
    await worker.close();
  });

  test('what a service gives away arrives whole, and is not its own any more', async () => {
    const worker = open();
    const large = (await worker.call('give', [100_000])) as { body: Uint8Array };
    assert.deepEqual([large.body.length, large.body.every((byte) => byte === 7)], [100_000, true]);
    assert.equal(await worker.call('kept', []), 0);
    // Shorter ones, and parts of larger ones, are copied.
    await worker.call('give', [100]);
    assert.equal(await worker.call('kept', []), 100);
    assert.deepEqual(wholeBuffers([undefined, large.body.subarray(1), new Uint8Array(9)]), []);
    assert.deepEqual(wholeBuffers([large.body, large.body]), [large.body.buffer]);
    await worker.close();
  });

  test('our errors keep their code and words; others are internal and keep their stack as the cause', async () => {
    const worker = open();
    const ours = await rejects(worker.call('refuse', []), 'no-space');
    assert.equal(ours.message, 'the disk is full');
    const other = await rejects(worker.call('crash', []), 'internal');
    assert.match((other.cause as Error).message, /TypeError: not a function/);
    assert.equal(await worker.call('echo', [1]), 1);
    await worker.close();
  });

  test('unknown methods and services, and a service that cannot start, fail the calls with a reason', async () => {
    const worker = open();
    await rejects(worker.call('toString', []), 'internal');
    assert.match((await rejects(worker.call('nothing', []), 'internal')).message, /no method/);
    const unknown = open({}, 'nobody');
    assert.match((await rejects(unknown.call('echo', []), 'internal')).message, /no worker service/);
    const failing = open({ fails: true });
    for (let i = 0; i < 2; i++) await rejects(failing.call('echo', [1]), 'config');
    await Promise.all([worker.close(), unknown.close(), failing.close()]);
  });

  test('what cannot be sent there or back fails that call alone and holds nothing', async () => {
    const worker = open();
    await rejects(worker.call('echo', [() => undefined]), 'internal');
    await rejects(worker.call('unsendable', []), 'internal');
    assert.equal(await worker.call('echo', [1]), 1);
    await worker.close();
  });

  test('a thread that dies or throws outside a call fails what waits and what comes', async () => {
    for (const end of ['die', 'explode']) {
      const worker = open();
      const waiting = worker.call('never', []);
      const ended = worker.call(end, []);
      await rejects(waiting, 'internal', 'not-ready');
      await ended.catch(() => undefined);
      await rejects(worker.call('echo', [1]), 'internal', 'not-ready');
      await worker.close();
    }
  });

  test('closing fails what waits and what comes with not-ready, and may be repeated', async () => {
    const worker = open();
    assert.equal(await worker.call('echo', [1]), 1);
    const waiting = worker.call('never', []);
    const closed = Promise.all([worker.close(), worker.close()]);
    await rejects(waiting, 'not-ready');
    await closed;
    await rejects(worker.call('echo', [1]), 'not-ready');
  });

  test('an idle worker keeps no process alive, a waiting call does', async () => {
    const worker = open();
    await worker.call('echo', [1]);
    assert.equal(isHeld(), false);
    const waiting = worker.call('never', []);
    assert.equal(isHeld(), true);
    await Promise.all([worker.close(), rejects(waiting, 'not-ready')]);
    assert.equal(isHeld(), false);
  });
};

if (isWorkerThread()) runWorkerThread();
else defineTests();
