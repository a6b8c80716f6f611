// When certificates are renewed, by a clock of the test: in time, and when it was put back before they begin.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runRenewal } from '../../src/client/renewal.ts';
import { parsePeerCertificate } from '../../src/identity/certificate.ts';
import type { Identity } from '../../src/identity/identity-folder.ts';
import { certify, createTestNetwork, testNowMs } from '../support/identity-network.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { SeededRandom } from '../support/seeded.ts';

const hourMs = 3_600_000;

/** The hours at which a member renews twice whose certificate of a week was issued at the given hour. */
const renewalHours = async (issuedHour: number): Promise<readonly [number, number]> => {
  const network = await createTestNetwork();
  const clock = new ManualClock(testNowMs);
  const issue = async (nowMs: number): Promise<Identity> => {
    const der = await certify(network, network.members.node, { lifeMs: 7 * 24 * hourMs, nowMs });
    return { claims: parsePeerCertificate(der) } as Identity;
  };
  let identity = await issue(testNowMs + issuedHour * hourMs);
  const hours: number[] = [];
  const ended = new AbortController();
  await runRenewal({
    identity: () => identity,
    renew: () => {
      hours.push((clock.nowMs() - testNowMs) / hourMs);
      if (hours.length === 2) ended.abort();
      return issue(clock.nowMs());
    },
    onRenewed: (next) => {
      identity = next;
    },
    ...{ clock, random: new SeededRandom(1), signal: ended.signal },
  });
  return [hours[0] ?? Number.NaN, hours[1] ?? Number.NaN];
};

test('a certificate of a week is renewed after 84 to 135 hours, and so is the next', async () => {
  const [first, second] = await renewalHours(0);
  assert.ok(first >= 84 && first <= 135, `${first}`);
  assert.ok(second - first >= 84 && second - first <= 135, `${second}`);
});

// A network that ran for a while with a clock a month ahead did not come up any more when the clock had been put right.
test('a certificate that has not begun is renewed at once, and the next one in time', async () => {
  const [first, second] = await renewalHours(30 * 24);
  assert.equal(first, 0);
  assert.ok(second >= 84 && second <= 135, `${second}`);
});
