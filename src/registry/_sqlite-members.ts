// The steps of the embedded registry that are not about names: life, rosters, members, keys, tokens, leases, layouts.
// Each function runs inside the transaction of its caller (_sqlite-service.ts) and keeps no state.
import { OperaError } from '../errors/errors.ts';
import type { KeyHash, MemberId, NetworkId } from '../model/ids.ts';
import type { Role } from '../model/roles.ts';
import type { SignedRecord } from '../model/signed-record.ts';
import { raisedOf, unsettled } from './_check.ts';
import { movesNode } from './_decide.ts';
import {
  bytesOf,
  isBegun,
  isLiving,
  type LifeRow,
  requireLife,
  type Rows,
  type StepContext,
} from './_sqlite-database.ts';
import type { StoredKeyBox } from './epoch-records.ts';
import type * as contract from './registry.ts';
import type { Lease, LeaseHolder, LeaseSeen, MemberRecord } from './registry.ts';
import type { LostNetwork, RestoreStep } from './restore.ts';
import type { FirstRoster, RosterSwap } from './roster-swap.ts';
import type { StoredToken, TakeTokenOutcome } from './tokens.ts';

interface RecordRow {
  readonly record: Uint8Array;
  readonly signer: Uint8Array;
}

const recordOf = (row: RecordRow): SignedRecord => ({ bytes: bytesOf(row.record), signerSpki: bytesOf(row.signer) });

const setRoster = (rows: Rows, swap: FirstRoster): void => {
  const { number, hash, roster, keyEpoch, keep } = swap;
  rows.run('INSERT OR REPLACE INTO roster VALUES (1, ?, ?, ?, ?)', number, hash, roster.bytes, roster.signerSpki);
  rows.run('UPDATE life SET key_epoch = ?', keyEpoch);
  if (keep) rows.run('INSERT OR REPLACE INTO kept_rosters VALUES (?, ?, ?)', number, roster.bytes, roster.signerSpki);
};

export const createNetwork = (
  rows: Rows,
  lifeId: string,
  networkId: NetworkId,
  first: FirstRoster,
  again?: LostNetwork,
): void => {
  const raisedUnder = again ? unsettled(lifeId) : lifeId;
  rows.run('INSERT INTO life VALUES (1, ?, ?, ?, 0, 0, 0, 0, 0, 0)', networkId, again?.incarnation ?? 1, raisedUnder);
  setRoster(rows, { ...first, keep: true });
};

const lifeOf = (life: LifeRow, lifeId: string): contract.RegistryLife => ({
  networkId: life.network_id as NetworkId,
  incarnation: life.incarnation,
  lifeId,
  ...raisedOf(life.raised_under, lifeId),
  sequence: BigInt(life.sequence),
  keyEpoch: life.key_epoch,
});

export const readLife = ({ life, lifeId }: StepContext): contract.RegistryLife => lifeOf(life, lifeId);

/** The new incarnation is tied to the plain device:inode: raising ends the suspicion of a rollback too. */
export const raiseIncarnation = (
  { rows, life, lifeId, incarnationSeen }: StepContext,
  expect: number,
  atLeast: number,
): contract.RegistryLife | undefined => {
  if (life.incarnation !== expect) return undefined;
  const incarnation = Math.max(expect + 1, atLeast, incarnationSeen + 1);
  const fileId = lifeId.replace(/:rolled-back$/, '');
  const raisedUnder = unsettled(fileId);
  rows.run('UPDATE life SET incarnation = ?, raised_under = ?', incarnation, raisedUnder);
  return lifeOf({ ...life, incarnation, raised_under: raisedUnder }, fileId);
};

/** True when `epoch` holds the lease, or nobody asks. */
const leads = ({ rows }: StepContext, epoch: bigint | undefined): boolean =>
  epoch === undefined || rows.get('SELECT 1 FROM lease WHERE epoch = ? AND released = 0', epoch) !== undefined;

export const requireLead = (context: StepContext, epoch: bigint | undefined): void => {
  if (!leads(context, epoch)) throw new OperaError('stale-leader', 'another leader holds the lease');
};

export const settle = (context: StepContext, incarnation: number, sequence: bigint, epoch?: bigint): boolean => {
  if (!isBegun(context) || context.life.incarnation !== incarnation || !leads(context, epoch)) return false;
  const sql = 'UPDATE life SET raised_under = ?, sequence = max(sequence, ?)';
  return context.rows.run(sql, context.lifeId, sequence) === 1;
};

