// Changing and spreading the roster. A change is one compare-and-set on (number, hash) in the registry, then it is on
// this gateway's disk, then it is sent to every member that listens, and it is answered when a majority of the nodes
// have it on theirs: so the loss of the registry cannot undo it.
// Invariant: a gateway never lets two rosters of one number leave; a lost race is read again and signed anew. What a
// member holds instead of ours is no confirmation of ours: it is taken, or merged when neither comes from the other.
// Who may ask for a change is the routes' business, not this file's.
import { equalBytes } from '../../crypto/digest.ts';
import { isOperaError, OperaError } from '../../errors/errors.ts';
import {
  gatewaysDiffer,
  isValidMember,
  listValidMembers,
  parseRoster,
  type Roster,
  sameRoster,
} from '../../identity/roster.ts';
import {
  areOfOneLine,
  mergeRosters,
  nextRoster,
  readRosterOfPeer,
  type RosterChange,
} from '../../identity/roster-rules.ts';
import { type MemberId, memberIdOf } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import type { SignedRecord } from '../../model/signed-record.ts';
import type { EpochRecords } from '../../registry/epoch-records.ts';
import type { MemberRecord, Registry } from '../../registry/registry.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { AnswerOf } from '../../wire/routes.ts';
import type { RoleContext } from '../context.ts';
import type { MemberDirectory } from './directory.ts';

/** A change loses a race only to another change; that many in a row are no race but a fault. */
const swapAttemptsMax = 20;
/** Members sent to at once: a thousand are reached in a second without a thousand sockets at once. */
const sendsInFlight = 32;
/** After the majority has a roster, the rest get this long before the change is answered: it spares them a refusal. */
const stragglersMs = 300;

export interface Spread {
  readonly confirmed: readonly MemberId[];
  readonly unconfirmed: readonly MemberId[];
}

/** A change; with a new key epoch also what makes it usable, which enters the registry in the same step. */
export type OfficeChange = RosterChange & { readonly keys?: EpochRecords };

/** Nodes that count towards the majority: those that take part, not those that have not begun or are given up. */
const counts = ({ role, state }: MemberRecord): boolean =>
  role === 'node' && state !== 'joining' && state !== 'out' && state !== 'removed';

export class RosterOffice {
  readonly #context: RoleContext;
  readonly #registry: Registry;
  readonly #directory: MemberDirectory;
  /** The newest roster each member is known to have on disk. */
  readonly #held = new Map<MemberId, bigint>();
  #queue: Promise<unknown> = Promise.resolve();
  /** The look at what the members hold, before the first change of this process. */
  #looked: Promise<unknown> | undefined;

  constructor(context: RoleContext, registry: Registry, directory: MemberDirectory) {
    this.#context = context;
    this.#registry = registry;
    this.#directory = directory;
  }

  /**
   * Makes the change that `decide` wants of the newest roster; undefined wants none. Answers the roster that holds it,
   * on disk here and in the registry, not yet spread. Errors of nextRoster and of the registry.
   */
  async change(decide: (current: Roster) => OfficeChange | undefined): Promise<Roster> {
    // A machine put back to an earlier day has an old registry and an old roster here; the others know better.
    this.#looked ??= this.catchUp();
    await this.#looked;
    return this.#inTurn(() => this.#change(decide));
  }

  /** Takes the registry's roster when it is newer, puts ours back when it is older, merges when it is another. */
  sync(): Promise<void> {
    return this.#inTurn(() => this.#sync());
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#queue.then(work);
    this.#queue = next.catch(() => undefined);
    return next;
  }

