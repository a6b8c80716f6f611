// The data behind MemoryRegistry: plain maps, shared by any number of registry objects as one database is.
// Nothing is checked or copied here.
import type { MemberId, NetworkId, VersionId } from '../model/ids.ts';
import type { SignedRecord } from '../model/signed-record.ts';
import type { StoredKeyBox } from './epoch-records.ts';
import type { StoredEvent } from './events.ts';
import type { ChangeOutcome, Lease, MemberRecord, NameRecord, PendingChange, StoredLayout } from './registry.ts';
import type { StoredToken } from './tokens.ts';

export interface MemoryUpload {
  readonly name: string;
  readonly openedMs: number;
}

export interface MemoryName {
  readonly record: Omit<NameRecord, 'pending'>;
  readonly nodes: readonly string[];
}

/** One database of the simulator or of a test. */
export class MemoryRegistryStore {
  networkId: NetworkId | undefined;
  incarnation = 0;
  lifeNumber = 1;
  raisedUnder = '';
  sequence = 0n;
  keyEpoch = 0;
  roster: { readonly number: bigint; readonly hash: Uint8Array; readonly record: SignedRecord } | undefined;
  placementsLayout = 0;
  /** Token of the rebuild under way. */
  rebuilding: object | undefined;
  retiredUpTo = 0;
  lease: Lease | undefined;
  /** Highest leader epoch drawn or restored; the next lease takes the one above. */
  leaseEpoch = 0n;
  eventCount = 0;
  /** True while the database shall be out of reach. */
  unavailable = false;
  readonly keptRosters = new Map<bigint, SignedRecord>();
  readonly members = new Map<MemberId, MemberRecord>();
  readonly boxes = new Map<string, StoredKeyBox>();
  readonly chain = new Map<number, Uint8Array>();
  readonly tokens = new Map<string, StoredToken>();
  readonly layouts = new Map<number, StoredLayout>();
  readonly uploads = new Map<VersionId, MemoryUpload>();
  readonly names = new Map<string, MemoryName>();
  readonly outcomes = new Map<string, { readonly atMs: number; readonly outcome: ChangeOutcome }>();
  readonly pending = new Map<bigint, PendingChange>();
  readonly pendingOf = new Map<string, bigint>();
  readonly events: StoredEvent[] = [];

  get lifeId(): string {
    return `memory:${this.lifeNumber}`;
  }

  /** As if it was emptied: FLUSHALL. */
  clear(): void {
    this.networkId = undefined;
    this.raisedUnder = '';
    this.roster = undefined;
    this.lease = undefined;
    this.sequence = 0n;
    this.leaseEpoch = 0n;
    for (const counter of ['incarnation', 'keyEpoch', 'placementsLayout', 'retiredUpTo', 'eventCount'] as const) {
      this[counter] = 0;
    }
    const { keptRosters, members, boxes, chain, tokens, layouts, uploads, names, outcomes, pending, pendingOf } = this;
    const maps = [keptRosters, members, boxes, chain, tokens, layouts, uploads, names, outcomes, pending, pendingOf];
    for (const map of maps) map.clear();
    this.events.length = 0;
  }

  /** The public placement keys name an address that a node left. */
  endRebuild(): void {
    this.placementsLayout = 0;
    this.rebuilding = undefined;
  }

  /** As if the database was restarted: the data stays, the life is another. */
  restart(): void {
    this.lifeNumber += 1;
  }
}
