// Admission: what the join listener answers. A stranger gets the CA bundle, a nonce, and, for a good join code or the
// key of a listed member, a certificate with rosters and key boxes.
// Invariant: the token's use is taken and the roster holds the member, on a majority of the nodes, before a certificate
// leaves; from the request come only its key, its X25519 key and its addresses. The same key repeating gets the same.
import { pinOf } from '../../identity/ca-bundle.ts';
import { issueCertificate } from '../../identity/authority.ts';
import { parsePeerCertificate } from '../../identity/certificate.ts';
import { createJoinNonce, type JoinVerdict, type NonceContext, verifyJoin, verifyRenew } from '../../identity/join.ts';
import { findMember } from '../../identity/roster.ts';
import { tokenIdOf } from '../../identity/token.ts';
import type { KeyKeeper } from '../../client/key-keeper.ts';
import type { Handlers, Reply } from '../../client/transport.ts';
import { isOperaError, OperaError } from '../../errors/errors.ts';
import { bytesToHex, type KeyHash } from '../../model/ids.ts';
import type { Role } from '../../model/roles.ts';
import type { MemberRecord, Registry } from '../../registry/registry.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { AnswerOf, RequestOf } from '../../wire/routes.ts';
import type { RoleContext } from '../context.ts';
import type { MemberDirectory } from './directory.ts';
import type { KeyOffice } from './key-office.ts';
import { changeMember } from './member-records.ts';
import type { RosterOffice } from './roster-office.ts';

export interface AdmissionDeps {
  readonly context: RoleContext;
  readonly registry: Registry;
  readonly keys: KeyKeeper;
  readonly directory: MemberDirectory;
  readonly rosterOffice: RosterOffice;
  readonly keyOffice: KeyOffice;
  /** `host:port` of this gateway's join listener, as others should dial it. */
  readonly joinAddresses: () => readonly string[];
  /** Life of the certificates issued; the usual one when absent. */
  readonly certificateLifeMs?: number;
}

interface Issued {
  readonly certificate: Uint8Array;
  readonly expiresMs: number;
}

export class Admission {
  readonly #deps: AdmissionDeps;

  constructor(deps: AdmissionDeps) {
    this.#deps = deps;
  }

