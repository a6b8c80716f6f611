// A session: one connection to a network and what its flows share: the view of the network and the sequences seen.
// Keys and rosters that turn out to be too old are fetched here, so that no flow carries that by itself.
import type { Keyring } from '../crypto/keyring.ts';
import type { NetworkId } from '../model/ids.ts';
import type { Connection } from './connection.ts';
import { SeenSequences } from './seen.ts';
import { ClusterView } from './view.ts';

export interface Session {
  readonly connection: Connection;
  readonly networkId: NetworkId;
  readonly view: ClusterView;
  readonly seen: SeenSequences;
}

/** The keyring, refreshed first unless it holds `epoch`. */
export const keyringWith = async (session: Session, epoch: number): Promise<Keyring> => {
  const { connection } = session;
  if (!connection.keys.hasKeys || !connection.keys.keyring.has(epoch)) await connection.refresh();
  return connection.keys.keyring;
};

/** Opens a session on a connection; closeSession ends both. */
export const createSession = async (connection: Connection): Promise<Session> => {
  const { networkId } = connection.profile;
  const view = new ClusterView({
    networkId,
    clock: connection.clock,
    roster: () => connection.rosters.roster,
    refresh: () => connection.refresh(),
  });
  return { connection, networkId, view, seen: await SeenSequences.load(connection.home) };
};

/** Keeps what was seen. A home that cannot be written (a full disk) does not fail what was done already. */
export const closeSession = async (session: Session): Promise<void> => {
  await session.seen.save().catch(() => undefined);
  await session.connection.close();
};
