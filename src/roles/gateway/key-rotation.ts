// Rotating the network key. A fresh key is sealed to everyone who holds keys by the present roster and rests, as a
// draft, on this gateway and on a majority of the nodes; then one step in the registry publishes the roster that names
// the new epoch, together with its boxes and the chain record. Killed at any point, the network has the old epoch or a
// whole new one: a draft that no roster names is never used (client/key-keeper.ts).
// Invariant: the roster that wins follows the very roster whose members got boxes. After a lost race a new key is
// drawn: whoever was revoked meanwhile may hold a box of the one before.
import type { KeyKeeper } from '../../client/key-keeper.ts';
import type { Handlers, IncomingCall, Reply } from '../../client/transport.ts';
import { equalBytes } from '../../crypto/digest.ts';
import { parseKeyBox } from '../../crypto/key-box.ts';
import { sealChainRecord } from '../../crypto/key-chain.ts';
import { OperaError } from '../../errors/errors.ts';
import { keyCheckOf, type Roster, sameRoster } from '../../identity/roster.ts';
import type { MemberId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import type { EpochRecords } from '../../registry/epoch-records.ts';
import type { MemberRecord, Registry } from '../../registry/registry.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { EpochDraft } from '../../wire/messages-keys.ts';
import type { AnswerOf, RequestOf } from '../../wire/routes.ts';
import type { RoleContext } from '../context.ts';
import type { MemberDirectory } from './directory.ts';
import type { KeyOffice } from './key-office.ts';
import type { NameWraps } from './name-wraps.ts';
import type { RosterOffice } from './roster-office.ts';

export interface KeyRotationDeps {
  readonly context: RoleContext;
  readonly registry: Registry;
  readonly keys: KeyKeeper;
  readonly directory: MemberDirectory;
  readonly rosterOffice: RosterOffice;
  readonly keyOffice: KeyOffice;
  readonly nameWraps: NameWraps;
}

/** A rotation loses a race only to a join, a revocation or another rotation. */
const attemptsMax = 10;

const recordsOf = ({ epoch, keyBoxes, signerSpki, chain }: EpochDraft): EpochRecords => ({
  boxes: keyBoxes.map((bytes) => {
    const { kind, recipient } = parseKeyBox(bytes);
    return { kind, epoch, recipient, box: { bytes, signerSpki } };
  }),
  chain: { epoch: epoch - 1, record: chain },
});

export class KeyRotation {
  readonly #deps: KeyRotationDeps;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(deps: KeyRotationDeps) {
    this.#deps = deps;
  }

  get handlers(): Handlers {
    return {
      'keys.rotate': (call) => this.#inTurn(() => this.#rotate(call)),
      'keys.list': async () => ({ answer: await this.#list() }),
    };
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#queue.then(work);
    this.#queue = next.catch(() => undefined);
    return next;
  }

  async #rotate({ peer, request }: IncomingCall<'keys.rotate'>): Promise<Reply<'keys.rotate'>> {
    const { context, rosterOffice, directory } = this.#deps;
    await rosterOffice.sync();
    directory.invalidate();
    for (let attempt = 1; attempt <= attemptsMax; attempt++) {
      const base = context.rosters.roster;
      if (base.keyEpoch > request.fromEpoch) return { answer: await this.#conclude(request, new Set()) };
      if (base.keyEpoch < request.fromEpoch) throw new OperaError('bad-request', 'that key epoch does not exist');
      const draft = await this.#draw(base, request);
      const taken = await this.#prepare(draft);
      const key = { epoch: draft.epoch, check: draft.keyCheck };
      // Undefined for another roster than the one whose members got boxes.
      const roster = await rosterOffice.change((current) =>
        sameRoster(current, base) ? { key, keys: recordsOf(draft) } : undefined,
      );
      if (roster.keyEpoch !== draft.epoch || !equalBytes(roster.keyCheck, draft.keyCheck)) continue;
      await this.#tell(request, draft.epoch, peer?.memberId);
      return { answer: await this.#conclude(request, taken) };
    }
    throw new OperaError('overloaded', 'the roster is changed by others all the time');
  }

  /** A fresh key, known to nobody once this returns but to those who can open its boxes. */
  async #draw(base: Roster, { operationId }: RequestOf<'keys.rotate'>): Promise<EpochDraft> {
    const { context, keys, keyOffice } = this.#deps;
    if (!keys.keyring.matches(base.keyEpoch, base.keyCheck)) await keyOffice.sync();
    if (!keys.keyring.matches(base.keyEpoch, base.keyCheck)) {
      throw new OperaError('not-ready', 'this gateway does not hold the newest network key yet');
    }
    const { networkId, random, clock, identity } = context;
    const next = { epoch: base.keyEpoch + 1, key: random.bytes(32) };
    try {
      return {
        epoch: next.epoch,
        keyCheck: keyCheckOf(networkId, next.key),
        operationId,
        madeMs: clock.nowMs(),
        signerSpki: identity().signer.spki,
        keyBoxes: keyOffice.sealEpoch(base, next),
        chain: sealChainRecord(networkId, { epoch: base.keyEpoch, key: keys.keyring.key(base.keyEpoch) }, next, random),
      };
    } finally {
      next.key.fill(0);
    }
  }

  /** The draft on this disk and on those of a majority of the nodes; answers who has it. */
  async #prepare(draft: EpochDraft): Promise<ReadonlySet<MemberId>> {
    const { context, keys, directory, rosterOffice } = this.#deps;
    await keys.prepare(draft);
    const { transport, stopping } = context;
    const send = async ({ memberId, addresses: [address = ''] }: MemberRecord): Promise<void> => {
      const options = { signal: stopping, timeoutMs: limits.rosterSpreadMs };
      await transport.call({ address, expect: { memberId } }, 'keys.prepare', draft, options);
    };
    const keepers = await directory.dialable('node', 'gateway');
    return rosterOffice.toMajority(keepers, send, `key epoch ${draft.epoch}`);
  }

  /** The roster on a majority of the nodes, boxes to those that have no draft; the same when it is asked again. */
  async #conclude(
    { operationId }: RequestOf<'keys.rotate'>,
    taken: ReadonlySet<MemberId>,
  ): Promise<AnswerOf<'keys.rotate'>> {
    const { context, keys, keyOffice, rosterOffice, directory } = this.#deps;
    await keyOffice.sync();
    await rosterOffice.settle();
    const others = (await directory.dialable('node', 'gateway')).filter(({ memberId }) => !taken.has(memberId));
    const unconfirmed = await keyOffice.handOut(others);
    const { keyEpoch } = context.rosters.roster;
    const rotated = keys.notes.some((note) => note.operationId === operationId);
    context.log.info('key-epoch', { epoch: keyEpoch, rotated, unconfirmed });
    return { keyEpoch, rotated, unconfirmed: [...unconfirmed] };
  }

  /** For people; the rotation stands without it. */
  async #tell({ operationId }: RequestOf<'keys.rotate'>, epoch: number, by: MemberId | undefined): Promise<void> {
    const { context, registry } = this.#deps;
    const facts = { epoch, ...(by === undefined ? {} : { by }) };
    const event = { atMs: context.clock.nowMs(), kind: 'keys-rotated', causeId: operationId, memberId: by, facts };
    await registry.appendEvent(event).catch((error: unknown) => {
      context.log.warn('rotation-not-registered', errorFacts(error));
    });
  }

  async #list(): Promise<AnswerOf<'keys.list'>> {
    const { context, keys, directory, nameWraps } = this.#deps;
    const { keyEpoch } = context.rosters.roster;
    const madeMs = new Map(keys.notes.map((note) => [note.epoch, note.madeMs]));
    const joined = (await directory.list()).map(({ joinedMs }) => joinedMs);
    // The first epoch began with the network: with its first member.
    if (joined.length > 0) madeMs.set(1, Math.min(...joined));
    const first = Math.max(1, keyEpoch - limits.epochsListed + 1);
    const epochs = Array.from({ length: keyEpoch - first + 1 }, (_, at) => {
      const epoch = first + at;
      const began = madeMs.get(epoch);
      return { epoch, ...(began === undefined ? {} : { madeMs: began }) };
    });
    return { keyEpoch, epochs, names: nameWraps.progress };
  }
}
