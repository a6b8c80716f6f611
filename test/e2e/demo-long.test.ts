// The demo as a newcomer runs it, which `npm start` does too: it passes and leaves neither files nor processes behind.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { after, test } from 'node:test';
import { exits } from '../support/local-net.ts';
import { Sandbox } from '../support/sandbox.ts';

const sandbox = new Sandbox();
after(() => sandbox.close());

test('the demo passes, shows what it types, and cleans up after itself', async () => {
  const temporary = sandbox.path('tmp');
  mkdirSync(temporary);
  const ran = await sandbox.opera(['demo'], { env: { TMPDIR: temporary } });
  exits(ran, 0, 'the demo');
  assert.match(ran.stdout, /\$ opera put -r survey/);
  assert.match(ran.stdout, /kill -9/);
  assert.match(ran.stdout, /Sirius +101\.2872 +-16\.7161 +-1\.44/);
  assert.match(ran.stderr, /the demo passed in \d+ s/);
  assert.deepEqual(readdirSync(temporary), []);
  assert.deepEqual(sandbox.processes(), []);
});
