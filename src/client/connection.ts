// A member's way to its network: calls go to the gateways of its profile in turn, with bounded, jittered retries. Once
// an hour it learns key boxes and gateways. Every answer says which roster the gateway knows: a newer one is fetched
// before the answer is used, and looked for while no call is made. An expired certificate is renewed by the join
// listener. Invariant: only errors that say nothing about the request are retried; every gateway route may be repeated.
import { isOperaError, OperaError } from '../errors/errors.ts';
import { isRenewalDue } from '../identity/certificate.ts';
import { type Identity, tlsMaterial } from '../identity/identity-folder.ts';
import { limits } from '../model/limits.ts';
import { type Clock, SystemClock } from '../runtime/clock.ts';
import { type Random, randomFraction, SystemRandom } from '../runtime/random.ts';
import type { AnswerOf, RequestOf, RouteName } from '../wire/routes.ts';
import { mergeAddresses, type OpenHome, openHome } from './home.ts';
import { HttpTransport } from './http-transport.ts';
import type { JoinLink } from './join-link.ts';
import type { KeyKeeper } from './key-keeper.ts';
import { type Profile, touchProfile, writeProfile } from './profile.ts';
import { keepRenewal, renewCertificate } from './renewal.ts';
import type { RosterKeeper } from './roster-keeper.ts';
import type { CallOptions, Destination, Transport } from './transport.ts';

export interface ConnectionCallOptions extends Pick<CallOptions, 'signal' | 'timeoutMs'> {
  /** Rounds through the gateways; limits.attemptsMax when absent. */
  readonly attempts?: number;
}

