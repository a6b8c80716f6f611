// A layout: the numbered, signed table partition → ordered owners. It is made from its predecessor, never edited.
//
//   01 | network 16 | number u32 | leader epoch u64 | incarnation u32 | previous layout's SHA-256 32 | partitions u16 |
//   R′ u8 | W′ u8 | n u16 | n × SPKI hash 32 | partitions × R′ × u16 node index (FFFF = none) |
//   signer SPKI hash 32 | signature 64 over "opera/layout/v1" ‖ all before
//
// One layout has one spelling: nodes ascend, absent owners come last. Whether the signer is a valid master of the
// network is the caller's question to its roster; nothing here looks at numbers, epochs or time.
import { equalBytes, sha256 } from '../crypto/digest.ts';
import { keyHashOfSpki, type Signer, signatureBytes, verifySignature } from '../crypto/signature.ts';
import { OperaError } from '../errors/errors.ts';
import {
  type KeyHash,
  keyHashFromBytes,
  keyHashToBytes,
  type NetworkId,
  networkIdFromBytes,
  networkIdToBytes,
} from '../model/ids.ts';
import type { SignedRecord } from '../model/signed-record.ts';
import { partitionCount } from './partition.ts';

/** Index that stands for "no owner" in the table. */
export const noOwner = 0xffff;

/** Most nodes a layout can name: indexes are u16 and the last one means "none". */
export const layoutNodesMax = 0xffff - 1;

/** What says who owns what; all that planning needs of a layout. */
export interface OwnerTable {
  /** R′: owners a partition has, 1–255, never above the number of nodes. */
  readonly copies: number;
  /** W′: copies a write needs, 1–R′. */
  readonly writeCopies: number;
  /** Ascending, distinct; a node may own nothing. */
  readonly nodes: readonly KeyHash[];
  /** partitions × R′ indexes into `nodes`; the first owner of a partition takes its uploads. */
  readonly owners: Uint16Array;
}

export interface LayoutFields extends OwnerTable {
  readonly networkId: NetworkId;
  /** u32, 1 for the first layout. */
  readonly number: number;
  readonly leaderEpoch: bigint;
  readonly incarnation: number;
  /** SHA-256 over all bytes of the layout before this one; 32 zero bytes for the first. */
  readonly previousHash: Uint8Array;
}

export interface Layout extends LayoutFields {
  /** The key that the record says signed it. */
  readonly signer: KeyHash;
}

const headBytes = 1 + 16 + 4 + 8 + 4 + 32 + 2 + 1 + 1 + 2;
const tailBytes = 32 + signatureBytes;

const bytesOf = (nodes: number, copies: number): number =>
  headBytes + 32 * nodes + 2 * partitionCount * copies + tailBytes;

const malformed = (what: string): OperaError => new OperaError('bad-request', `the layout is malformed: ${what}`);

const checkNodes = (nodes: readonly KeyHash[]): void => {
  if (nodes.length === 0 || nodes.length > layoutNodesMax) throw malformed('number of nodes');
  let before = '';
  for (const node of nodes) {
    if (node <= before) throw malformed('nodes out of order');
    before = node;
  }
};

/** Owners of each partition are distinct and known, absent ones come last, and no partition is without any. */
const checkOwners = (owners: Uint16Array, copies: number, nodes: number): void => {
  if (owners.length !== partitionCount * copies) throw malformed('size of the table');
  for (let start = 0; start < owners.length; start += copies) {
    for (let slot = start; slot < start + copies; slot++) {
      const owner = owners[slot] ?? noOwner;
      if (owner === noOwner) {
        if (slot === start) throw malformed('a partition without an owner');
        continue;
      }
      if (owner >= nodes) throw malformed('an owner that is no node');
      for (let earlier = start; earlier < slot; earlier++) {
        if (owners[earlier] === owner) throw malformed('an owner twice');
        if (owners[earlier] === noOwner) throw malformed('an owner after an absent one');
      }
    }
  }
};

const isUint32 = (value: number): boolean => Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;

const check = (fields: LayoutFields): void => {
  if (!isUint32(fields.number) || fields.number === 0) throw malformed('number');
  if (!isUint32(fields.incarnation)) throw malformed('incarnation');
  if (fields.leaderEpoch < 0n || fields.leaderEpoch > 0xffff_ffff_ffff_ffffn) throw malformed('leader epoch');
  if (fields.previousHash.length !== 32) throw malformed('previous hash');
  checkNodes(fields.nodes);
  const { copies, writeCopies } = fields;
  if (!Number.isInteger(copies) || copies < 1 || copies > Math.min(255, fields.nodes.length)) throw malformed('R′');
  if (!Number.isInteger(writeCopies) || writeCopies < 1 || writeCopies > copies) throw malformed('W′');
  checkOwners(fields.owners, copies, fields.nodes.length);
};

