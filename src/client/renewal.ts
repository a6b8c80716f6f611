// Renewing a certificate by key: over the join listener, at any age of the old one, while the roster lists the key.
// What comes with it (rosters, key boxes) is taken too, so that a member that slept for a month is back by itself, even
// when none of the gateways it knew is left. The loop renews at 50 to 80 % of a certificate's life.
// Who serves with the certificate is told by a callback; nothing is restarted.
import { isOperaError, OperaError } from '../errors/errors.ts';
import { createCsr, isRenewalDue, renewalDueMs, verifyCertificate } from '../identity/certificate.ts';
import { type Identity, replaceCertificate } from '../identity/identity-folder.ts';
import { signRenew } from '../identity/join.ts';
import { limits } from '../model/limits.ts';
import type { Clock } from '../runtime/clock.ts';
import { type Random, randomFraction } from '../runtime/random.ts';
import { HttpJoinLink, type JoinLink } from './join-link.ts';
import type { Admission } from './join-network.ts';
import type { KeyKeeper } from './key-keeper.ts';
import type { RosterKeeper } from './roster-keeper.ts';
import type { Destination, Transport } from './transport.ts';

export interface RenewOptions {
  readonly identity: Identity;
  /** Join addresses of gateways, tried in turn. */
  readonly joinAddresses: readonly string[];
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  /** HTTPS unless a test or the simulator gives its own. */
  readonly link?: JoinLink;
}

const renewAt = async (transport: Transport, address: string, options: RenewOptions): Promise<Admission> => {
  const { identity } = options;
  const to: Destination = { address, expect: { role: 'gateway' } };
  const signal = options.signal ? { signal: options.signal } : {};
  const { nonce } = (await transport.call(to, 'join.nonce', {}, signal)).answer;
  const csr = await createCsr(identity.privateKey);
  const { networkId } = identity;
  const signature = signRenew(identity.signer, networkId, nonce, csr);
  return (await transport.call(to, 'join.renew', { networkId, csr, nonce, signature }, signal)).answer;
};

/**
 * A new certificate from the first gateway that gives one. Errors: `revoked` and `unauthenticated` (not listed) at
 * once when a gateway says so, otherwise the last gateway's, `unavailable` when no address is known.
 */
export const renewCertificate = async (options: RenewOptions): Promise<Admission> => {
  const { identity, clock } = options;
  const { transport } = (options.link ?? new HttpJoinLink(clock)).connect(identity.bundle);
  let last: unknown = new OperaError('unavailable', 'no join address of a gateway is known');
  try {
    for (const address of options.joinAddresses) {
      try {
        const admission = await renewAt(transport, address, options);
        const claims = verifyCertificate(admission.certificate, identity.bundle, clock.nowMs());
        if (claims.memberId === identity.memberId && claims.role === identity.role) return admission;
        last = new OperaError('peer-mismatch', `${address} gave the certificate of another member`);
      } catch (error) {
        if (isOperaError(error, 'aborted', 'revoked')) throw error;
        last = error;
      }
    }
    throw last;
  } finally {
    await transport.close();
  }
};

/** Where a renewal is kept. */
export interface RenewalHome {
  readonly identityFolder: string;
  readonly rosters: RosterKeeper;
  readonly keys: KeyKeeper;
}

/** Keeps what a renewal gave: first the certificate, which a quarrel about rosters must not hold up. */
export const keepRenewal = async (home: RenewalHome, identity: Identity, admission: Admission): Promise<Identity> => {
  const renewed = await replaceCertificate(home.identityFolder, identity, admission.certificate);
  await home.rosters.accept(admission.rosters);
  await home.keys.accept(admission.keyBoxes, admission.keyChain);
  return renewed;
};

export interface RenewalOptions {
  readonly identity: () => Identity;
  /** Gets and keeps a new certificate: renewCertificate and keepRenewal, or a gateway's own authority. */
  readonly renew: () => Promise<Identity>;
  /** Called with the new identity: update the listener, reconnect the transport. */
  readonly onRenewed: (identity: Identity) => Promise<void> | void;
  readonly onFailed?: (error: unknown) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
}

/** Wall clocks jump and machines sleep, so a date is waited for in short steps. */
const stepMs = 60_000;

const sleepUntilDue = async ({ identity, clock, random, signal }: RenewalOptions): Promise<void> => {
  const fraction = randomFraction(random);
  while (!signal.aborted) {
    const { claims } = identity();
    const nowMs = clock.nowMs();
    if (isRenewalDue(claims, fraction, nowMs)) return;
    const restMs = renewalDueMs(claims, fraction) - nowMs;
    await clock.sleep(Math.min(restMs, stepMs), { signal, unref: true }).catch(() => undefined);
  }
};

/** Renews for as long as the role runs. A failure is reported and repeated, soon at first, then every minute. */
export const runRenewal = async (options: RenewalOptions): Promise<void> => {
  const { clock, signal } = options;
  let waitMs: number = limits.retryBaseMs;
  while (!signal.aborted) {
    await sleepUntilDue(options);
    if (signal.aborted) return;
    try {
      await options.onRenewed(await options.renew());
      waitMs = limits.retryBaseMs;
    } catch (error) {
      if (isOperaError(error, 'aborted')) continue;
      options.onFailed?.(error);
      await clock.sleep(waitMs, { signal, unref: true }).catch(() => undefined);
      waitMs = Math.min(waitMs * 2, stepMs);
    }
  }
};
