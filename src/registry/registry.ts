// The contract of the registry, the network's database: an index of manifests, members, layouts and leases.
// It can be lost and rebuilt from the nodes; it holds no plaintext and no usable key. File names are plain.
// Redis (Lua scripts), SQLite (one WAL file shared by the roles of one machine) and memory (simulator, oracle) pass
// test/acceptance/registry.ts. Every method is one atomic step: it happens whole or not at all.
//
// Errors: `registry-unavailable` (out of reach or too slow; the step may or may not have happened, so repeat it with
// the same operation id), `registry-lost` (the database knows no network), `bad-request` and `bad-name` for arguments
// outside their limits, `not-ready` after close(), plus what a method names.
// Refused steps write nothing. Reads see every step that was answered before they began.
// Life: when the database restarted, failed over or was replaced since its incarnation began (`lifeId` differs from
// `raisedUnder`), every step that carries an incarnation is refused `stale-incarnation`, and so are the reads of
// names (openUploads, getNames, listNames, listCatalogues, listPendingOf), until raiseIncarnation() and then settle().
// Between the two only restore() works of these: nobody sees names not yet compared with what the nodes hold.
// Buffers: the registry copies what it is given before its promise resolves; what it returns belongs to the caller.
// Public keys (Redis LISTs, SQLite views), exact after every commit: `network:nodes`, `network:data`,
// `network:data:node:<ip:port>`, `network:data:file:<name>`. A key without entries does not exist.
import type { KeyHash, MemberId, NetworkId, OperationId, VersionId } from '../model/ids.ts';
import type { Role } from '../model/roles.ts';
import type { SignedRecord } from '../model/signed-record.ts';
import type { CatalogueEntry, CatalogueQuery } from './catalogues.ts';
import type { NameWrap, StoredKeyBox } from './epoch-records.ts';
import type { ClusterEvent, StoredEvent } from './events.ts';
import type { LostNetwork, RestoreStep } from './restore.ts';
import type { FirstRoster, RosterSwap } from './roster-swap.ts';
import type { StoredToken, TakeTokenOutcome } from './tokens.ts';

export interface RegistryLife {
  readonly networkId: NetworkId;
  /** Number of this life; starts at 1. Every mutating step carries it, another one is refused `stale-incarnation`. */
  readonly incarnation: number;
  /** Redis run id, or `<device>:<inode>` of the SQLite file. A change means a restart, failover or replacement. */
  readonly lifeId: string;
  /** The lifeId under which this incarnation began. Unlike `lifeId`: raise the incarnation before anything else. */
  readonly raisedUnder: string;
  /** False between raiseIncarnation() and settle(), and while the life is not the one the incarnation began under. */
  readonly settled: boolean;
  /** Highest sequence drawn so far; 0n when none. */
  readonly sequence: bigint;
  /** Newest network-key epoch, from the newest roster. */
  readonly keyEpoch: number;
}

/** Sentinels move the first four, the leading master the others; from out on a node is not in the next layout. */
export type MemberState = 'joining' | 'up' | 'suspect' | 'down' | 'out' | 'quarantine' | 'draining' | 'removed';

/** What the roster does not say of a member. Revocation is the roster's word alone. */
export interface MemberRecord {
  readonly memberId: MemberId;
  readonly keyHash: KeyHash;
  readonly role: Role;
  /** `host:port` of its mesh listener, first the preferred one; empty for clients and operators. */
  readonly addresses: readonly string[];
  /** Free text, 1–64 characters; copies prefer distinct zones. Empty when not given. */
  readonly zone: string;
  /** Bytes the node offers; its weight in placement. 0 for other roles. */
  readonly capacityBytes: number;
  /** DER SubjectPublicKeyInfo of its certificate key. */
  readonly spki: Uint8Array;
  readonly joinedMs: number;
  readonly certificateExpiresMs: number;
  readonly state: MemberState;
  /** Wall-clock ms of the last change of `state`, and why in a word or two. */
  readonly stateSinceMs: number;
  readonly stateReason: string;
}

