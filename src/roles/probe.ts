// Asking a member whether it is there, and what the answer or its absence means: the same for sentinels and masters.
// Invariant: a probe never rejects; whatever goes wrong is a failure with a word.
import { isOperaError } from '../errors/errors.ts';
import type { MemberId } from '../model/ids.ts';
import type { RoleContext } from './context.ts';

/** Why a probe failed: `refused` is a port that nobody listens on, `cut-off` any other lost connection. */
export type ProbeFailure = 'refused' | 'timeout' | 'cut-off' | 'peer-mismatch' | 'untrusted';

const failureOf = (error: unknown): ProbeFailure | undefined => {
  if (!isOperaError(error)) return 'cut-off';
  // The other side's own error came over a connection that proved its identity: it lives, whatever it says.
  if (error.requestId !== undefined) return undefined;
  if (error.code === 'peer-mismatch' || error.code === 'timeout') return error.code;
  if (error.code === 'unauthenticated' || error.code === 'revoked') return 'untrusted';
  return error.details?.['reason'] === 'ECONNREFUSED' ? 'refused' : 'cut-off';
};

/** Undefined when the member answered within `timeoutMs`. */
export const probe = async (
  { transport, stopping }: Pick<RoleContext, 'transport' | 'stopping'>,
  memberId: MemberId,
  address: string,
  timeoutMs: number,
): Promise<ProbeFailure | undefined> => {
  try {
    await transport.call({ address, expect: { memberId } }, 'ping', {}, { timeoutMs, signal: stopping });
    return undefined;
  } catch (error) {
    return failureOf(error);
  }
};

/** Members that must say the same: a majority of those in the roster, whether they answer or not. */
export const majorityOf = (members: number): number => Math.floor(members / 2) + 1;
