// Joining a network with a code, from the joiner's side: fetch the CA bundle, compare the pin, connect anew verifying
// against it, and only then sign. The seed of the code never leaves this process, nor does any private key.
// Invariant: what is returned was checked: the certificate is ours and of the pinned authority, the roster is signed
// down from that authority and lists us as we are, the gateway that answered is listed as valid.
// It writes nothing; home.ts does. Repeating it with the same keys gets the same membership.
import { equalBytes } from '../crypto/digest.ts';
import { isOperaError, OperaError } from '../errors/errors.ts';
import { formatHostPort } from '../identity/address.ts';
import { type CaBundle, parseCaBundle, pinOf } from '../identity/ca-bundle.ts';
import { assertCertificateOf, type CertificateClaims, createCsr, verifyCertificate } from '../identity/certificate.ts';
import { agreementKeyOf, type IdentityKeys } from '../identity/identity-folder.ts';
import { signJoin } from '../identity/join.ts';
import { type JoinCode, parseJoinCode, publicKeyOfSeed } from '../identity/join-code.ts';
import { findMember, type Roster } from '../identity/roster.ts';
import { type RosterTrust, walkRosters } from '../identity/roster-rules.ts';
import type { NetworkId } from '../model/ids.ts';
import type { Role } from '../model/roles.ts';
import type { SignedRecord } from '../model/signed-record.ts';
import type { Clock } from '../runtime/clock.ts';
import type { AnswerOf } from '../wire/routes.ts';
import { HttpJoinLink, type JoinConnection, type JoinLink } from './join-link.ts';
import type { Destination } from './transport.ts';

export type Admission = AnswerOf<'join.join'>;

export interface JoinOptions {
  /** The join code as it was made. */
  readonly code: string;
  /** Must be the code's role. */
  readonly role: Role;
  readonly keys: IdentityKeys;
  /** `host:port` of the mesh listener; empty for clients and operators. */
  readonly addresses: readonly string[];
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  /** HTTPS unless a test or the simulator gives its own. */
  readonly link?: JoinLink;
}

export interface Joined {
  readonly networkId: NetworkId;
  readonly role: Role;
  readonly admission: Admission;
  readonly bundle: CaBundle;
  /** What the certificate says. */
  readonly claims: CertificateClaims;
  /** How rosters of this network are judged from here on; for the first one only. */
  readonly trust: RosterTrust;
  readonly roster: Roster;
  /** Join address of the code. */
  readonly gateway: string;
}

/** The bundle that the code names; `wrong-authority` for any other. */
const fetchPinned = async (link: JoinLink, code: JoinCode, options: JoinOptions): Promise<CaBundle> => {
  const address = formatHostPort(code.gateway);
  const bytes = await link.fetchBundle(address, options.signal);
  if (!equalBytes(pinOf(bytes), code.pin)) {
    throw new OperaError('wrong-authority', `${address} shows another CA bundle than the join code names`);
  }
  const bundle = parseCaBundle(bytes);
  if (bundle.networkId !== code.networkId) {
    throw new OperaError('wrong-authority', 'the CA bundle is of another network than the join code names');
  }
  return bundle;
};

const request = async (
  connection: JoinConnection,
  to: Destination,
  code: JoinCode,
  options: JoinOptions,
): Promise<Admission> => {
  const { transport } = connection;
  const signal = options.signal ? { signal: options.signal } : {};
  const { nonce } = (await transport.call(to, 'join.nonce', {}, signal)).answer;
  const statement = {
    nonce,
    role: options.role,
    agreementKey: agreementKeyOf(options.keys, options.role),
    addresses: [...options.addresses],
    csr: await createCsr(options.keys.privateKey),
  };
  const signature = signJoin(code.seed, code.pin, statement);
  const { networkId } = code;
  const tokenKey = publicKeyOfSeed(code.seed);
  return (await transport.call(to, 'join.join', { ...statement, networkId, tokenKey, signature }, signal)).answer;
};

/** The roster an admission leads to; the gateway that gave it and the newcomer must stand in it as they should. */
const checkRoster = (
  records: readonly SignedRecord[],
  trust: RosterTrust,
  self: { readonly keys: IdentityKeys; readonly role: Role },
): Roster => {
  const walked = walkRosters(undefined, records, trust);
  if (!walked) throw new OperaError('integrity', 'the gateway gave no roster');
  const { roster } = walked;
  const gateway = trust.trustedSigner && findMember(roster, trust.trustedSigner);
  if (gateway?.role !== 'gateway' || gateway.state !== 'valid') {
    throw new OperaError('peer-mismatch', 'the gateway that answered is not listed in its own roster');
  }
  const own = findMember(roster, self.keys.signer.keyHash);
  const expected = agreementKeyOf(self.keys, self.role);
  if (own?.state !== 'valid' || own.role !== self.role || !equalBytes(own.x25519, expected)) {
    throw new OperaError('integrity', 'the roster does not list this member as it joined');
  }
  return roster;
};

/**
 * Becomes a member. Errors: `token-invalid` (not a code), `wrong-authority` (the gateway is not the code's; nothing
 * secret was sent), what verifyJoin refuses, `token-unknown`, `token-used`, `unavailable`, and `integrity` or
 * `peer-mismatch` when the answer does not hold together.
 */
export const joinNetwork = async (options: JoinOptions): Promise<Joined> => {
  const code = parseJoinCode(options.code);
  const { keys, role, clock } = options;
  const link = options.link ?? new HttpJoinLink(clock);
  const bundle = await fetchPinned(link, code, options);
  const connection = link.connect(bundle);
  try {
    const to: Destination = { address: formatHostPort(code.gateway), expect: { role: 'gateway' } };
    const again = (error: unknown): Promise<Admission> => {
      if (!isOperaError(error, 'nonce-expired')) throw error;
      return request(connection, to, code, options);
    };
    const admission = await request(connection, to, code, options).catch(again);
    const claims = verifyCertificate(admission.certificate, bundle, clock.nowMs());
    assertCertificateOf(claims, keys.privateKey);
    if (claims.role !== role) throw new OperaError('peer-mismatch', `the certificate is for a ${claims.role}`);
    const gateway = connection.gateway();
    const trust: RosterTrust = {
      networkId: code.networkId,
      caSpki: bundle.certificates[0].spki,
      ...(gateway ? { trustedSigner: gateway.keyHash } : {}),
    };
    const roster = checkRoster(admission.rosters, trust, { keys, role });
    return { networkId: code.networkId, role, admission, bundle, claims, trust, roster, gateway: to.address };
  } finally {
    await connection.transport.close();
  }
};