export interface Lease {
  readonly epoch: bigint;
  /** Rises with every renewal; a candidate that saw the same (epoch, renewal) for a whole TTL may take over. */
  readonly renewal: bigint;
  readonly holder: MemberId;
  /** Random id of the holding process, 32 hex characters. */
  readonly instance: string;
  /** `host:port` of the holder's mesh listener. */
  readonly address: string;
  /** True when the holder gave it up: anyone may take it at once. */
  readonly released: boolean;
}

export type LeaseHolder = Pick<Lease, 'instance' | 'address'> & { readonly memberId: MemberId };
export type LeaseSeen = Pick<Lease, 'epoch' | 'renewal'>;

export interface StoredLayout {
  readonly number: number;
  readonly layout: SignedRecord;
}

export interface LayoutState {
  /** All unretired layouts, ascending; the last is the newest. Empty before the first node joins. */
  readonly unretired: readonly StoredLayout[];
  /** Layouts up to this number are retired; 0 when none. */
  readonly retiredUpTo: number;
}

export interface OpenUploads {
  readonly incarnation: number;
  readonly client: KeyHash;
  readonly layoutNumber: number;
  /** Names are in NFC, checked by the caller. */
  readonly uploads: readonly { readonly version: VersionId; readonly name: string }[];
}

export interface NameVersion {
  readonly version: VersionId;
  readonly sequence: bigint;
}

/** One version as its manifest needs it; the body is sealed by the client. */
export interface SealedBody {
  readonly version: VersionId;
  readonly body: Uint8Array;
  /** 76 bytes. */
  readonly wrap: Uint8Array;
  /** `follows` inside the sealed body, stated in clear by the client: compared with the name's current sequence. */
  readonly follows: bigint;
}

/** For a rename the condition is about `to`. */
export interface NameCondition {
  /** Refuse with `exists` when the name has a current version. */
  readonly ifAbsent?: boolean;
  /** Refuse with `conflict` unless the name's current version is this one. */
  readonly ifVersion?: VersionId;
}

interface ChangeBase {
  readonly operationId: OperationId;
  readonly condition?: NameCondition;
}

/** Makes `sealed.version` (an open upload) the current version of `name`. */
export interface PutChange extends ChangeBase {
  readonly kind: 'put';
  readonly name: string;
  readonly sealed: SealedBody;
  readonly chunkCount: number;
  /** True when its content is star systems: listCatalogues names it. */
  readonly catalogue?: boolean;
  /** Nodes that own a chunk of it in the newest layout, for the public keys. */
  readonly nodes: readonly string[];
}

/**
 * Moves the current version `sealed.version` of `name` to `to`; `sealed.follows` refers to `to`. `name` must be at
 * exactly (`sealed.version`, `tombstone.follows`), another version or sequence is a `conflict`.
 */
export interface RenameChange extends ChangeBase {
  readonly kind: 'rename';
  readonly name: string;
  readonly to: string;
  readonly sealed: SealedBody;
  /** The tombstone of the old name: a fresh version without chunks; its `follows` refers to `name`. */
  readonly tombstone: SealedBody;
}

/** Removes `name`, whose current version is `sealed.version`; the body is that of the dead manifest. */
export interface RemoveChange extends ChangeBase {
  readonly kind: 'remove';
  readonly name: string;
  readonly sealed: SealedBody;
}

export type NameChange = PutChange | RenameChange | RemoveChange;

export interface CommitStep {
  readonly incarnation: number;
  /** Newest layout the master counted copies under; another newest one is refused `layout-changed`. */
  readonly layoutNumber: number;
  /** Open uploads older than this are refused `upload-closed`. 72 h. */
  readonly uploadAgeMaxMs: number;
  /** 1 to 100 changes; each succeeds or fails alone, in order. A name twice is `bad-request` for the whole step. */
  readonly changes: readonly NameChange[];
}

