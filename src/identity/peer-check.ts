// Who is on the other side of a TLS connection: one check for dialling and for serving.
// Invariant: a peer passes only with a member certificate of this network whose key the roster lists, with the same
// role, as valid, and only if it is whom the caller expects. The chain was verified by TLS before.
// Which routes a role may use is the route table's, not decided here.
import { OperaError } from '../errors/errors.ts';
import type { MemberId, NetworkId } from '../model/ids.ts';
import type { Role } from '../model/roles.ts';
import { type CertificateClaims, parsePeerCertificate } from './certificate.ts';
import { findMember, type Roster } from './roster.ts';

export interface PeerExpectation {
  readonly networkId: NetworkId;
  /** Exactly this member: nodes and sentinels are dialled so. */
  readonly memberId?: MemberId;
  /** Any valid member of these roles: gateway and master addresses are dialled so. */
  readonly roles?: readonly Role[];
}

const listed = (claims: CertificateClaims, roster: Roster): void => {
  const member = findMember(roster, claims.keyHash);
  if (!member) {
    throw new OperaError('unauthenticated', `${claims.memberId} is not in roster ${roster.number}`, {
      details: { memberId: claims.memberId, rosterNumber: String(roster.number) },
    });
  }
  if (member.state === 'revoked') {
    throw new OperaError('revoked', `${claims.memberId} is revoked`, { details: { memberId: claims.memberId } });
  }
  if (member.role !== claims.role) {
    throw new OperaError('peer-mismatch', `${claims.memberId} shows role ${claims.role} but is a ${member.role}`);
  }
};

/**
 * The peer that shows this certificate (DER), checked against expectation, roster and time. Without a roster, which
 * only a joining member may lack, nothing but a gateway passes. Errors: `unauthenticated` (no member certificate,
 * out of its time, or unknown to the roster), `revoked`, `peer-mismatch` (another network, role or member).
 */
export const checkPeer = (
  der: Uint8Array,
  expectation: PeerExpectation,
  roster: Roster | undefined,
  nowMs: number,
): CertificateClaims => {
  const claims = parsePeerCertificate(der);
  if (claims.networkId !== expectation.networkId) {
    throw new OperaError('peer-mismatch', `the other side is of network ${claims.networkId}`);
  }
  if (nowMs < claims.notBeforeMs) {
    throw new OperaError('unauthenticated', `the certificate of ${claims.memberId} is not valid yet; check the clocks`);
  }
  if (nowMs >= claims.notAfterMs) {
    throw new OperaError('unauthenticated', `the certificate of ${claims.memberId} expired`);
  }
  if (roster) listed(claims, roster);
  else if (claims.role !== 'gateway') {
    throw new OperaError('peer-mismatch', `only a gateway can be joined, not a ${claims.role}`);
  }
  if (expectation.memberId !== undefined && expectation.memberId !== claims.memberId) {
    throw new OperaError('peer-mismatch', `expected ${expectation.memberId}, found ${claims.memberId}`);
  }
  if (expectation.roles && !expectation.roles.includes(claims.role)) {
    throw new OperaError('peer-mismatch', `expected a ${expectation.roles.join(' or ')}, found a ${claims.role}`);
  }
  return claims;
};