/** Children before parents, as the foreign keys want it. */
const tables = [
  ...['pending_names', 'pending_manifests', 'pending', 'placements', 'nodes', 'names', 'uploads', 'outcomes'],
  ...['token_uses', 'tokens', 'events', 'layouts', 'lease', 'members', 'key_boxes', 'key_chain'],
  ...['kept_rosters', 'roster', 'life'],
];

export const forgetNetwork = ({ rows, life }: StepContext, incarnation: number): boolean => {
  if (life.incarnation !== incarnation) return false;
  for (const table of tables) rows.run(`DELETE FROM ${table}`);
  return true;
};

export const readRoster = ({ rows }: StepContext): SignedRecord | undefined => {
  const row = rows.get<RecordRow>('SELECT record, signer FROM roster');
  return row && recordOf(row);
};

export const swapRoster = ({ rows }: StepContext, swap: RosterSwap): boolean => {
  const found = rows.get('SELECT 1 FROM roster WHERE number = ? AND hash = ?', swap.expectNumber, swap.expectHash);
  if (!found) return false;
  setRoster(rows, swap);
  if (swap.keys) {
    for (const { recipient, kind, epoch } of swap.keys.boxes) {
      rows.run('DELETE FROM key_boxes WHERE recipient = ? AND kind = ? AND epoch < ?', recipient, kind, epoch);
    }
    setKeyBoxes(rows, swap.keys.boxes);
    rows.run('INSERT OR REPLACE INTO key_chain VALUES (?, ?)', swap.keys.chain.epoch, swap.keys.chain.record);
  }
  return true;
};

export const listKeptRosters = ({ rows }: StepContext, after: bigint): readonly SignedRecord[] =>
  rows.all<RecordRow>('SELECT * FROM kept_rosters WHERE number > ? ORDER BY number', after).map(recordOf);

interface MemberRow {
  readonly member_id: MemberId;
  readonly key_hash: KeyHash;
  readonly role: Role;
  readonly addresses: string;
  readonly zone: string;
  readonly capacity_bytes: number;
  readonly spki: Uint8Array;
  readonly joined_ms: number;
  readonly certificate_expires_ms: number;
  readonly state: contract.MemberState;
  readonly state_since_ms: number;
  readonly state_reason: string;
}

const memberOf = (row: MemberRow): MemberRecord => ({
  memberId: row.member_id,
  keyHash: row.key_hash,
  role: row.role,
  addresses: JSON.parse(row.addresses) as string[],
  zone: row.zone,
  capacityBytes: row.capacity_bytes,
  spki: bytesOf(row.spki),
  joinedMs: row.joined_ms,
  certificateExpiresMs: row.certificate_expires_ms,
  state: row.state,
  stateSinceMs: row.state_since_ms,
  stateReason: row.state_reason,
});

export const putMember = (context: StepContext, member: MemberRecord, from?: string): boolean => {
  const { rows } = context;
  const before = getMember(context, member.memberId);
  if (from !== undefined && (before?.state ?? 'none') !== from) return false;
  if (movesNode(before, member)) rows.run('UPDATE life SET placements_layout = 0');
  rows.run(
    'INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    member.memberId,
    member.keyHash,
    member.role,
    JSON.stringify(member.addresses),
    member.zone,
    member.capacityBytes,
    member.spki,
    member.joinedMs,
    member.certificateExpiresMs,
    member.state,
    member.stateSinceMs,
    member.stateReason,
  );
  return true;
};

export const getMember = ({ rows }: StepContext, memberId: MemberId): MemberRecord | undefined => {
  const row = rows.get<MemberRow>('SELECT * FROM members WHERE member_id = ?', memberId);
  return row && memberOf(row);
};

export const listMembers = ({ rows }: StepContext): readonly MemberRecord[] =>
  rows.all<MemberRow>('SELECT * FROM members').map(memberOf);