export type ChangeRefusal =
  | 'exists'
  | 'conflict'
  | 'not-found'
  | 'stale_follows'
  | 'stale_epoch'
  | 'stale-incarnation'
  | 'layout-changed'
  | 'upload-closed';

export type ChangeOutcome =
  | {
      readonly done: true;
      readonly sequence: bigint;
      readonly incarnation: number;
      /** The version that was current before on the changed name (for rename: on `to`). */
      readonly replaced: NameVersion | undefined;
      /** True when the operation id had been carried out before and this is its kept answer (24 h). */
      readonly repeated: boolean;
      /** True when listCatalogues answers differently after it; of a kept answer always: it is not known any more. */
      readonly catalogues: boolean;
    }
  | {
      readonly done: false;
      readonly code: ChangeRefusal;
      /** The name's current version, if any; for a rename refused by its condition or stale_follows: of `to`. */
      readonly current: NameVersion | undefined;
    };

/** A manifest the registry still holds whole because fewer than W′ nodes are known to have it. */
export interface PendingManifest {
  readonly version: VersionId;
  readonly state: 'live' | 'dead';
  readonly body: Uint8Array;
  readonly wrap: Uint8Array;
}

export interface PendingChange {
  readonly name: string;
  readonly sequence: bigint;
  readonly incarnation: number;
  readonly operationId: OperationId;
  /** One for put and remove; two for rename: the version under its new name, and the tombstone. */
  readonly manifests: readonly PendingManifest[];
}

export interface NameRecord {
  readonly name: string;
  readonly version: VersionId;
  readonly sequence: bigint;
  readonly incarnation: number;
  readonly operationId: OperationId;
  readonly chunkCount: number;
  /** As the put said; a rename keeps it. */
  readonly catalogue: boolean;
  /** Undefined when it is longer than 4 KiB and no longer pending: then it is read from the owners of chunk 0. */
  readonly body: Uint8Array | undefined;
  readonly wrap: Uint8Array;
  /** Sequence of the pending change this name takes part in; undefined when none: then it is durable on nodes. */
  readonly pending: bigint | undefined;
}

export interface NameQuery {
  /** Empty for all names. */
  readonly prefix: string;
  readonly after?: string;
  readonly limit: number;
}

export interface NamePage {
  readonly records: readonly NameRecord[];
  /** Pass as `after` for the next page; undefined at the end. */
  readonly next: string | undefined;
}

/** Addresses of the nodes that own a chunk of a file in some layout: a pure function of version and chunk count. */
export type AddressesOf = (file: { readonly version: VersionId; readonly chunkCount: number }) => readonly string[];

