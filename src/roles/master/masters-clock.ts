// The clock that tickets are dated by. Nodes know one clock of the masters, as the leader's heartbeats show it; a
// master that does not lead asks the leader what that clock says, and goes on with it when it leads itself. So it is
// the same by whichever master a ticket comes, however far apart the machines' own clocks are.
// It dates tickets and nothing else: order comes from the registry, leases and graces from monotonic clocks.
import { limits } from '../../model/limits.ts';
import { destinationOf } from '../peer-book.ts';
import type { MasterCore } from './core.ts';
import type { Leadership } from './leadership.ts';

/** One look at the leader's clock; what could not be asked stays as it was last heard. Rejects as the call does. */
export const followLeadersClock = async (core: MasterCore, leadership: Leadership): Promise<void> => {
  const { transport, clock, instance, stopping } = core.context;
  const { lease } = leadership;
  if (leadership.holdsLease || !lease || lease.released || lease.instance === instance) return;
  const sentMs = clock.nowMs();
  const to = destinationOf({ memberId: lease.holder, address: lease.address });
  const options = { timeoutMs: limits.probeTimeoutMs, signal: stopping };
  const { answer } = await transport.call(to, 'ping', {}, options);
  core.ticketOffsetMs = Math.round(answer.nowMs - (sentMs + clock.nowMs()) / 2);
};
