// What every role is given by the composition root: who it is, whom it trusts, and the seams. Roles never construct
// adapters, read the environment or open sockets by themselves, so that the simulator can run them as they are.
import type { RosterKeeper } from '../client/roster-keeper.ts';
import type { Transport } from '../client/transport.ts';
import type { Identity } from '../identity/identity-folder.ts';
import type { MemberId, NetworkId } from '../model/ids.ts';
import type { Role } from '../model/roles.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import type { RoleMetrics } from './metrics.ts';

export interface RoleContext {
  readonly networkId: NetworkId;
  readonly role: Role;
  readonly memberId: MemberId;
  /** The identity as it is now: renewal replaces the certificate, never the key. */
  readonly identity: () => Identity;
  readonly rosters: RosterKeeper;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: RoleMetrics;
  /** Random id of this process, 32 hex characters; several processes may share an identity. */
  readonly instance: string;
  /** Aborts when the role stops; every loop and outward call ends with it. */
  readonly stopping: AbortSignal;
}
