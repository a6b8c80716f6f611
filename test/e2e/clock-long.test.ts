// A network that was off for a month: brought up with a clock 30 days ahead, every member renews its certificate by
// its key, and all is readable. The clock is libfaketime's; monotonic time stays real.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { SystemClock } from '../../src/runtime/clock.ts';
import { atTime, faketimeLibrary } from '../support/faketime.ts';
import { largeBytes } from '../support/file-tree.ts';
import { exits, LocalNet, parseLine } from '../support/local-net.ts';
import { requiresAll, Sandbox } from '../support/sandbox.ts';

const sandbox = new Sandbox();
after(() => sandbox.close());

const skip = faketimeLibrary === undefined && !requiresAll ? 'libfaketime is not installed' : false;
const dayMs = 24 * 3_600_000;

test('after a month without power everything comes back by its keys', { skip }, async () => {
  const later = atTime('+30d');
  const net = await LocalNet.up(sandbox);
  const bytes = largeBytes(5 << 20, 'month');
  await net.ok(['put', '-', '--name', 'month'], { input: bytes });
  const code = (await net.ok(['token', 'create', '--role', 'client', '-q'])).trim();
  exits(await sandbox.opera(['join', code, '--home', sandbox.path('laptop')]), 0);
  exits(await net.down(), 0);

  await net.upAgain(later);
  const whoami = async (home: string) => {
    const ran = exits(await sandbox.opera(['whoami', '--json', '--home', home], { env: later }), 0);
    return parseLine<{ readonly certificateExpires: string; readonly expired: boolean }>(ran.stdout);
  };
  assert.equal((await whoami(sandbox.path('laptop'))).expired, true, 'the clock of the processes is ahead');
  const home = ['--home', sandbox.path('laptop')];
  const got = exits(await sandbox.opera(['cat', 'month', ...home], { env: later }), 0, 'the laptop');
  assert.ok(got.bytes.equals(bytes));
  assert.equal(await net.ok(['ls'], { env: later }), 'month\n');
  await net.ok(['put', '-', '--name', 'after'], { input: 'a month later', env: later });
  assert.equal(await net.ok(['cat', 'after'], { env: later }), 'a month later');
  await net.ok(['status', '--wait', 'healthy', '--timeout', '180s'], { env: later });
  const clock = new SystemClock();
  for (const folder of [sandbox.path('laptop'), net.home, ...net.facts.processes.map((entry) => entry.folder)]) {
    const { certificateExpires, expired } = await whoami(folder);
    assert.equal(expired, false, folder);
    assert.ok(Date.parse(certificateExpires) - clock.nowMs() > 35 * dayMs, `${folder} until ${certificateExpires}`);
  }
  exits(await net.down(), 0);

  // The clock had been wrong and is put right: all certificates begin in a month, and once nobody renewed them.
  await net.upAgain();
  const back = exits(await sandbox.opera(['cat', 'month', ...home]), 0, 'the laptop, whose clock was right before');
  assert.ok(back.bytes.equals(bytes));
  assert.equal(await net.ok(['cat', 'after']), 'a month later');
  await net.ok(['put', '-', '--name', 'today'], { input: 'with the clock put right' });
  await net.ok(['status', '--wait', 'healthy', '--timeout', '180s']);
  exits(await net.down(), 0);
});
