// The health of a network in one word and its reasons, as a pure function of what a master tells.
// healthy: everything works at its target; degraded: it works below target; down: writes or reads fail.
import type { AnswerOf } from '../wire/routes.ts';

export type NetworkStatus = AnswerOf<'network.status'>;

export interface Verdict {
  readonly health: 'healthy' | 'degraded' | 'down';
  /** In the order of their weight; empty when healthy. */
  readonly reasons: readonly string[];
}

/** A heartbeat older than this is no sign of life. */
const heartbeatMaxMs = 10_000;

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

export const judge = (status: NetworkStatus): Verdict => {
  const fatal: string[] = [];
  const reasons: string[] = [];
  const nodes = status.members.filter(({ role, revoked, state }) => role === 'node' && !revoked && state !== 'removed');
  const away = nodes.filter(({ state }) => state === 'down' || state === 'out');
  const suspects = nodes.filter(({ state }) => state === 'suspect');
  const silent = nodes.filter(({ memberId, state }) => {
    const heard = status.nodes.find((node) => node.memberId === memberId)?.heardMs;
    return state === 'up' && (heard === undefined || status.nowMs - heard > heartbeatMaxMs);
  });
  if (status.layoutNumber === 0) fatal.push('no node has joined yet');
  if (!status.leader) reasons.push('no master leads');
  const reachable = nodes.length - away.length;
  if (status.layoutNumber > 0 && reachable < status.layoutWriteCopies) {
    fatal.push(`${plural(reachable, 'node')} up, ${status.layoutWriteCopies} are needed to write`);
  }
  if (away.length > 0) reasons.push(`${plural(away.length, 'node')} of ${nodes.length} down`);
  if (suspects.length > 0) reasons.push(`${plural(suspects.length, 'node')} suspected`);
  if (silent.length > 0) reasons.push(`${plural(silent.length, 'node')} without a heartbeat`);
  if (status.layoutNumber > 0 && status.layoutCopies < status.copies) {
    reasons.push(
      `${plural(status.layoutCopies, 'copy').replace('copys', 'copies')} instead of ${status.copies}: too few nodes`,
    );
  }
  const full = status.nodes.filter(({ readOnly }) => readOnly);
  if (full.length > 0) reasons.push(`${plural(full.length, 'node')} read-only`);
  const moving = status.layoutNumber - status.retiredUpTo > 1;
  if (moving) reasons.push(`layout ${status.layoutNumber} is being filled`);
  if (status.placementsLayout < status.layoutNumber) reasons.push('the public placement keys lag behind the layout');
  const others = status.members.filter(
    ({ role, revoked, state }) => (role === 'gateway' || role === 'master') && !revoked && state === 'down',
  );
  if (others.length > 0) reasons.push(others.map(({ role, memberId }) => `${role} ${memberId} is down`).join(', '));
  const all = [...fatal, ...reasons];
  return { health: fatal.length > 0 ? 'down' : all.length > 0 ? 'degraded' : 'healthy', reasons: all };
};
