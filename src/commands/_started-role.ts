// What starting a role gives to the process that runs it, whichever role it is.
import type { Handlers, Peer } from '../client/transport.ts';
import type { Identity } from '../identity/identity-folder.ts';

/** One role as it runs: what the listener serves and what its loops do. */
export interface StartedRole {
  readonly handlers: Handlers;
  readonly joinHandlers?: Handlers;
  readonly notReady: () => string | undefined;
  readonly admit?: (peer: Peer) => void;
  readonly run: () => Promise<void>;
  /** Gets and keeps a new certificate when the role does that in its own way. */
  readonly renew?: () => Promise<Identity>;
  /** What must be done before the process ends: give leases up, close stores. */
  readonly end: () => Promise<void>;
}
