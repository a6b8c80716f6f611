// Where a role finds gateways and masters: from its profile first, then from what gateways answer when it announces
// itself. Announcing repeats, so that a changed address, a new master or a new roster reaches every role.
import type { KeyKeeper } from '../client/key-keeper.ts';
import type { Destination } from '../client/transport.ts';
import { isOperaError, OperaError } from '../errors/errors.ts';
import { isValidMember } from '../identity/roster.ts';
import type { KeyHash, MemberId } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import type { Role } from '../model/roles.ts';
import { errorFacts } from '../runtime/log.ts';
import type { AnswerOf } from '../wire/routes.ts';
import type { RoleContext } from './context.ts';

/** One member that can be dialled. */
export type PeerEntry = AnswerOf<'member.announce'>['peers'][number];

export const destinationOf = (peer: { readonly memberId: MemberId; readonly address: string }): Destination => ({
  address: peer.address,
  expect: { memberId: peer.memberId },
});

export interface PeerBookOptions {
  /** Mesh addresses of gateways to begin with. */
  readonly gateways: readonly string[];
  /** Own addresses, zone and capacity, as announced. */
  readonly self: () => { readonly addresses: readonly string[]; readonly zone: string; readonly capacityBytes: number };
  /** For key holders: takes the boxes that gateways hand out. */
  readonly keys?: KeyKeeper;
  /** Called with what is known after each announcement, to be kept on disk. */
  readonly onPeers?: (book: KnownPeers) => void;
  /**
   * Called when gateways were reached but none of them is one that the held roster knows: the way back for a role that
   * slept while its gateways were replaced is to renew its certificate by key.
   */
  readonly onStrangers?: () => Promise<void>;
}

export interface KnownPeers {
  readonly gateways: readonly string[];
  readonly masters: readonly string[];
  readonly joinAddresses: readonly string[];
}

export class PeerBook {
  readonly #context: RoleContext;
  readonly #options: PeerBookOptions;
  #peers: readonly PeerEntry[] = [];
  #announcedMs: number | undefined;
  #tellAnnounced: () => void = () => undefined;
  /** Resolves when a gateway has taken the first announcement. */
  readonly whenAnnounced: Promise<void>;

  constructor(context: RoleContext, options: PeerBookOptions) {
    this.#context = context;
    this.#options = options;
    this.whenAnnounced = new Promise((resolve) => {
      this.#tellAnnounced = resolve;
    });
  }

  /** True when a gateway has taken the announcement since this process began. */
  get announced(): boolean {
    return this.#announcedMs !== undefined;
  }

  /** When a gateway last took it, on the monotonic clock; undefined before the first time. */
  get announcedMs(): number | undefined {
    return this.#announcedMs;
  }

  list(role: Role): readonly PeerEntry[] {
    const { roster } = this.#context.rosters;
    return this.#peers.filter((peer) => peer.role === role && isValidMember(roster, peer.keyHash, role));
  }

  byKeyHash(keyHash: KeyHash): PeerEntry | undefined {
    return this.#peers.find((peer) => peer.keyHash === keyHash);
  }

  /** Announces now to the first gateway that answers; `unavailable` when none does. */
  async announce(): Promise<void> {
    const { transport, rosters, stopping, clock } = this.#context;
    let last: unknown = new OperaError('unavailable', 'no gateway is known');
    let strangers = false;
    for (const to of this.#gateways()) {
      try {
        const { addresses, zone, capacityBytes } = this.#options.self();
        const rosterNumber = rosters.roster.number;
        const request = { addresses: [...addresses], zone, capacityBytes, rosterNumber };
        const { answer } = await transport.call(to, 'member.announce', request, { signal: stopping });
        if (answer.rosters.length > 0) await rosters.accept(answer.rosters);
        await this.#options.keys?.accept(answer.keyBoxes, answer.keyChain);
        this.#peers = answer.peers;
        this.#announcedMs = clock.monotonicMs();
        this.#tellAnnounced();
        this.#options.onPeers?.({
          gateways: this.list('gateway').map((peer) => peer.address),
          masters: this.list('master').map((peer) => peer.address),
          joinAddresses: answer.joinAddresses,
        });
        return;
      } catch (error) {
        if (isOperaError(error, 'aborted')) throw error;
        if (isOperaError(error, 'unauthenticated', 'peer-mismatch')) strangers = true;
        last = error;
      }
    }
    if (strangers) await this.#options.onStrangers?.();
    throw last;
  }

  /** Announces at once, again soon while nobody answers, and then every few seconds until the role stops. */
  async run(): Promise<void> {
    const { clock, stopping, log } = this.#context;
    for (let waitMs: number = limits.retryBaseMs; !stopping.aborted; ) {
      try {
        await this.announce();
        waitMs = limits.announceMs;
      } catch (error) {
        if (!isOperaError(error, 'aborted')) log.warn('announce-failed', errorFacts(error));
        waitMs = Math.min(waitMs * 2, limits.retryCeilingMs);
      }
      await clock.sleep(waitMs, { signal: stopping, unref: true }).catch(() => undefined);
    }
  }

  #gateways(): Destination[] {
    const known = this.list('gateway').map((peer) => destinationOf(peer));
    const seen = new Set(known.map((to) => to.address));
    const given = this.#options.gateways.filter((address) => !seen.has(address));
    return [...known, ...given.map((address): Destination => ({ address, expect: { role: 'gateway' } }))];
  }
}