  async #change(decide: (current: Roster) => OfficeChange | undefined): Promise<Roster> {
    const { rosters, identity } = this.#context;
    for (let attempt = 0; attempt < swapAttemptsMax; attempt++) {
      const current = rosters.roster;
      const change = decide(current);
      if (!change) return current;
      const record = nextRoster(current, change, identity().signer);
      if (await this.#swap(current, record, change.keys)) {
        await rosters.accept([record]);
        return rosters.roster;
      }
      await this.#sync();
    }
    throw new OperaError('overloaded', 'the roster is changed by others all the time');
  }

  #swap(before: Roster, record: SignedRecord, keys?: EpochRecords): Promise<boolean> {
    const next = parseRoster(record.bytes);
    return this.#registry.swapRoster({
      expectNumber: before.number,
      expectHash: before.hash,
      number: next.number,
      hash: next.hash,
      keyEpoch: next.keyEpoch,
      roster: record,
      keep: gatewaysDiffer(before, next),
      ...(keys ? { keys } : {}),
    });
  }

  async #sync(): Promise<void> {
    const { rosters, log } = this.#context;
    const record = await this.#registry.readRoster();
    if (!record) return;
    const theirs = parseRoster(record.bytes);
    const ours = this.#ours();
    if (sameRoster(theirs, ours)) return;
    if (theirs.number >= ours.number) {
      const kept = theirs.number > ours.number ? await this.#registry.listKeptRosters(ours.number) : [];
      return this.#reconcile([...kept, record]);
    }
    log.warn('registry-roster-behind', { registry: theirs.number, here: ours.number });
    // The database is no authority: what no gateway signed is written over.
    await this.#reconcile([record]).catch((error: unknown) => {
      if (!isOperaError(error, 'integrity')) throw error;
    });
    if (sameRoster(this.#ours(), ours)) await this.#swap(theirs, rosters.record);
  }

  /** As it was signed, without revocations that a fork of it made known. */
  #ours(): Roster {
    return parseRoster(this.#context.rosters.record.bytes);
  }

  /**
   * Takes rosters of others, ascending. When the last one and ours come neither from the other, they are merged; which
   * a gateway that ours does not list as valid cannot bring about (`integrity`).
   */
  async #reconcile(records: readonly SignedRecord[]): Promise<void> {
    let refusal: OperaError | undefined;
    try {
      await this.#context.rosters.accept(records);
    } catch (error) {
      if (!isOperaError(error, 'conflict', 'integrity')) throw error;
      refusal = error;
    }
    const newest = records.at(-1);
    if (!newest) return;
    const ours = this.#ours();
    const theirs = readRosterOfPeer(ours, newest);
    if (!areOfOneLine(ours, theirs)) return this.#merge(ours, theirs);
    if (refusal) throw refusal;
  }

  /** The keeper honours the revocations of both sides of one number at once, the next roster holds both. */
  async #merge(ours: Roster, theirs: Roster): Promise<void> {
    const { rosters, identity, log } = this.#context;
    log.error('roster-fork', { number: ours.number, other: theirs.number });
    const merged = mergeRosters(ours, theirs, identity().signer);
    const record = await this.#registry.readRoster();
    const [before, after] = [record && parseRoster(record.bytes), parseRoster(merged.bytes)];
    // A third line in the registry is for the next round.
    if (!before || before.number >= after.number || !areOfOneLine(before, after)) return;
    if (await this.#swap(before, merged)) await rosters.accept([merged]);
  }

  /** Asks a member what it holds instead of ours, and takes or merges that. */
  async #learn(member: MemberRecord): Promise<void> {
    const { transport, rosters, stopping } = this.#context;
    // From below ours, so that another one of the same number shows.
    const request = { number: rosters.roster.number - 1n };
    const options = { signal: stopping, timeoutMs: limits.probeTimeoutMs };
    const { answer } = await transport.call(this.#to(member), 'roster.since', request, options);
    await this.#inTurn(() => this.#reconcile(answer.rosters));
  }

  /**
   * Sends the newest roster to every member that listens and waits until a majority of the nodes have it on disk.
   * `write-quorum` when they do not within limits.rosterSpreadMs: the change stands and spreads on, and the same
   * request may be repeated.
   */
  async settle(): Promise<void> {
    const { number } = this.#context.rosters.roster;
    const members = await this.#directory.dialable();
    await this.toMajority(members, (member) => this.#put(member, limits.rosterSpreadMs), `roster ${number}`);
  }

  /**
   * Sends to all these members and waits until a majority of the nodes has taken it, and a moment for the others;
   * answers who has. `write-quorum` when too few nodes do: what was sent may go on spreading all the same.
   */
  async toMajority(
    members: readonly MemberRecord[],
    send: (member: MemberRecord) => Promise<void>,
    what: string,
  ): Promise<ReadonlySet<MemberId>> {
    const voters = new Set(members.filter(counts).map(({ memberId }) => memberId));
    const needed = voters.size === 0 ? 0 : Math.floor(voters.size / 2) + 1;
    const taken = new Set<MemberId>();
    let acknowledged = 0;
    let reached: () => void = () => undefined;
    const majority = new Promise<void>((resolve) => {
      reached = resolve;
    });
    if (needed === 0) reached();
    const all = this.#each(members, async (member) => {
      await send(member);
      taken.add(member.memberId);
      if (voters.has(member.memberId) && ++acknowledged >= needed) reached();
    });
    await Promise.race([all, majority]);
    if (acknowledged < needed) {
      throw new OperaError('write-quorum', `${what} is on ${acknowledged} of ${voters.size} nodes`);
    }
    await Promise.race([all, this.#context.clock.sleep(stragglersMs, { unref: true })]);
    return taken;
  }

  /** Sends the newest roster to all and waits for each until it has it, at most limits.rosterSpreadMs. */
  async spread(): Promise<Spread> {
    const members = await this.#directory.dialable();
    const confirmed: MemberId[] = [this.#context.memberId];
    await this.#each(members, async (member) => {
      await this.#put(member, limits.rosterSpreadMs);
      confirmed.push(member.memberId);
    });
    const done = new Set(confirmed);
    const unconfirmed = [...members.map(({ memberId }) => memberId), ...(await this.#unregistered())];
    return { confirmed, unconfirmed: unconfirmed.filter((memberId) => !done.has(memberId)) };
  }

  /** Members that serve and whose address nobody knows, as after a loss of the registry, until they announce it. */
  async #unregistered(): Promise<MemberId[]> {
    const known = new Set((await this.#directory.list()).map(({ keyHash }) => keyHash));
    return listValidMembers(this.#context.rosters.roster, 'gateway', 'master', 'sentinel', 'node')
      .filter(({ keyHash }) => !known.has(keyHash))
      .map(({ keyHash }) => memberIdOf(keyHash));
  }

  /**
   * Asks everybody which roster it has, sends to those that are behind, and takes what those have that are ahead: the
   * registry may have lost it, or be out of reach from here. Answers who was reached.
   */
  async catchUp(): Promise<readonly MemberRecord[]> {
    const members = await this.#directory.dialable();
    const reached: MemberRecord[] = [];
    await this.#each(members, async (member) => {
      const { rosterNumber: number, rosterHash: hash } = await this.#ping(member);
      const ours = this.#context.rosters.roster;
      const forked = number === ours.number && hash !== undefined && !equalBytes(hash, ours.hash);
      if (number > ours.number || forked) await this.#learn(member);
      else if (number < ours.number) await this.#put(member, limits.probeTimeoutMs);
      reached.push(member);
    });
    return reached;
  }

  /** Runs `work` for each member, some at once; a failure concerns that member alone. */
  async #each(members: readonly MemberRecord[], work: (member: MemberRecord) => Promise<void>): Promise<void> {
    const waiting = [...members];
    const worker = async (): Promise<void> => {
      for (let member = waiting.shift(); member; member = waiting.shift()) {
        try {
          await work(member);
        } catch (error) {
          const { memberId } = member;
          if (!this.#context.stopping.aborted) {
            this.#context.log.debug('roster-not-taken', { memberId, ...errorFacts(error) });
          }
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(sendsInFlight, waiting.length) }, worker));
  }

  async #ping(member: MemberRecord): Promise<AnswerOf<'ping'>> {
    const { transport, stopping } = this.#context;
    const { answer } = await transport.call(this.#to(member), 'ping', {}, { signal: stopping });
    this.#held.set(member.memberId, answer.rosterNumber);
    return answer;
  }

  #to({ addresses: [address = ''], memberId }: MemberRecord) {
    return { address, expect: { memberId } };
  }

  /** Resolves when the member has the newest roster on disk. */
  async #put(member: MemberRecord, timeoutMs: number): Promise<void> {
    try {
      await this.#offer(member, timeoutMs);
    } catch (error) {
      if (!isOperaError(error, 'integrity', 'conflict')) throw error;
      await this.#learn(member);
      await this.#offer(member, timeoutMs);
    }
  }

  /** `conflict` or `integrity` when it holds one that ours is not known to be contained in. */
  async #offer(member: MemberRecord, timeoutMs: number): Promise<void> {
    const { rosters, transport, stopping } = this.#context;
    const { roster } = rosters;
    // A revocation meanwhile: whoever was revoked gets no more rosters.
    if (!isValidMember(roster, member.keyHash)) throw new OperaError('revoked');
    const send = async (from: bigint): Promise<bigint> => {
      const request = { rosters: await rosters.since(from < roster.number ? from : roster.number - 1n) };
      const options = { signal: stopping, timeoutMs };
      return (await transport.call(this.#to(member), 'roster.put', request, options)).answer.number;
    };
    let number: bigint;
    try {
      number = await send(this.#held.get(member.memberId) ?? roster.number - 1n);
    } catch (error) {
      // It held an older one than we thought and lacks the rosters in between.
      if (!isOperaError(error, 'integrity')) throw error;
      number = await send((await this.#ping(member)).rosterNumber);
    }
    this.#held.set(member.memberId, number);
    if (number < roster.number) throw new OperaError('stale-roster', 'it kept an older roster');
    if (number > rosters.roster.number) throw new OperaError('conflict', 'it holds a roster that is not known here');
  }
}