export interface Registry {
  /**
   * Makes the database a network's: incarnation 1, settled. `exists` when it holds any network. The first roster may
   * have any number and is always kept. With `again` the network existed before and its database was lost: it begins
   * at that incarnation, not settled; what a forgotten network left goes, and a damaged file is set aside, not deleted.
   */
  createNetwork(networkId: NetworkId, first: FirstRoster, again?: LostNetwork): Promise<RegistryLife>;
  /** `registry-lost` when the database knows no network. */
  readLife(): Promise<RegistryLife>;
  /**
   * Raises the incarnation to max(expect + 1, atLeast) when it still is `expect`, and ties it to the present lifeId;
   * answers the new life, which is not settled, or undefined when it was not `expect`.
   */
  raiseIncarnation(expect: number, atLeast?: number): Promise<RegistryLife | undefined>;
  /**
   * Names are what the nodes hold, up to `sequence`: raises the counter to it and lets the steps of names work again.
   * False when the incarnation, the life or the lease is another by now; true when it is settled already. Here and
   * below, what only a leader does takes its `epoch`: when given, the lease must be of it and not released.
   */
  settle(incarnation: number, sequence: bigint, epoch?: bigint): Promise<boolean>;
  /**
   * Forgets the network when the incarnation is this one: from then on the database is `registry-lost`. For a database
   * that went back too far to be caught up with. False when the incarnation is another by now.
   */
  forgetNetwork(incarnation: number): Promise<boolean>;
  readRoster(): Promise<SignedRecord | undefined>;
  /** Compare-and-set on (number, hash), with the keys of a new epoch. False when another roster is there. */
  swapRoster(swap: RosterSwap): Promise<boolean>;
  /** Kept rosters (see RosterSwap.keep, and the first) with numbers in (after, ∞), ascending. */
  listKeptRosters(after: bigint): Promise<readonly SignedRecord[]>;
  /**
   * Inserts or replaces. For a node, its first address appears in `network:nodes` unless its state is removed. With
   * `from` only while the member is in that state, or `none` while there is no such member; false when it is not so.
   */
  putMember(member: MemberRecord, from?: MemberState | 'none'): Promise<boolean>;
  getMember(memberId: MemberId): Promise<MemberRecord | undefined>;
  listMembers(): Promise<readonly MemberRecord[]>;
  /**
   * False when there is no such member, it is not in state `from`, or the lease not of `epoch`. `removed` takes a
   * node's address out of `network:nodes`. `stateSinceMs` becomes the registry's clock when the state differs from
   * before, and stays otherwise.
   */
  setMemberState(
    memberId: MemberId,
    state: MemberState,
    reason: string,
    from?: MemberState,
    epoch?: bigint,
  ): Promise<boolean>;
  /** Boxes are kept per (recipient, kind, epoch); a repeated put replaces. */
  putKeyBoxes(boxes: readonly StoredKeyBox[]): Promise<void>;
  listKeyBoxes(recipient?: KeyHash): Promise<readonly StoredKeyBox[]>;
  /** Chain records of 77 bytes by epoch; the first put of an epoch wins. */
  putKeyChain(epoch: number, record: Uint8Array): Promise<void>;
  listKeyChain(): Promise<ReadonlyMap<number, Uint8Array>>;
  /** The first put of a token id wins: repeating it neither changes it nor gives uses back. */
  putToken(token: Omit<StoredToken, 'usedBy'>): Promise<void>;
  getToken(tokenId: string): Promise<StoredToken | undefined>;
  listTokens(): Promise<readonly StoredToken[]>;
  /** False when there was none. */
  removeToken(tokenId: string): Promise<boolean>;
  /** Consumes one use for `key`. Exactly `usesMax` different keys ever get `taken`. Expiry is the caller's check. */
  takeToken(tokenId: string, key: KeyHash): Promise<TakeTokenOutcome>;
  readLease(): Promise<Lease | undefined>;
  /**
   * Takes the lease with epoch = max(last, above) + 1 when it is absent, released, or still shows `seen` (the candidate
   * watched that for a whole TTL). Undefined when another holder moved it. A new lease starts at renewal 1. `above` is
   * the highest epoch the candidate knows any node to have promised: a database that was lost knows less.
   */
  takeLease(holder: LeaseHolder, seen: LeaseSeen | undefined, above?: bigint): Promise<Lease | undefined>;
  /** Undefined when the lease is not (epoch, instance) any more. */
  renewLease(epoch: bigint, instance: string): Promise<Lease | undefined>;
  releaseLease(epoch: bigint, instance: string): Promise<void>;
  readLayouts(): Promise<LayoutState>;
  /** Adds layout `number` = newest + 1. False when the newest is not number − 1, or incarnation or epoch is another. */
  appendLayout(layout: StoredLayout, incarnation: number, epoch?: bigint): Promise<boolean>;
  /** Raises retiredUpTo to at most newest − 1, never lowers it; forgets those. `stale-incarnation`, `stale-leader`. */
  retireLayouts(upTo: number, incarnation: number, epoch?: bigint): Promise<void>;

  /**
   * Opens up to 1,000 uploads; answers, in order, the current version of each name. An upload that is open already
   * keeps its age. `stale-incarnation`, `layout-changed`.
   */
  openUploads(open: OpenUploads): Promise<readonly (NameVersion | undefined)[]>;
  /** Of these versions, the ones that are open uploads. */
  listOpenUploads(versions: readonly VersionId[]): Promise<readonly VersionId[]>;
  /** Forgets uploads opened more than `ageMs` ago; answers how many. At most 1,000 a call. */
  expireUploads(ageMs: number): Promise<number>;

