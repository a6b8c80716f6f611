// The gateway: the only door. It puts the offices together, answers both listeners, and keeps roster and key boxes of
// the network in step with the registry and the members.
// Stateless besides what every role keeps (identity, roster, key boxes): several gateways serve one network.
import type { KeyKeeper } from '../../client/key-keeper.ts';
import type { Handlers } from '../../client/transport.ts';
import { isOperaError } from '../../errors/errors.ts';
import { limits } from '../../model/limits.ts';
import type { Registry } from '../../registry/registry.ts';
import { errorFacts } from '../../runtime/log.ts';
import { commonHandlers, every, keyHandlers } from '../common.ts';
import type { RoleContext } from '../context.ts';
import { Admission } from './admission.ts';
import { MemberDirectory } from './directory.ts';
import { KeyOffice } from './key-office.ts';
import { KeyRotation } from './key-rotation.ts';
import { Members } from './members.ts';
import { NameWraps } from './name-wraps.ts';
import { Relay } from './relay.ts';
import { RosterOffice } from './roster-office.ts';
import { Tokens } from './tokens.ts';
import { watchHandlers } from './watch.ts';

export interface GatewayDeps {
  readonly registry: Registry;
  readonly keys: KeyKeeper;
  /** `host:port` of the two listeners as others should dial them, the preferred one first. Read when needed. */
  readonly joinAddresses: () => readonly string[];
  readonly meshAddresses: () => readonly string[];
  readonly zone?: string;
  /** Life of the certificates it issues; for tests of renewal. */
  readonly certificateLifeMs?: number;
}

export interface Gateway {
  readonly joinHandlers: Handlers;
  readonly meshHandlers: Handlers;
  /** Undefined when it can do its work. */
  notReady(): string | undefined;
  /** A certificate for this gateway's own key, when it holds the authority's; `not-ready` otherwise. */
  issueOwn(): Promise<Uint8Array>;
  /** Runs the periodic work; resolves when the role has stopped. Call it when both listeners are open. */
  start(): Promise<void>;
}

export const createGateway = (context: RoleContext, deps: GatewayDeps): Gateway => {
  const { registry, keys, joinAddresses, meshAddresses } = deps;
  const directory = new MemberDirectory(context, registry, meshAddresses);
  const rosterOffice = new RosterOffice(context, registry, directory);
  const keyOffice = new KeyOffice(context, registry, keys);
  const relay = new Relay(context, directory);
  const tokens = new Tokens(context, registry, joinAddresses);
  const { certificateLifeMs } = deps;
  const admission = new Admission({
    ...{ context, registry, keys, directory, rosterOffice, keyOffice, joinAddresses },
    ...(certificateLifeMs === undefined ? {} : { certificateLifeMs }),
  });
  const members = new Members({ context, registry, directory, rosterOffice, keyOffice, relay, joinAddresses });
  const nameWraps = new NameWraps(context, registry, keys);
  const rotation = new KeyRotation({ context, registry, keys, directory, rosterOffice, keyOffice, nameWraps });
  const notReady = (): string | undefined => (keys.hasKeys ? undefined : 'no network key is held yet');

  const meshHandlers: Handlers = {
    ...commonHandlers(context, notReady),
    ...members.handlers,
    ...tokens.handlers,
    ...relay.handlers,
    ...rotation.handlers,
    ...keyHandlers(keys),
    ...watchHandlers(context, registry, directory),
  };

  const announceSelf = (): Promise<void> => {
    const { signer, memberId, role } = context.identity();
    const self = { memberId, keyHash: signer.keyHash, role, spki: signer.spki };
    return members.note(self, { addresses: [...meshAddresses()], zone: deps.zone ?? '', capacityBytes: 0 });
  };

  let boxedNumber = 0n;
  let boxedMs = 0;
  const round = async (): Promise<void> => {
    try {
      await rosterOffice.sync();
      await announceSelf();
      const { number } = context.rosters.roster;
      const nowMs = context.clock.monotonicMs();
      // Now and then without cause: a registry that was rebuilt has rosters and no boxes.
      if (number !== boxedNumber || nowMs - boxedMs > limits.keySyncMs) {
        await keyOffice.sync();
        [boxedNumber, boxedMs] = [number, nowMs];
      }
    } catch (error) {
      // Members are kept in step all the same: they need no registry for that.
      if (!isOperaError(error, 'registry-unavailable', 'registry-lost')) throw error;
      context.log.debug('registry-away', errorFacts(error));
    }
    const reached = await rosterOffice.catchUp();
    await keyOffice.learn(reached);
    await keyOffice.handOwed(reached);
  };

  return {
    joinHandlers: admission.handlers,
    meshHandlers,
    notReady,
    issueOwn: () => admission.issueOwn(),
    start: async () => {
      await Promise.all([
        every(context, 'gateway-round', limits.rosterPollMs, round),
        every(context, 'name-wraps', limits.rosterPollMs, () => nameWraps.round()),
      ]);
    },
  };
};