  get handlers(): Handlers {
    return {
      'join.bundle': async () => ({ answer: { bundle: this.#bundle() } }),
      'join.nonce': async () => ({ answer: { nonce: this.#nonce() } }),
      'join.join': ({ request }) => this.#join(request),
      'join.renew': ({ request }) => this.#renew(request),
    };
  }

  /** A certificate for this gateway itself, which holds the authority's key. */
  async issueOwn(): Promise<Uint8Array> {
    return (await this.#issue('gateway', this.#deps.context.identity().signer.spki)).certificate;
  }

  #bundle(): Uint8Array {
    return this.#deps.context.identity().bundle.bytes;
  }

  #nonce(): Uint8Array {
    const { context, keys } = this.#deps;
    return createJoinNonce(context.networkId, keys.keyring.newest.key, context.clock.nowMs(), context.random);
  }

  #nonceContext(): NonceContext {
    const { context, keys } = this.#deps;
    const { keyring } = keys;
    const { epoch, key } = keyring.newest;
    const networkKeys = keyring.has(epoch - 1) ? [key, keyring.key(epoch - 1)] : [key];
    return { networkId: context.networkId, networkKeys, nowMs: context.clock.nowMs() };
  }

  async #join(request: RequestOf<'join.join'>): Promise<Reply<'join.join'>> {
    const { registry, context, rosterOffice, keyOffice } = this.#deps;
    // A gateway that cannot certify must not use up the code.
    keyOffice.authority();
    const { incarnation } = await registry.readLife();
    const stored = await registry.getToken(tokenIdOf(request.tokenKey));
    if (!stored) throw new OperaError('token-unknown');
    const verdict = await verifyJoin(request, {
      ...this.#nonceContext(),
      pin: pinOf(this.#bundle()),
      token: stored.record,
      incarnation,
      roster: context.rosters.roster,
    });
    // The number of uses is what the gateway signed, not what the registry says beside it.
    if (stored.usesMax !== verdict.token.uses) throw new OperaError('token-invalid', 'the token was altered');
    const { keyHash } = verdict.member;
    const outcome = await registry.takeToken(verdict.tokenId, keyHash);
    if (outcome === 'unknown') throw new OperaError('token-unknown');
    if (outcome === 'used') throw new OperaError('token-used');
    await rosterOffice.change((roster) => {
      const known = findMember(roster, keyHash);
      if (known?.state === 'revoked') throw new OperaError('revoked', 'this key is revoked; join with a new one');
      return known ? undefined : { addMembers: [verdict.member] };
    });
    const issued = await this.#issue(verdict.token.role, verdict.spki);
    await this.#register(verdict, request.addresses, issued);
    await rosterOffice.settle();
    return this.#admit(keyHash, issued.certificate);
  }

  async #renew(request: RequestOf<'join.renew'>): Promise<Reply<'join.renew'>> {
    const { registry, context, directory } = this.#deps;
    const trust = { ...this.#nonceContext(), roster: context.rosters.roster };
    const { member, memberId, spki } = await verifyRenew(request, trust);
    const issued = await this.#issue(member.role, spki);
    try {
      await changeMember(registry, memberId, (record) => {
        return record && { ...record, certificateExpiresMs: issued.expiresMs };
      });
      directory.invalidate();
    } catch (error) {
      // A member must not expire because the database is away.
      if (!isOperaError(error, 'registry-unavailable', 'registry-lost', 'conflict')) throw error;
      context.log.warn('renewal-not-registered', { memberId, ...errorFacts(error) });
    }
    return this.#admit(member.keyHash, issued.certificate);
  }

  async #issue(role: Role, spki: Uint8Array): Promise<Issued> {
    const { context, keyOffice, certificateLifeMs } = this.#deps;
    const life = certificateLifeMs === undefined ? {} : { lifeMs: certificateLifeMs };
    const request = { role, spki, nowMs: context.clock.nowMs(), ...life };
    const certificate = await issueCertificate(keyOffice.authority(), request);
    return { certificate, expiresMs: parsePeerCertificate(certificate).notAfterMs };
  }

  async #admit(keyHash: KeyHash, certificate: Uint8Array): Promise<{ readonly answer: AnswerOf<'join.join'> }> {
    const { context, keyOffice, directory, joinAddresses } = this.#deps;
    const { keyBoxes, keyChain } = await keyOffice.recordsFor(keyHash);
    const rosters = await context.rosters.since(0n);
    const peers = await directory.peersFor(keyHash);
    return { answer: { certificate, rosters, keyBoxes, keyChain, peers, joinAddresses: [...joinAddresses()] } };
  }

  async #register(verdict: JoinVerdict, addresses: readonly string[], issued: Issued): Promise<void> {
    const { registry, context, directory } = this.#deps;
    const { memberId, spki, member } = verdict;
    const { keyHash, role } = member;
    const nowMs = context.clock.nowMs();
    const fresh: MemberRecord = {
      memberId,
      keyHash,
      role,
      addresses: role === 'client' || role === 'operator' ? [] : addresses,
      zone: '',
      capacityBytes: 0,
      spki,
      joinedMs: nowMs,
      certificateExpiresMs: issued.expiresMs,
      state: role === 'client' || role === 'operator' ? 'up' : 'joining',
      stateSinceMs: nowMs,
      stateReason: 'joined',
    };
    let isNew = false;
    await changeMember(registry, memberId, (before) => {
      isNew = before === undefined;
      return before ? { ...before, certificateExpiresMs: issued.expiresMs } : fresh;
    });
    directory.invalidate();
    if (!isNew) return;
    const causeId = bytesToHex(context.random.bytes(16));
    await registry.appendEvent({ atMs: nowMs, kind: 'member-joined', causeId, memberId, facts: { role } });
    context.log.info('member-joined', { memberId, joinedAs: role });
  }
}
