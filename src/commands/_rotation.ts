// What `keys rotate`, `keys ls` and `members revoke --rotate` share: the order to rotate, and how far the wraps are
// that nodes and gateways then renew. The rotation stands as soon as it is answered; renewing wraps goes on by itself.
import type { Connection } from '../client/connection.ts';
import { randomOperationId } from '../client/ids.ts';
import type { AnswerOf } from '../wire/routes.ts';
import type { VerbBase } from './_verb.ts';

/** The network is asked so often how far it is. */
const pollMs = 500;

export type Rotated = AnswerOf<'keys.rotate'>;

export interface WrapsLeft extends Pick<AnswerOf<'keys.list'>, 'keyEpoch' | 'epochs'> {
  /** Manifests on nodes that can be reached, each copy counted, and those of them under older keys. */
  readonly manifests: number;
  readonly manifestsLeft: number;
  /** Files in the registry, and whether the wraps of all of them were looked at. */
  readonly files: number;
  readonly namesDone: boolean;
  /** Nodes that are away; they renew theirs when they are back. */
  readonly away: readonly string[];
}

export const wrapsLeft = async (connection: Connection, signal: AbortSignal): Promise<WrapsLeft> => {
  const { keyEpoch, epochs, names } = await connection.call('keys.list', {}, { signal });
  const { nodes, members, files } = await connection.call('network.status', {}, { signal });
  const isAway = new Set(
    members
      .filter(({ state, revoked }) => revoked || /^(down|out|removed)$/.test(state))
      .map(({ memberId }) => memberId),
  );
  const here = nodes.filter(({ memberId }) => !isAway.has(memberId));
  const left = here.map(({ wraps, manifests }) => (wraps && wraps.epoch >= keyEpoch ? wraps.below : manifests));
  return {
    keyEpoch,
    epochs,
    manifests: here.reduce((sum, { manifests }) => sum + manifests, 0),
    // The first epoch has none before it, whatever a node says before it was asked.
    manifestsLeft: keyEpoch === 1 ? 0 : left.reduce((sum, count) => sum + count, 0),
    files,
    namesDone: names.complete && names.epoch >= keyEpoch,
    away: members
      .filter(({ role, memberId, revoked }) => role === 'node' && !revoked && isAway.has(memberId))
      .map(({ memberId }) => memberId),
  };
};

/** Rotates away from the epoch in force; the same call repeated never rotates twice. */
export const rotate = async (connection: Connection, signal: AbortSignal): Promise<Rotated> => {
  await connection.refresh(signal);
  const fromEpoch = connection.rosters.roster.keyEpoch;
  return connection.call('keys.rotate', { operationId: randomOperationId(connection.random), fromEpoch }, { signal });
};

/** Shows the progress of the wraps until all that can be reached have new ones. */
export const waitForWraps = async (
  { io, clock, signal }: Pick<VerbBase, 'io' | 'clock' | 'signal'>,
  connection: Connection,
): Promise<WrapsLeft> => {
  const progress = io.progress({ label: 'rewrap', unit: 'manifests' });
  try {
    for (;;) {
      const left = await wrapsLeft(connection, signal);
      progress.set(left.manifests - left.manifestsLeft, left.manifests);
      if (left.manifestsLeft === 0 && left.namesDone) return left;
      await clock.sleep(pollMs, { signal });
    }
  } finally {
    progress.end();
  }
};
