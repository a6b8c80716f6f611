// The newest roster of one process: on disk before anything acts on it, never replaced by a lower one.
// Roles that others ask (gateways, nodes) also keep each roster in which the set of gateways changed, so that a role
// that slept can walk from the roster it knows to the newest. It does not fetch: callers hand it what they were given.
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OperaError } from '../errors/errors.ts';
import { gatewaysDiffer, parseRoster, type Roster } from '../identity/roster.ts';
import { acceptRoster, type RosterTrust, walkRosters, withRevocationsOf } from '../identity/roster-rules.ts';
import type { SignedRecord } from '../model/signed-record.ts';
import { systemErrorCode, writeFileDurably } from '../runtime/files.ts';

/** A P-256 SubjectPublicKeyInfo in DER; the file holds the roster's bytes and then these of its signer. */
const spkiBytes = 91;

const encodeFile = (record: SignedRecord): Uint8Array => Buffer.concat([record.bytes, record.signerSpki]);
const decodeFile = (bytes: Uint8Array): SignedRecord => ({
  bytes: bytes.subarray(0, bytes.length - spkiBytes),
  signerSpki: bytes.subarray(bytes.length - spkiBytes),
});

export interface RosterKeeperOptions {
  /** Data folder; the roster rests in `<folder>/roster`, kept ones in `<folder>/rosters/`. */
  readonly folder: string;
  readonly trust: RosterTrust;
  readonly keepHistory: boolean;
}

/** Without its roster a member could be told of an old one, so nothing is taken in its place. */
export const putBack = 'Put it back from a backup, or join again into another folder with a new code';

const readHeld = (path: string, bytes: Uint8Array): { roster: Roster; record: SignedRecord } => {
  try {
    const record = decodeFile(bytes);
    return { roster: parseRoster(record.bytes), record };
  } catch (cause) {
    throw new OperaError('integrity', `${path} is damaged: it holds no roster`, { cause, hint: putBack });
  }
};

export class RosterKeeper {
  readonly #options: RosterKeeperOptions;
  readonly #listeners = new Set<(roster: Roster) => void>();
  #held: { roster: Roster; record: SignedRecord } | undefined;
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(options: RosterKeeperOptions, held: { roster: Roster; record: SignedRecord } | undefined) {
    this.#options = options;
    this.#held = held;
  }

  /** Reads what the folder holds; `integrity` or `wrong-network` when it is not a roster of this network. */
  static async load(options: RosterKeeperOptions): Promise<RosterKeeper> {
    const path = join(options.folder, 'roster');
    let bytes: Uint8Array;
    try {
      bytes = new Uint8Array(await readFile(path));
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return new RosterKeeper(options, undefined);
      throw error;
    }
    const held = readHeld(path, bytes);
    if (held.roster.networkId !== options.trust.networkId) {
      throw new OperaError('wrong-network', `${path} is the roster of another network`, { hint: putBack });
    }
    return new RosterKeeper(options, held);
  }

  /** False before the first roster was accepted: a member's home without one is damaged. */
  get hasRoster(): boolean {
    return this.#held !== undefined;
  }

  /** `not-ready` before the first one was accepted. */
  get roster(): Roster {
    return this.#required().roster;
  }

  get record(): SignedRecord {
    return this.#required().record;
  }

  /** Called after each change, when the new roster is on disk. */
  onChange(listener: (roster: Roster) => void): void {
    this.#listeners.add(listener);
  }

  /**
   * Takes rosters in ascending order, as a gateway or node hands them; ends with the newest that may be trusted.
   * True when the roster changed. Throws as acceptRoster does; a fork is taken as the union of revocations, `conflict`.
   */
  accept(records: readonly SignedRecord[]): Promise<boolean> {
    const next = this.#queue.then(() => this.#accept(records));
    this.#queue = next.catch(() => undefined);
    return next;
  }

  /** Rosters that lead one who holds `number` to the newest: the kept ones above it, then the newest. */
  async since(number: bigint): Promise<SignedRecord[]> {
    const { roster, record } = this.#required();
    if (roster.number <= number) return [];
    const kept = this.#options.keepHistory ? await this.#listKept() : [];
    const between = kept.filter((at) => at > number && at < roster.number);
    const files = between.map((at) => readFile(this.#keptPath(at)));
    return [...(await Promise.all(files)).map((bytes) => decodeFile(new Uint8Array(bytes))), record];
  }

  #required(): { roster: Roster; record: SignedRecord } {
    if (!this.#held) throw new OperaError('not-ready', 'no roster is held yet');
    return this.#held;
  }

  #keptPath(number: bigint): string {
    return join(this.#options.folder, 'rosters', number.toString().padStart(20, '0'));
  }

  async #listKept(): Promise<bigint[]> {
    try {
      const names = await readdir(join(this.#options.folder, 'rosters'));
      return names
        .filter((name) => /^[0-9]{20}$/.test(name))
        .sort()
        .map((name) => BigInt(name));
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return [];
      throw error;
    }
  }

  async #accept(records: readonly SignedRecord[]): Promise<boolean> {
    const before = this.#held?.roster;
    let newest: { roster: Roster; record: SignedRecord } | undefined;
    try {
      newest = walkRosters(before, records, this.#options.trust);
    } catch (error) {
      this.#noteFork(records);
      throw error;
    }
    if (!newest) return false;
    if (this.#options.keepHistory) await this.#keep(before, records, newest.roster.number);
    await writeFileDurably(join(this.#options.folder, 'roster'), encodeFile(newest.record), 0o600);
    this.#hold(newest);
    return true;
  }

  #hold(next: { roster: Roster; record: SignedRecord }): void {
    this.#held = next;
    for (const listener of this.#listeners) listener(next.roster);
  }

  /** Two rosters of one number: whoever is revoked in either counts as revoked at once, in memory. */
  #noteFork(records: readonly SignedRecord[]): void {
    const held = this.#held;
    if (!held) return;
    for (const record of records) {
      try {
        const verdict = acceptRoster(held.roster, record, this.#options.trust);
        if (verdict.kind === 'fork') this.#hold({ ...held, roster: withRevocationsOf(held.roster, verdict.other) });
      } catch {
        // Not a roster that may be trusted: nothing to note.
      }
    }
  }

  async #keep(before: Roster | undefined, records: readonly SignedRecord[], upTo: bigint): Promise<void> {
    await mkdir(join(this.#options.folder, 'rosters'), { recursive: true, mode: 0o700 });
    let last = before;
    for (const record of records) {
      const roster = parseRoster(record.bytes);
      if ((last && roster.number <= last.number) || roster.number > upTo) continue;
      if (!last || gatewaysDiffer(last, roster)) {
        await writeFileDurably(this.#keptPath(roster.number), encodeFile(record), 0o600);
      }
      last = roster;
    }
  }
}
