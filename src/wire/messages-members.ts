// Messages about members, rosters, keys, join codes and the state of the network.
// Requests are strict objects; answers tolerate members added by newer versions.
import * as v from 'valibot';
import { limits } from '../model/limits.ts';
import {
  address,
  addresses,
  bytes,
  count,
  integer,
  keyHash,
  listOf,
  memberId,
  milliseconds,
  networkId,
  operationId,
  role,
  signedRecord,
  text,
  u32,
  u64,
} from './schema.ts';

const rosterRecord = signedRecord(197, 4 * 1024 * 1024);
export const layoutRecord = signedRecord(100, 2 * 1024 * 1024);
const keyBoxRecord = signedRecord(214, 214);
const keyBoxes = listOf(keyBoxRecord, 10_000);
const keyChain = listOf(bytes(77), 10_000);
const memberStates = ['joining', 'up', 'suspect', 'down', 'out', 'quarantine', 'draining', 'removed'] as const;

const memberEntry = v.object({
  memberId,
  keyHash,
  role,
  addresses,
  zone: text(0, 64),
  capacityBytes: count,
  state: v.picklist(memberStates),
  stateSinceMs: milliseconds,
  stateReason: text(0, 200),
  joinedMs: milliseconds,
  certificateExpiresMs: milliseconds,
  revoked: v.boolean(),
});
/** Who serves where: what clients, nodes and gateways need to dial a member. */
const peerEntry = v.object({
  memberId,
  keyHash,
  role,
  address,
  zone: text(0, 64),
  state: v.picklist(memberStates),
});
export const peers = listOf(peerEntry, 10_000);

export const nothing = v.strictObject({});
export const accepted = v.object({});

// ---- join listener
export const bundleAnswer = v.object({ bundle: bytes(1, 64 * 1024) });
export const nonceAnswer = v.object({ nonce: bytes(40) });
export const joinRequest = v.strictObject({
  networkId,
  tokenKey: bytes(32),
  role,
  agreementKey: bytes(32),
  addresses,
  csr: bytes(1, 8 * 1024),
  nonce: bytes(40),
  signature: bytes(64),
});
export const renewRequest = v.strictObject({
  networkId,
  csr: bytes(1, 8 * 1024),
  nonce: bytes(40),
  signature: bytes(64),
});
export const admission = v.object({
  certificate: bytes(1, 8 * 1024),
  rosters: listOf(rosterRecord, 1_000),
  keyBoxes,
  keyChain,
  peers,
  /** Of the gateway that answers, for renewing when the mesh is closed to an expired certificate. */
  joinAddresses: addresses,
});

// ---- every role
export const pingAnswer = v.object({
  memberId,
  role,
  instance: text(32, 32),
  ready: v.boolean(),
  rosterNumber: u64,
  /** SHA-256 of the roster: two of one number are a fork. A program of before it does not say. */
  rosterHash: v.optional(bytes(32)),
  nowMs: milliseconds,
});
export const rosterSinceRequest = v.strictObject({ number: u64 });
export const rosters = v.strictObject({ rosters: listOf(rosterRecord, 1_000) });
export const rosterAnswer = v.object({ rosters: listOf(rosterRecord, 1_000) });
export const rosterAcknowledgement = v.object({ number: u64 });
export const keysPutRequest = v.strictObject({ keyBoxes, keyChain });
export const keysHeldAnswer = v.object({ keyBoxes, keyChain });

// ---- gateway, mesh listener
export const announceRequest = v.strictObject({
  addresses,
  zone: text(0, 64),
  capacityBytes: count,
  /** The newest roster held; without it every kept roster is answered. */
  rosterNumber: v.optional(u64),
});
export const announceAnswer = v.object({
  peers,
  rosters: listOf(rosterRecord, 1_000),
  keyBoxes,
  keyChain,
  joinAddresses: addresses,
});

export const tokenCreateRequest = v.strictObject({
  role,
  tokenKey: bytes(32),
  lifeMs: integer(1_000, limits.joinTokenLifeMaxMs),
  uses: integer(1, 1_000),
});
const tokenEntry = v.object({
  tokenId: text(32, 32),
  role,
  expiresMs: milliseconds,
  usesMax: count,
  uses: count,
  createdBy: memberId,
});
export const tokenCreateAnswer = v.object({ token: tokenEntry, joinAddresses: addresses });
export const tokenListAnswer = v.object({ tokens: listOf(tokenEntry, 100_000) });
export const tokenRemoveRequest = v.strictObject({ tokenId: text(32, 32) });
export const removedAnswer = v.object({ removed: v.boolean() });

export const membersAnswer = v.object({ members: listOf(memberEntry, 10_000), rosterNumber: u64 });
export const revokeRequest = v.strictObject({ memberId, operationId });
export const revokeAnswer = v.object({
  rosterNumber: u64,
  confirmed: listOf(memberId, 10_000),
  unconfirmed: listOf(memberId, 10_000),
});
export const recoveryAddRequest = v.strictObject({ agreementKey: bytes(32) });
export const recoveryAddAnswer = v.object({ rosterNumber: u64, keyEpoch: u32, recoveryKeys: count });

// ---- status
/** The key epoch a node works with, and how many of its manifests are wrapped under older ones. */
const wrapProgress = { epoch: u32, below: count };