export const setMemberState = (
  context: StepContext,
  memberId: MemberId,
  state: contract.MemberState,
  reason: string,
  from?: contract.MemberState,
  epoch?: bigint,
): boolean => {
  const { rows, nowMs } = context;
  if (!leads(context, epoch)) return false;
  const since = 'CASE WHEN state = ?1 THEN state_since_ms ELSE ?2 END';
  const set = `UPDATE members SET state_since_ms = ${since}, state = ?1, state_reason = ?3`;
  const sql = `${set} WHERE member_id = ?4 AND (?5 IS NULL OR state = ?5)`;
  return rows.run(sql, state, nowMs, reason, memberId, from ?? null) === 1;
};

const setKeyBoxes = (rows: Rows, boxes: readonly StoredKeyBox[]): void => {
  for (const { recipient, kind, epoch, box } of boxes) {
    const sql = 'INSERT OR REPLACE INTO key_boxes VALUES (?, ?, ?, ?, ?)';
    rows.run(sql, recipient, kind, epoch, box.bytes, box.signerSpki);
  }
};

export const putKeyBoxes = ({ rows }: StepContext, boxes: readonly StoredKeyBox[]): void => setKeyBoxes(rows, boxes);

type BoxRow = RecordRow & { readonly recipient: KeyHash; readonly kind: 1 | 2 | 3; readonly epoch: number };

export const listKeyBoxes = ({ rows }: StepContext, recipient?: KeyHash): readonly StoredKeyBox[] => {
  const sql = 'SELECT * FROM key_boxes WHERE ?1 IS NULL OR recipient = ?1';
  return rows.all<BoxRow>(sql, recipient ?? null).map((row) => {
    return { recipient: row.recipient, kind: row.kind, epoch: row.epoch, box: recordOf(row) };
  });
};

export const putKeyChain = ({ rows }: StepContext, epoch: number, record: Uint8Array): void => {
  rows.run('INSERT OR IGNORE INTO key_chain VALUES (?, ?)', epoch, record);
};

export const listKeyChain = ({ rows }: StepContext): ReadonlyMap<number, Uint8Array> => {
  const links = rows.all<{ epoch: number; record: Uint8Array }>('SELECT * FROM key_chain ORDER BY epoch');
  return new Map(links.map(({ epoch, record }) => [epoch, bytesOf(record)]));
};

type TokenRow = RecordRow & {
  readonly token_id: string;
  readonly role: Role;
  readonly created_by: MemberId;
  readonly expires_ms: number;
  readonly uses_max: number;
};

const usedBy = (rows: Rows, tokenId: string): KeyHash[] =>
  rows
    .all<{ key_hash: KeyHash }>('SELECT key_hash FROM token_uses WHERE token_id = ? ORDER BY ordinal', tokenId)
    .map((row) => row.key_hash);

const tokenOf = (rows: Rows, row: TokenRow): StoredToken => ({
  tokenId: row.token_id,
  role: row.role,
  record: recordOf(row),
  createdBy: row.created_by,
  expiresMs: row.expires_ms,
  usesMax: row.uses_max,
  usedBy: usedBy(rows, row.token_id),
});

export const putToken = ({ rows }: StepContext, token: Omit<StoredToken, 'usedBy'>): void => {
  const { tokenId, role, record, createdBy, expiresMs, usesMax } = token;
  const sql = 'INSERT OR IGNORE INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?)';
  rows.run(sql, tokenId, role, record.bytes, record.signerSpki, createdBy, expiresMs, usesMax);
};

export const getToken = ({ rows }: StepContext, tokenId: string): StoredToken | undefined => {
  const row = rows.get<TokenRow>('SELECT * FROM tokens WHERE token_id = ?', tokenId);
  return row && tokenOf(rows, row);
};

export const listTokens = ({ rows }: StepContext): readonly StoredToken[] =>
  rows.all<TokenRow>('SELECT * FROM tokens').map((row) => tokenOf(rows, row));

export const removeToken = ({ rows }: StepContext, tokenId: string): boolean =>
  rows.run('DELETE FROM tokens WHERE token_id = ?', tokenId) === 1;

export const takeToken = ({ rows }: StepContext, tokenId: string, key: KeyHash): TakeTokenOutcome => {
  const token = rows.get<TokenRow>('SELECT * FROM tokens WHERE token_id = ?', tokenId);
  if (!token) return 'unknown';
  const keys = usedBy(rows, tokenId);
  if (keys.includes(key)) return 'repeated';
  if (keys.length >= token.uses_max) return 'used';
  rows.run('INSERT INTO token_uses VALUES (?, ?, ?)', tokenId, keys.length, key);
  return 'taken';
};

