// `opera status`: one word of health and why, then the facts. Exit 8 when it works below target, 5 when it does not.
import { openProfile } from '../client/connection.ts';
import type { NetworkStatus, Verdict } from '../client/verdict.ts';
import { OperaError } from '../errors/errors.ts';
import { formatTime } from '../runtime/clock.ts';
import { defineVerb } from './_verb.ts';
import { waitForHealth } from './_wait-health.ts';

/** Times of the answer (`joinedMs`) as --json tells times (`joined`, RFC 3339); null for one that never was. */
const withTimes = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withTimes);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) =>
    typeof inner === 'number' && key.endsWith('Ms')
      ? [key.slice(0, -2), inner > 0 ? formatTime(inner) : null]
      : [key, withTimes(inner)],
  );
  return Object.fromEntries(entries);
};

/** This verb has shown what is missing. */
const hint = 'Which nodes: opera nodes ls; what led to it: opera events --since 1h';

const linesOf = (status: NetworkStatus, verdict: Verdict): string[] => {
  const why = verdict.reasons.length > 0 ? `: ${verdict.reasons.join('; ')}` : '';
  const nodes = status.members.filter(({ role, revoked, state }) => role === 'node' && !revoked && state !== 'removed');
  const states = new Map<string, number>();
  for (const { state } of nodes) states.set(state, (states.get(state) ?? 0) + 1);
  const others = [...states].filter(([state]) => state !== 'up').map(([state, count]) => `, ${count} ${state}`);
  return [
    `${verdict.health}${why}`,
    `network    ${status.networkId}`,
    `files      ${status.files}${status.pending > 0 ? ` (${status.pending} pending)` : ''}`,
    `nodes      ${states.get('up') ?? 0} of ${nodes.length} up${others.join('')}`,
    `copies     ${status.layoutCopies} of ${status.copies}, ${status.layoutWriteCopies} to write`,
    `layout     ${status.layoutNumber}, retired up to ${status.retiredUpTo}`,
    `leader     ${status.leader ? `${status.leader.memberId}, epoch ${status.leader.epoch}` : 'none'}`,
    `roster     ${status.rosterNumber}, key epoch ${status.keyEpoch}, registry life ${status.incarnation}`,
    `index      ${status.indexMode}`,
  ];
};

export const command = defineVerb({
  examples: ['opera status', 'opera status --wait healthy --timeout 60s', 'opera status --json'],
  details:
    'Exit 0: healthy. Exit 8: it works below its target. Exit 5: writes or reads fail. --wait also waits while the ' +
    'network cannot be reached; --timeout ends it with 124.',
  flags: {
    wait: { type: 'enum', options: ['healthy', 'degraded'], summary: 'wait until it is at least this well' },
  },
  run: async ({ flags, config, io, signal, clock }) => {
    const connection = await openProfile(config.home);
    try {
      const wanted = flags.wait;
      const { status, verdict } = await waitForHealth({
        read: () => connection.call('network.status', {}, { signal }),
        ...{ wanted, clock, signal },
        note: (text) => io.note(text),
      });
      const { members, nodes, alarms, nowMs, ...facts } = status;
      await io.document(
        {
          health: verdict.health,
          reasons: verdict.reasons,
          ...facts,
          rosterNumber: status.rosterNumber.toString(),
          leader: status.leader ? { ...status.leader, epoch: status.leader.epoch.toString() } : null,
          members: withTimes(members),
          nodes: withTimes(nodes),
          alarms: withTimes(alarms),
          at: formatTime(nowMs),
        },
        { lines: linesOf(status, verdict), id: verdict.health },
      );
      const is = (code: 'degraded' | 'unavailable') => new OperaError(code, verdict.reasons.join('; '), { hint });
      if (verdict.health === 'degraded' && wanted === undefined) throw is('degraded');
      if (verdict.health === 'down') throw is('unavailable');
    } finally {
      await connection.close();
    }
  },
});
