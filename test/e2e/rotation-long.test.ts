// Rotating the network key while files are put and read, with a node killed in the middle of renewing wraps; and a
// client that is revoked and shut out of the new epoch in one go.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { eventually, processPatienceMs } from '../support/eventually.ts';
import { largeBytes } from '../support/file-tree.ts';
import { exits, LocalNet, parseLine, parseLines } from '../support/local-net.ts';
import { Sandbox } from '../support/sandbox.ts';

const sandbox = new Sandbox();
let net: LocalNet;

before(async () => {
  net = await LocalNet.up(sandbox);
});
after(() => sandbox.close());

interface Epoch {
  readonly epoch: number;
  readonly held: boolean;
  readonly newest: boolean;
  readonly made: string | null;
  readonly oldWraps: number | null;
}

const epochs = async (): Promise<Epoch[]> => parseLines<Epoch>(await net.ok(['keys', 'ls', '--json']));

/** Epochs of the key boxes that rest in a member's home. */
const boxEpochs = (home: string): number[] => {
  const { keyBoxes } = parseLine<{ readonly keyBoxes: readonly { readonly bytes: string }[] }>(
    readFileSync(`${home}/keys.json`, 'utf8'),
  );
  return keyBoxes.map(({ bytes }) => Buffer.from(bytes, 'base64').readUInt32BE(2));
};

test('a rotation under load loses nothing, and goes on after a node was killed in the middle of it', async () => {
  const large = largeBytes(9 << 20, 'large');
  await net.ok(['put', '-', '--name', 'large'], { input: large });
  const asked = exits(await net.opera(['keys', 'rotate', '-n']), 0);
  assert.match(asked.stdout, /would begin key epoch 2/);
  exits(await net.opera(['keys', 'rotate'], { input: '' }), 2, 'without --yes');

  let rotating = true;
  const names: string[] = [];
  const load = async (worker: number): Promise<void> => {
    for (let at = 0; rotating; at++) {
      const name = `load/${worker}/${at}`;
      await net.ok(['put', '-', '--name', name], { input: `bytes of ${name}` });
      names.push(name);
      assert.equal(await net.ok(['cat', name]), `bytes of ${name}`);
    }
  };
  const workers = [load(1), load(2)];
  await eventually(() => names.length >= 2, processPatienceMs);
  const rotation = net.ok(['keys', 'rotate', '--yes', '--json', '--no-wait']);
  const { epoch, rotated } = parseLine<{ readonly epoch: number; readonly rotated: boolean }>(await rotation);
  assert.deepEqual([epoch, rotated], [2, true]);
  net.kill('node-2');
  await eventually(() => names.length >= 6, processPatienceMs);
  rotating = false;
  await Promise.all(workers);
  await net.restart('node-2');
  await eventually(async () => (await epochs()).at(-1)?.oldWraps === 0, processPatienceMs);

  const listed = await epochs();
  assert.deepEqual(
    listed.map(({ epoch: number, held, newest, made }) => [number, held, newest, typeof made]),
    [
      [1, true, false, 'string'],
      [2, true, true, 'string'],
    ],
  );
  assert.ok(exits(await net.opera(['cat', 'large']), 0).bytes.equals(large));
  for (const name of names.slice(-3)) assert.equal(await net.ok(['cat', name]), `bytes of ${name}`);
  const again = parseLine<{ readonly epoch: number }>(await net.ok(['keys', 'rotate', '--yes', '--json']));
  assert.equal(again.epoch, 3);
  assert.equal((await epochs()).at(-1)?.oldWraps, 0, 'it waits until all wraps are new');
  assert.ok(exits(await net.opera(['cat', 'large']), 0).bytes.equals(large));
});

test('a client revoked with --rotate is shut out of the new epoch, and the others go on', async () => {
  const code = (await net.ok(['token', 'create', '--role', 'client', '-q'])).trim();
  const home = sandbox.path('leaver');
  exits(await sandbox.opera(['join', code, '--home', home]), 0);
  const { memberId } = parseLine<{ readonly memberId: string }>(
    exits(await sandbox.opera(['whoami', '--json', '--home', home]), 0).stdout,
  );
  const answer = parseLine<{ readonly epoch: number; readonly revoked: boolean }>(
    await net.ok(['members', 'revoke', memberId, '--yes', '--rotate', '--json']),
  );
  assert.deepEqual([answer.epoch, answer.revoked], [4, true]);
  await net.ok(['put', '-', '--name', 'after'], { input: 'sealed after it left' });
  exits(await sandbox.opera(['cat', 'after', '--home', home]), 4);
  assert.deepEqual(boxEpochs(home), [3]);
  assert.equal(await net.ok(['cat', 'after']), 'sealed after it left');
  assert.ok(boxEpochs(net.named('node-1').folder).includes(4), 'a node has the new one');
});
