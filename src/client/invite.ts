// Making a join code: the seed is drawn here and never sent; the network gets its public key and signs a token for it.
import { OperaError } from '../errors/errors.ts';
import { parseHostPort } from '../identity/address.ts';
import { pinOf } from '../identity/ca-bundle.ts';
import { encodeJoinCode, publicKeyOfSeed } from '../identity/join-code.ts';
import type { Role } from '../model/roles.ts';
import type { AnswerOf } from '../wire/routes.ts';
import type { Connection } from './connection.ts';

export interface Invitation {
  readonly role: Role;
  /** Default limits.joinTokenLifeMs is the caller's to pass; at most limits.joinTokenLifeMaxMs. */
  readonly lifeMs: number;
  /** How many different machines may join with it. */
  readonly uses: number;
  readonly signal?: AbortSignal;
}

export interface Invited {
  /** Secret until it is used up. */
  readonly code: string;
  readonly token: AnswerOf<'token.create'>['token'];
}

/** A code for joining through the gateway that answered. Only operators may. */
export const createInvitation = async (connection: Connection, invitation: Invitation): Promise<Invited> => {
  const { role, lifeMs, uses, signal } = invitation;
  const seed = connection.random.bytes(32);
  const request = { role, tokenKey: publicKeyOfSeed(seed), lifeMs, uses };
  const { token, joinAddresses } = await connection.call('token.create', request, signal ? { signal } : {});
  const gateway = joinAddresses.map((address) => parseHostPort(address)).find((address) => address !== undefined);
  if (!gateway) throw new OperaError('unavailable', 'the gateway told no address for joining');
  const { networkId, bundle } = connection.identity();
  const code = encodeJoinCode({ networkId, pin: pinOf(bundle.bytes), seed, gateway });
  seed.fill(0);
  return { code, token };
};