interface LeaseRow {
  readonly epoch: number;
  readonly renewal: number;
  readonly holder: MemberId;
  readonly instance: string;
  readonly address: string;
  readonly released: number;
}

export const readLease = ({ rows }: StepContext): Lease | undefined => {
  const row = rows.get<LeaseRow>('SELECT * FROM lease');
  if (!row) return undefined;
  const { epoch, renewal, holder, instance, address, released } = row;
  return { epoch: BigInt(epoch), renewal: BigInt(renewal), holder, instance, address, released: released === 1 };
};

export const takeLease = (
  context: StepContext,
  { memberId, instance, address }: LeaseHolder,
  seen: LeaseSeen | undefined,
  above: bigint,
): Lease | undefined => {
  const lease = readLease(context);
  if (lease && !lease.released && (lease.epoch !== seen?.epoch || lease.renewal !== seen.renewal)) return undefined;
  const { rows, life } = context;
  const epoch = Math.max(life.lease_epoch, Number(above)) + 1;
  rows.run('UPDATE life SET lease_epoch = ?', epoch);
  rows.run('INSERT OR REPLACE INTO lease VALUES (1, ?, 1, ?, ?, ?, 0)', epoch, memberId, instance, address);
  return readLease(context);
};

export const renewLease = (context: StepContext, epoch: bigint, instance: string): Lease | undefined => {
  const sql = 'UPDATE lease SET renewal = renewal + 1 WHERE epoch = ? AND instance = ? AND released = 0';
  return context.rows.run(sql, epoch, instance) === 1 ? readLease(context) : undefined;
};

export const releaseLease = ({ rows }: StepContext, epoch: bigint, instance: string): void => {
  rows.run('UPDATE lease SET released = 1 WHERE epoch = ? AND instance = ?', epoch, instance);
};

export const readLayouts = ({ rows, life }: StepContext): contract.LayoutState => {
  const found = rows.all<RecordRow & { readonly number: number }>('SELECT * FROM layouts ORDER BY number');
  const unretired = found.map((row) => ({ number: row.number, layout: recordOf(row) }));
  return { unretired, retiredUpTo: life.retired_layouts };
};

const addLayout = (rows: Rows, { number, layout }: contract.StoredLayout): void => {
  rows.run('INSERT INTO layouts VALUES (?, ?, ?)', number, layout.bytes, layout.signerSpki);
  rows.run('UPDATE life SET newest_layout = ?', number);
};

export const appendLayout = (
  context: StepContext,
  stored: contract.StoredLayout,
  incarnation: number,
  epoch?: bigint,
): boolean => {
  const { rows, life } = context;
  if (!isLiving(context) || life.incarnation !== incarnation || !leads(context, epoch)) return false;
  if (stored.number !== life.newest_layout + 1) return false;
  addLayout(rows, stored);
  return true;
};

const retire = (rows: Rows, upTo: number): void => {
  rows.run('UPDATE life SET retired_layouts = max(retired_layouts, min(?, newest_layout - 1))', upTo);
  rows.run('DELETE FROM layouts WHERE number <= (SELECT retired_layouts FROM life)');
};

export const retireLayouts = (context: StepContext, upTo: number, incarnation: number, epoch?: bigint): void => {
  const { rows } = requireLife(context, incarnation);
  requireLead(context, epoch);
  retire(rows, upTo);
};

/** The counters and layouts of a restore; the names are _sqlite-names.ts's. */
export const restoreCounters = ({ rows, life }: StepContext, step: RestoreStep): void => {
  if (step.sequence !== undefined) rows.run('UPDATE life SET sequence = max(sequence, ?)', step.sequence);
  if (step.leaseEpoch !== undefined && step.leaseEpoch > BigInt(life.lease_epoch)) {
    rows.run('UPDATE life SET lease_epoch = ?', step.leaseEpoch);
    rows.run('DELETE FROM lease');
  }
  let newest = life.newest_layout;
  for (const layout of step.layouts ?? []) {
    if (layout.number <= newest) continue;
    addLayout(rows, layout);
    newest = layout.number;
  }
  retire(rows, step.retiredUpTo ?? 0);
};

export const checkLayout = ({ life }: StepContext, layoutNumber: number): void => {
  if (life.newest_layout !== layoutNumber) throw new OperaError('layout-changed');
};
