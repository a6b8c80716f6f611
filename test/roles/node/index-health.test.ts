// What a node says of its index in heartbeats: nothing while it works, however much that is at the moment.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limits } from '../../../src/model/limits.ts';
import { IndexHealth } from '../../../src/roles/node/index-health.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const idle: { waiting: number; failed: number; halted: string | undefined } = {
  ...{ waiting: 0, failed: 0, halted: undefined },
};

test('an index that stands still, failed at chunks or is long behind says so, and nothing when it is well', () => {
  const clock = new ManualClock();
  let progress = idle;
  const health = new IndexHealth(
    {
      get progress() {
        return progress;
      },
    },
    clock,
  );
  assert.equal(health.trouble(), undefined);
  progress = { ...idle, waiting: 7 };
  assert.equal(health.trouble(), undefined, 'it has only begun');
  clock.advance(limits.indexPatienceMs - 1);
  assert.equal(health.trouble(), undefined);
  clock.advance(1);
  assert.equal(health.trouble(), 'behind, 7 chunks to index');
  progress = { ...idle, failed: 1 };
  assert.equal(health.trouble(), '1 chunk could not be indexed');
  progress = { ...idle, waiting: 1, halted: 'x'.repeat(1_000) };
  assert.equal(health.trouble(), 'x'.repeat(limits.indexTroubleMax));
  progress = idle;
  assert.equal(health.trouble(), undefined);
});