export interface Connection {
  readonly home: string;
  /** As it is now: gateways are learned while it is used. */
  readonly profile: Profile;
  identity(): Identity;
  readonly rosters: RosterKeeper;
  readonly keys: KeyKeeper;
  /** For calls of nodes; its dials are checked against `rosters`. */
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  /** Asks the gateways in turn; rejects with the network's error, or the last one when all attempts failed. */
  call<N extends RouteName>(route: N, request: RequestOf<N>, options?: ConnectionCallOptions): Promise<AnswerOf<N>>;
  /** Fetches the newest roster, key boxes and gateways now; for when an answer shows that they are behind. */
  refresh(signal?: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

export interface ConnectionParts {
  readonly open: OpenHome;
  /** Made for a connection whose identity and roster change. */
  readonly transport: (self: { readonly identity: () => Identity }) => Transport & { reconnect?(): Promise<void> };
  readonly clock: Clock;
  readonly random: Random;
  readonly link?: JoinLink;
}

/** Errors that say nothing about the request itself: another gateway, or the same one later, may answer it. */
const passing = [
  'unavailable',
  'timeout',
  'rate-limited',
  'overloaded',
  'isolated',
  'not-ready',
  'registry-unavailable',
  'not-leader',
  'stale-incarnation',
] as const;
/** Found by this side about a gateway, or by a gateway that has not heard of us yet. */
const aboutPeers = ['unauthenticated', 'peer-mismatch', 'wrong-network'] as const;

/** An error with a request id was said by the other side. */
const isRemote = (error: unknown): boolean => isOperaError(error) && error.requestId !== undefined;

const maySucceedElsewhere = (error: unknown): boolean =>
  isOperaError(error, ...passing, ...aboutPeers) || (isOperaError(error, 'revoked') && !isRemote(error));

class ProfileConnection implements Connection {
  readonly home: string;
  readonly rosters: RosterKeeper;
  readonly keys: KeyKeeper;
  readonly transport: Transport & { reconnect?(): Promise<void> };
  readonly clock: Clock;
  readonly random: Random;
  readonly #open: OpenHome;
  readonly #link: JoinLink | undefined;
  readonly #renewalFraction: number;
  #identity: Identity;
  #profile: Profile;
  #good: string | undefined;
  #started: Promise<void> | undefined;
  #watching: Promise<void> | undefined;
  #lookedMs = 0;
  /** Highest roster number an answer told of. */
  #heardNumber = 0n;
  #revoked = 0;

  constructor(parts: ConnectionParts) {
    const { open, clock, random } = parts;
    this.#open = open;
    this.#link = parts.link;
    this.#identity = open.identity;
    this.#profile = open.profile;
    this.#renewalFraction = randomFraction(random);
    this.home = open.home;
    this.rosters = open.rosters;
    this.keys = open.keys;
    this.clock = clock;
    this.random = random;
    this.transport = parts.transport({ identity: () => this.#identity });
    this.#revoked = this.#countRevoked();
    // Open connections to a member that has been revoked must not go on.
    this.rosters.onChange(() => {
      const revoked = this.#countRevoked();
      if (revoked !== this.#revoked) void this.transport.reconnect?.();
      this.#revoked = revoked;
    });
  }

  get profile(): Profile {
    return this.#profile;
  }

  identity(): Identity {
    return this.#identity;
  }

  async call<N extends RouteName>(
    route: N,
    request: RequestOf<N>,
    options: ConnectionCallOptions = {},
  ): Promise<AnswerOf<N>> {
    await this.#renewWhenDue(options.signal);
    this.#started ??= this.#start(options.signal);
    await this.#started;
    this.#lookForRoster();
    const answer = await this.#ask(route, request, options);
    await this.#catchUp(options.signal);
    return answer;
  }

  async refresh(signal?: AbortSignal): Promise<void> {
    await this.#refresh(signal ? { signal } : {});
  }

  async close(): Promise<void> {
    await this.transport.close();
    await this.#watching;
  }

  /**
   * Nothing to ask for: what a gateway told lately is on disk, and each answer says whether the roster still is right.
   */
  get #isFresh(): boolean {
    const ageMs = this.clock.nowMs() - (this.#open.refreshedMs ?? Number.NEGATIVE_INFINITY);
    const hasKeys = this.keys.hasKeys && this.keys.keyring.newestEpoch >= this.rosters.roster.keyEpoch;
    return hasKeys && ageMs >= 0 && ageMs < limits.profileFreshMs;
  }

  /** A gateway that cannot be reached now is for the call itself to report. */
  async #start(signal: AbortSignal | undefined): Promise<void> {
    if (this.#isFresh) {
      this.#lookedMs = this.clock.monotonicMs();
      return;
    }
    await this.#tryRefresh(signal);
  }

  /** Takes the newer roster that an answer told of, so that whoever is dialled next is judged by it. */
  async #catchUp(signal: AbortSignal | undefined): Promise<void> {
    if (this.#heardNumber <= this.rosters.roster.number) return;
    await this.#tryRefresh(signal);
    this.#heardNumber = 0n;
  }

  async #tryRefresh(signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#refresh({ attempts: 1, ...(signal ? { signal } : {}) });
    } catch (error) {
      this.#started = undefined;
      if (!isOperaError(error, ...passing)) throw error;
    }
  }

  async #refresh(options: ConnectionCallOptions): Promise<void> {
    const request = { addresses: [], zone: '', capacityBytes: 0, rosterNumber: this.rosters.roster.number };
    const answer = await this.#ask('member.announce', request, options);
    this.#lookedMs = this.clock.monotonicMs();
    await this.rosters.accept(answer.rosters);
    await this.keys.accept(answer.keyBoxes, answer.keyChain);
    const found = answer.peers.filter(({ role }) => role === 'gateway').map(({ address }) => address);
    await this.#keepProfile({
      ...this.#profile,
      gateways: mergeAddresses(found, this.#profile.gateways),
      joinAddresses: mergeAddresses(answer.joinAddresses, this.#profile.joinAddresses),
    });
    await touchProfile(this.home, this.clock.nowMs());
  }

  async #keepProfile(next: Profile): Promise<void> {
    if (JSON.stringify(next) === JSON.stringify(this.#profile)) return;
    this.#profile = next;
    await writeProfile(this.home, next);
  }

  /** Beside a call, so that the call does not wait: rosters matter to the dials that come later. */
  #lookForRoster(): void {
    const nowMs = this.clock.monotonicMs();
    if (this.#watching || nowMs - this.#lookedMs < limits.rosterPollMs) return;
    this.#lookedMs = nowMs;
    const look = async (): Promise<void> => {
      const { number } = this.rosters.roster;
      const { rosters } = await this.#ask('roster.since', { number }, { attempts: 1 });
      await this.rosters.accept(rosters);
      if (this.keys.hasKeys && this.rosters.roster.keyEpoch > this.keys.keyring.newestEpoch) await this.refresh();
    };
    this.#watching = look()
      .catch(() => undefined)
      .then(() => {
        this.#watching = undefined;
      });
  }

  async #renewWhenDue(signal: AbortSignal | undefined): Promise<void> {
    const { claims } = this.#identity;
    const nowMs = this.clock.nowMs();
    if (!isRenewalDue(claims, this.#renewalFraction, nowMs)) return;
    try {
      await this.#renew(signal);
    } catch (error) {
      if (nowMs >= claims.notAfterMs || !isOperaError(error, ...passing, ...aboutPeers)) throw error;
    }
  }

  async #renew(signal: AbortSignal | undefined): Promise<void> {
    const admission = await renewCertificate({
      identity: this.#identity,
      joinAddresses: this.#profile.joinAddresses,
      clock: this.clock,
      ...(signal ? { signal } : {}),
      ...(this.#link ? { link: this.#link } : {}),
    });
    this.#identity = await keepRenewal(this.#open, this.#identity, admission);
    const found = admission.peers.filter(({ role }) => role === 'gateway').map(({ address }) => address);
    await this.#keepProfile({ ...this.#profile, gateways: mergeAddresses(found, this.#profile.gateways) });
    await this.transport.reconnect?.();
  }

  #gateways(): readonly Destination[] {
    const addresses = this.#good === undefined ? this.#profile.gateways : [this.#good, ...this.#profile.gateways];
    return [...new Set(addresses)].map((address) => ({ address, expect: { role: 'gateway' } }));
  }

  async #ask<N extends RouteName>(
    route: N,
    request: RequestOf<N>,
    { attempts = limits.attemptsMax, ...options }: ConnectionCallOptions,
  ): Promise<AnswerOf<N>> {
    let last: unknown = new OperaError('unavailable', 'no gateway of the network is known');
    let renewed = false;
    for (let attempt = 1, waitMs: number = limits.retryBaseMs; ; attempt++) {
      for (const to of this.#gateways()) {
        try {
          const { answer, rosterNumber = 0n } = await this.transport.call(to, route, request, options);
          this.#good = to.address;
          if (rosterNumber > this.#heardNumber) this.#heardNumber = rosterNumber;
          return answer;
        } catch (error) {
          if (!maySucceedElsewhere(error)) throw error;
          last = error;
          if (this.#good === to.address) this.#good = undefined;
        }
      }
      if (isOperaError(last, ...aboutPeers) && !renewed) {
        // The gateways known here may all be gone, or our certificate be refused: the join listener knows.
        renewed = true;
        const refusal = last;
        await this.#renew(options.signal).catch((error: unknown) => {
          throw maySucceedElsewhere(error) ? refusal : error;
        });
        continue;
      }
      if (attempt >= attempts) throw last;
      await this.clock.sleep(waitMs * (0.5 + randomFraction(this.random) / 2), options);
      waitMs = Math.min(waitMs * 2, limits.retryCeilingMs);
    }
  }

  #countRevoked(): number {
    return this.rosters.roster.members.filter(({ state }) => state === 'revoked').length;
  }
}

/** A connection over given parts, for tests and the simulator; openProfile is the usual way. */
export const createConnection = (parts: ConnectionParts): Connection => new ProfileConnection(parts);

export interface OpenProfileOptions {
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Opens the member that lives in `home`; dials nobody yet. `config` when there is none. */
export const openProfile = async (home: string, options: OpenProfileOptions = {}): Promise<Connection> => {
  const clock = options.clock ?? new SystemClock();
  const open = await openHome(home);
  return createConnection({
    open,
    clock,
    random: options.random ?? new SystemRandom(),
    transport: ({ identity }) =>
      new HttpTransport({
        networkId: open.identity.networkId,
        credentials: () => tlsMaterial(identity()),
        roster: () => open.rosters.roster,
        nowMs: () => clock.nowMs(),
      }),
  });
};