/** Bytes of a layout signed by `signer`. Throws `bad-request` for fields that no reader would accept. */
export const encodeLayout = (fields: LayoutFields, signer: Signer): Uint8Array => {
  check(fields);
  const bytes = Buffer.alloc(bytesOf(fields.nodes.length, fields.copies));
  bytes.writeUInt8(1, 0);
  bytes.set(networkIdToBytes(fields.networkId), 1);
  bytes.writeUInt32BE(fields.number, 17);
  bytes.writeBigUInt64BE(fields.leaderEpoch, 21);
  bytes.writeUInt32BE(fields.incarnation, 29);
  bytes.set(fields.previousHash, 33);
  bytes.writeUInt16BE(partitionCount, 65);
  bytes.writeUInt8(fields.copies, 67);
  bytes.writeUInt8(fields.writeCopies, 68);
  bytes.writeUInt16BE(fields.nodes.length, 69);
  let at = headBytes;
  for (const node of fields.nodes) {
    bytes.set(keyHashToBytes(node), at);
    at += 32;
  }
  for (const owner of fields.owners) at = bytes.writeUInt16BE(owner, at);
  bytes.set(keyHashToBytes(signer.keyHash), at);
  at += 32;
  bytes.set(signer.sign('opera/layout/v1', bytes.subarray(0, at)), at);
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
};

/** Strict reader of layout bytes; throws `bad-request`. The signature is not looked at: see verifyLayout. */
export const parseLayout = (record: Uint8Array): Layout => {
  const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength);
  if (bytes.length < headBytes + tailBytes) throw malformed('length');
  if (bytes.readUInt8(0) !== 1) throw malformed('format version');
  if (bytes.readUInt16BE(65) !== partitionCount) throw malformed('number of partitions');
  const copies = bytes.readUInt8(67);
  const nodeCount = bytes.readUInt16BE(69);
  if (bytes.length !== bytesOf(nodeCount, copies)) throw malformed('length');
  const nodes: KeyHash[] = [];
  for (let at = headBytes; nodes.length < nodeCount; at += 32)
    nodes.push(keyHashFromBytes(bytes.subarray(at, at + 32)));
  const owners = new Uint16Array(partitionCount * copies);
  const ownersAt = headBytes + 32 * nodeCount;
  for (let slot = 0; slot < owners.length; slot++) owners[slot] = bytes.readUInt16BE(ownersAt + 2 * slot);
  const signerAt = bytes.length - tailBytes;
  const layout: Layout = {
    networkId: networkIdFromBytes(bytes.subarray(1, 17)),
    number: bytes.readUInt32BE(17),
    leaderEpoch: bytes.readBigUInt64BE(21),
    incarnation: bytes.readUInt32BE(29),
    previousHash: new Uint8Array(bytes.subarray(33, 65)),
    copies,
    writeCopies: bytes.readUInt8(68),
    nodes,
    owners,
    signer: keyHashFromBytes(bytes.subarray(signerAt, signerAt + 32)),
  };
  check(layout);
  return layout;
};

/** A parsed layout whose signature is by `record.signerSpki`; throws `bad-request` or `integrity`. */
export const verifyLayout = (record: SignedRecord): Layout => {
  const layout = parseLayout(record.bytes);
  const signatureAt = record.bytes.length - signatureBytes;
  const signed = record.bytes.subarray(0, signatureAt);
  const signature = record.bytes.subarray(signatureAt);
  if (keyHashOfSpki(record.signerSpki) !== layout.signer) {
    throw new OperaError('integrity', 'the layout names another signer');
  }
  if (!verifySignature(record.signerSpki, signature, 'opera/layout/v1', signed)) {
    throw new OperaError('integrity', 'the signature of the layout is wrong');
  }
  return layout;
};

/** SHA-256 over all bytes of a layout, which its successor names. */
export const hashOfLayout = (bytes: Uint8Array): Uint8Array => sha256(bytes);

/** True when `next` names `previousBytes` as its predecessor, or names none and there is none. */
export const follows = (next: Layout, previousBytes: Uint8Array | undefined): boolean =>
  equalBytes(next.previousHash, previousBytes ? hashOfLayout(previousBytes) : new Uint8Array(32));

/** Owners of a partition in order, the first one takes uploads; O(R′). Empty for a partition out of range. */
export const ownersOf = (table: OwnerTable, partition: number): KeyHash[] => {
  const owners: KeyHash[] = [];
  for (let slot = 0; slot < table.copies; slot++) {
    const node = table.nodes[table.owners[partition * table.copies + slot] ?? noOwner];
    if (node !== undefined) owners.push(node);
  }
  return owners;
};