const nodeStatus = v.object({
  memberId,
  heardMs: v.optional(milliseconds),
  chunks: count,
  manifests: count,
  chunkBytes: count,
  freeBytes: v.optional(count),
  readOnly: v.boolean(),
  layoutNumber: u32,
  completeLayout: u32,
  sound: v.boolean(),
  /** What it still has to copy for the newest layout. */
  repair: v.object({ chunks: count, bytes: count }),
  wraps: v.optional(v.object(wrapProgress)),
  /** What is wrong with its index of star systems, as it said itself. */
  indexTrouble: v.optional(text(1, limits.indexTroubleMax)),
  /** Chunks it stored of which these nodes missed a copy; it gives it to them as soon as they take it. */
  owed: v.optional(listOf(v.object({ memberId, chunks: count }), limits.batchEntriesMax)),
  /** Wall clock; when its quarantine ends if it stays up. */
  quarantineUntilMs: v.optional(milliseconds),
});
/** What the leader cannot or must not put right by itself. */
const alarmEntry = v.object({ kind: text(1, 40), sinceMs: milliseconds, text: text(1, 300) });
export const statusAnswer = v.object({
  networkId,
  incarnation: u32,
  rosterNumber: u64,
  keyEpoch: u32,
  copies: count,
  writeCopies: count,
  indexMode: text(1, 20),
  layoutNumber: u32,
  layoutCopies: count,
  layoutWriteCopies: count,
  retiredUpTo: u32,
  placementsLayout: u32,
  leader: v.optional(v.object({ memberId, epoch: u64 })),
  files: count,
  pending: count,
  members: listOf(memberEntry, 10_000),
  nodes: listOf(nodeStatus, 10_000),
  /** What the leader cannot put right by itself. */
  alarms: listOf(alarmEntry, 100),
  /** Partitions with fewer than R′ owners that are heard and hold all they should; of 4,096. */
  underReplicated: count,
  /** What the leader would change about the layout, and what that waits for. */
  wanted: v.optional(v.object({ joining: count, leaving: count, blocked: v.optional(text(1, 40)) })),
  /** Nodes that an operator can remove without losing a copy. */
  safeToRemove: listOf(memberId, 10_000),
  registryMode: v.picklist(['normal', 'safe']),
  /** Why nothing is committed: in safe mode, or while nobody can renew the lease of the leader. */
  registryReason: v.optional(text(1, 400)),
  /** How far the last comparison of the registry with the nodes came; partitions of 4,096. */
  rebuild: v.optional(
    v.object({ incarnation: u32, partitions: count, names: count, dead: count, spread: count, unreadable: count }),
  ),
  servedHour: u32,
  nowMs: milliseconds,
});
export const eventsRequest = v.strictObject({ after: v.optional(text(1, 64)), limit: integer(1, 1_000) });
export const eventsAnswer = v.object({
  events: listOf(
    v.object({
      id: text(1, 64),
      atMs: milliseconds,
      kind: text(1, 64),
      causeId: text(32, 32),
      memberId: v.optional(memberId),
      facts: v.record(text(1, 64), v.union([v.string(), v.number(), v.boolean()])),
    }),
    1_000,
  ),
});

// ---- master, from nodes, sentinels and gateways
export const heartbeatRequest = v.strictObject({
  instance: text(32, 32),
  storeId: text(32, 32),
  writeCounter: count,
  highestSequence: u64,
  incarnation: u32,
  promisedEpoch: u64,
  layoutNumber: u32,
  completeLayout: u32,
  rosterNumber: u64,
  chunks: count,
  manifests: count,
  chunkBytes: count,
  freeBytes: v.optional(count),
  readOnly: v.boolean(),
  /** False for a store that is blank or was restored: what it does not hold proves nothing. */
  sound: v.boolean(),
  /** Served hours of the network as this node knows them. */
  servedHour: u32,
  /** What is listed and not yet copied for the newest layout; zero when nothing is known to be missing. */
  repair: v.strictObject({ chunks: count, bytes: count }),
  wraps: v.optional(v.strictObject(wrapProgress)),
  /** What is wrong with the index of star systems; absent while it does its work. */
  indexTrouble: v.optional(text(1, limits.indexTroubleMax)),
  /** Copies of chunks it stored that other owners missed, and will be given; absent while there are none. */
  owed: v.optional(listOf(v.strictObject({ node: keyHash, chunks: count }), limits.batchEntriesMax)),
});
export const heartbeatAnswer = v.object({
  nowMs: milliseconds,
  /** Epoch in which the answering master leads; 0 when it does not. What follows an epoch binds only with it. */
  epoch: u64,
  servedHour: u32,
  /** True while the leader has a complete view in this incarnation: without it nothing is deleted. */
  mayDelete: v.boolean(),
  incarnation: u32,
  layoutNumber: u32,
  retiredUpTo: u32,
  rosterNumber: u64,
  leads: v.boolean(),
  /** The highest write counter that this master heard of the node's store under earlier ids. */
  writeCounterSeen: v.optional(count),
  /** The leading master as this one knows it, for heartbeats to go there. */
  leader: v.optional(v.object({ memberId, address: text(1, 262) })),
});
export const memberChangedRequest = v.strictObject({ memberId });

// ---- node, from the leading master
export const promiseRequest = v.strictObject({ epoch: u64, instance: text(32, 32) });
export const promiseAnswer = v.object({ promised: v.boolean(), epoch: u64, layoutNumber: u32 });
export const layoutOrder = v.strictObject({
  epoch: u64,
  instance: text(32, 32),
  incarnation: u32,
  layouts: listOf(layoutRecord, 16, 1),
  retiredUpTo: u32,
  peers,
});
export const layoutAcknowledgement = v.object({ number: u32 });
export const layoutCovered = v.strictObject({ epoch: u64, instance: text(32, 32), number: u32 });
