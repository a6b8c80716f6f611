// The health of a network in one word and its reasons, as a pure function of what a master tells.
// healthy: everything works at its target; degraded: it works below target; down: writes or reads fail.
import { formatByteSize, formatCount } from '../model/units.ts';
import type { AnswerOf } from '../wire/routes.ts';

export type NetworkStatus = AnswerOf<'network.status'>;

export interface Verdict {
  readonly health: 'healthy' | 'degraded' | 'down';
  /** In the order of their weight; empty when healthy. */
  readonly reasons: readonly string[];
}

/** A heartbeat older than this is no sign of life. */
const heartbeatMaxMs = 10_000;

const copiesOf = (count: number): string => formatCount(count, 'copy', 'copies');

/** What stops reads or writes altogether. */
const fatalReasons = (status: NetworkStatus, reachable: number): string[] => {
  if (status.layoutNumber === 0) return ['no node has joined yet'];
  const reasons: string[] = [];
  if (reachable < status.layoutWriteCopies) {
    reasons.push(`${formatCount(reachable, 'node')} up, ${status.layoutWriteCopies} are needed to write`);
  }
  if (status.registryMode === 'safe' || status.registryReason !== undefined) {
    reasons.push(`nothing is committed: ${status.registryReason ?? 'the registry is compared with the nodes'}`);
  }
  return reasons;
};

/** What the layout and its copies lack. */
const copyReasons = (status: NetworkStatus): string[] => {
  const reasons: string[] = [];
  if (status.layoutNumber === 0) return reasons;
  if (status.layoutCopies < status.copies) {
    reasons.push(`${copiesOf(status.layoutCopies)} instead of ${status.copies}: too few nodes`);
  }
  if (status.underReplicated > 0) reasons.push(`${status.underReplicated} of 4096 partitions lack a copy`);
  const left = status.nodes.reduce(
    (sum, { repair }) => ({ chunks: sum.chunks + repair.chunks, bytes: sum.bytes + repair.bytes }),
    { chunks: 0, bytes: 0 },
  );
  const moving = status.layoutNumber - status.retiredUpTo > 1;
  if (left.chunks > 0) reasons.push(`${formatCount(left.chunks, 'chunk')}, ${formatByteSize(left.bytes)} to copy`);
  else if (moving) reasons.push(`layout ${status.layoutNumber} is being filled`);
  if (status.placementsLayout < status.layoutNumber) reasons.push('the public placement keys lag behind the layout');
  return reasons;
};

/** Copies that nodes missed when chunks were stored, as those say who stored them and were heard of lately. */
const owedReasons = (status: NetworkStatus): string[] => {
  const byNode = new Map<string, number>();
  for (const { owed = [], heardMs } of status.nodes) {
    if (heardMs === undefined || status.nowMs - heardMs > heartbeatMaxMs) continue;
    for (const { memberId, chunks } of owed) byNode.set(memberId, (byNode.get(memberId) ?? 0) + chunks);
  }
  return [...byNode].map(
    ([memberId, chunks]) =>
      `${formatCount(chunks, 'chunk')} ${chunks === 1 ? 'waits' : 'wait'} for a copy on ${memberId}`,
  );
};

/** Nodes whose index does not do its work, those with the same trouble together. */
const indexReasons = (status: NetworkStatus): string[] => {
  const byTrouble = new Map<string, string[]>();
  for (const { memberId, indexTrouble } of status.nodes) {
    if (indexTrouble !== undefined) byTrouble.set(indexTrouble, [...(byTrouble.get(indexTrouble) ?? []), memberId]);
  }
  return [...byTrouble].map(([trouble, nodes]) => `index of ${nodes.join(', ')}: ${trouble}`);
};

/**
 * A node that is out, draining or in quarantine is no reason by itself: once its copies are elsewhere the network is
 * whole without it. Down and suspect ones are, because their copies are counted on.
 */
export const judge = (status: NetworkStatus): Verdict => {
  const reasons: string[] = [];
  const nodes = status.members.filter(({ role, revoked, state }) => role === 'node' && !revoked && state !== 'removed');
  const inState = (state: string) => nodes.filter((node) => node.state === state).length;
  const away = inState('down') + inState('out');
  const silent = nodes.filter(({ memberId, state }) => {
    const heard = status.nodes.find((node) => node.memberId === memberId)?.heardMs;
    return state === 'up' && (heard === undefined || status.nowMs - heard > heartbeatMaxMs);
  });
  const fatal = fatalReasons(status, nodes.length - away);
  reasons.push(...status.alarms.map(({ text }) => text));
  if (!status.leader) reasons.push('no master leads');
  if (inState('down') > 0) reasons.push(`${formatCount(inState('down'), 'node')} of ${nodes.length} down`);
  if (inState('suspect') > 0) reasons.push(`${formatCount(inState('suspect'), 'node')} suspected`);
  if (silent.length > 0) reasons.push(`${formatCount(silent.length, 'node')} without a heartbeat`);
  reasons.push(...copyReasons(status), ...owedReasons(status));
  const doubtful = status.nodes.filter(({ sound }) => !sound);
  if (doubtful.length > 0) reasons.push(`${formatCount(doubtful.length, 'node')} with a blank or restored store`);
  const full = status.nodes.filter(({ readOnly }) => readOnly);
  if (full.length > 0) reasons.push(`${formatCount(full.length, 'node')} read-only`);
  reasons.push(...indexReasons(status));
  const others = status.members.filter(
    ({ role, revoked, state }) => (role === 'gateway' || role === 'master') && !revoked && state === 'down',
  );
  if (others.length > 0) reasons.push(others.map(({ role, memberId }) => `${role} ${memberId} is down`).join(', '));
  const all = [...fatal, ...reasons];
  return { health: fatal.length > 0 ? 'down' : all.length > 0 ? 'degraded' : 'healthy', reasons: all };
};