  /**
   * The step (section 4 of the design). For each change in order, atomically: a repeated operation id gets its kept
   * answer; incarnation current; condition holds; for rename and remove the current version is `sealed.version`
   * (`not-found` when there is no such name, `conflict` for another version); for put the upload is open under this
   * name and young (`upload-closed`) and the layout is the newest (`layout-changed`); every wrap's epoch is the newest
   * key epoch (`stale_epoch`); `follows` is the name's current sequence, 0 when it has none (`stale_follows`).
   * Then: sequence = max(last + 1, registry clock in µs); the name moves; a pending change is noted; the
   * public keys follow; the outcome is kept 24 h. A name with a pending change is changed like any other: the caller
   * finishes pending ones first where order on nodes matters.
   */
  commit(step: CommitStep): Promise<readonly ChangeOutcome[]>;
  /** The kept outcome of an operation. */
  getOutcome(operationId: OperationId): Promise<ChangeOutcome | undefined>;
  /** Marks changes durable on nodes; unknown ones are ignored. Bodies over 4 KiB are dropped from the name records. */
  clearPending(sequences: readonly bigint[]): Promise<void>;
  getPending(sequence: bigint): Promise<PendingChange | undefined>;
  /** Pending changes with sequences in (after, ∞), ascending; `limit` up to 1,000, `after` 0 when absent. */
  listPending(limit: number, after?: bigint): Promise<readonly PendingChange[]>;
  /** The newest pending change of each of these names, also of names it removed; up to 1,000 names, no order. */
  listPendingOf(names: readonly string[]): Promise<readonly PendingChange[]>;
  /** In the order asked; undefined where there is no such name. Up to 1,000. */
  getNames(names: readonly string[]): Promise<readonly (NameRecord | undefined)[]>;
  /** Names that begin with `prefix`, in byte order of their UTF-8, strictly after `after`; `limit` 1 to 1,000. */
  listNames(query: NameQuery): Promise<NamePage>;
  countNames(): Promise<number>;
  /**
   * All live catalogues whose names begin with `prefix`, by name in byte order, as of one instant; `too-large` when
   * they are more than `max`. Its time grows with their number, not with that of the names. Pending ones are said so.
   */
  listCatalogues(query: CatalogueQuery): Promise<readonly CatalogueEntry[]>;
  /**
   * Gives names another wrap of the same file key, up to 100 a call: each only while the name is at exactly this
   * version and sequence and its wrap is of a lower key epoch than the new one. Answers how many. `stale-incarnation`.
   */
  replaceWraps(incarnation: number, wraps: readonly NameWrap[]): Promise<number>;

  /**
   * Makes the public placement keys those of layout `layoutNumber` for every name; changes that happen meanwhile are
   * kept. `read` is asked once the work began; what it answers is pure. `layout-changed` when a newer layout or a
   * node's new address appears during the work, or another rebuild begins. Not one step but many: each name moves
   * atomically, and a rebuild that was interrupted is simply run again.
   */
  rebuildPlacements(layoutNumber: number, read: () => Promise<AddressesOf>): Promise<void>;
  /** Layout number the public placement keys follow, 0 when a node listens elsewhere since; `status` compares it. */
  placementsLayout(): Promise<number>;
  /** Puts back what was lost; works before settle() as well. `stale-incarnation`, `stale-leader`. */
  restore(step: RestoreStep): Promise<void>;
  appendEvent(event: ClusterEvent): Promise<void>;
  /** Oldest first, strictly after `after`; at least the newest 10,000 are kept. `limit` up to 1,000. */
  listEvents(after: string | undefined, limit: number): Promise<readonly StoredEvent[]>;
  /** The four public keys as other programs see them; for tests and `doctor`. */
  readPublicKeys(): Promise<ReadonlyMap<string, readonly string[]>>;
  close(): Promise<void>;
}
