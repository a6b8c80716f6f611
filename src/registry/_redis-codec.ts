// What the scripts answer and the hashes keep, to and from our types. Replies are Buffers, numbers, nulls and arrays.
// A signed record is packed as: length of the signer's SPKI u16 ‖ SPKI ‖ record bytes.
// Anything else than what our own scripts write is a bug or a foreign hand: `internal`.
import { OperaError } from '../errors/errors.ts';
import { type NetworkId, parseMemberId, parseOperationId, parseVersionId } from '../model/ids.ts';
import { isRole, parseRole } from '../model/roles.ts';
import type { SignedRecord } from '../model/signed-record.ts';
import { raisedOf } from './_check.ts';
import type { CatalogueEntry } from './catalogues.ts';
import type * as contract from './registry.ts';
import type { StoredToken } from './tokens.ts';

const damaged = (): never => {
  throw new OperaError('internal', 'the registry answered what it should not hold');
};

export const listOf = (reply: unknown): readonly unknown[] => (Array.isArray(reply) ? reply : damaged());

const bufferOf = (reply: unknown): Buffer => (Buffer.isBuffer(reply) ? reply : damaged());

/** A copy: replies share the socket's buffers. */
export const bytesOf = (reply: unknown): Uint8Array => new Uint8Array(bufferOf(reply));

export const textOf = (reply: unknown): string => bufferOf(reply).toString('utf8');

export const numberOf = (reply: unknown): number => {
  const number = typeof reply === 'number' ? reply : Number(textOf(reply));
  return Number.isSafeInteger(number) ? number : damaged();
};

const bigintOf = (reply: unknown): bigint => {
  const text = typeof reply === 'number' ? String(reply) : textOf(reply);
  return /^\d+$/.test(text) ? BigInt(text) : damaged();
};

/** Flat [field, value, …] as a map; empty when the key was absent. */
export const fieldsOf = (reply: unknown): ReadonlyMap<string, unknown> => {
  const flat = listOf(reply);
  const fields = new Map<string, unknown>();
  for (let at = 0; at + 1 < flat.length; at += 2) fields.set(textOf(flat[at]), flat[at + 1]);
  return fields;
};

export const packRecord = ({ bytes, signerSpki }: SignedRecord): Uint8Array => {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(signerSpki.length);
  return Buffer.concat([length, signerSpki, bytes]);
};

export const unpackRecord = (reply: unknown): SignedRecord => {
  const packed = bytesOf(reply);
  const end = 2 + Buffer.from(packed.buffer).readUInt16BE(0);
  return { signerSpki: packed.slice(2, end), bytes: packed.slice(end) };
};

const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));

/** A member without its state, which changes alone and stands beside it. */
export const encodeMember = (member: contract.MemberRecord): string => {
  const { state: _, stateSinceMs: __, stateReason: ___, spki, ...rest } = member;
  return JSON.stringify({ ...rest, spki: toBase64(spki) });
};

export const decodeMember = (record: unknown, state: unknown): contract.MemberRecord => {
  const { spki, ...rest } = JSON.parse(textOf(record)) as Omit<contract.MemberRecord, 'spki'> & { spki: string };
  const [, word, since, reason = ''] = /^(\S+) (\S+) (.*)$/s.exec(textOf(state)) ?? damaged();
  const stateSinceMs = Number(since);
  return { ...rest, spki: fromBase64(spki), state: word as contract.MemberState, stateSinceMs, stateReason: reason };
};

export const encodeToken = ({ record, ...rest }: Omit<StoredToken, 'usedBy'>): string =>
  JSON.stringify({ ...rest, record: toBase64(packRecord(record)) });

export const decodeToken = (json: unknown, uses: unknown): StoredToken => {
  type Json = Omit<StoredToken, 'usedBy' | 'record'> & { readonly record: string };
  const { record, ...rest } = JSON.parse(textOf(json)) as Json;
  if (!isRole(rest.role)) return damaged();
  const usedBy = listOf(uses).map((key) => textOf(key) as StoredToken['usedBy'][number]);
  return { ...rest, role: parseRole(rest.role), record: unpackRecord(Buffer.from(record, 'base64')), usedBy };
};

export const decodeLease = (reply: unknown): contract.Lease | undefined => {
  if (reply === null) return undefined;
  const fields = fieldsOf(reply);
  if (fields.size === 0) return undefined;
  return {
    epoch: bigintOf(fields.get('epoch')),
    renewal: bigintOf(fields.get('renewal')),
    holder: parseMemberId(textOf(fields.get('holder'))),
    instance: textOf(fields.get('instance')),
    address: textOf(fields.get('address')),
    released: textOf(fields.get('released')) === '1',
  };
};

export const decodeLife = (reply: unknown, lifeId: string): contract.RegistryLife => {
  const fields = fieldsOf(reply);
  return {
    networkId: textOf(fields.get('network_id')) as NetworkId,
    incarnation: numberOf(fields.get('incarnation')),
    lifeId,
    ...raisedOf(textOf(fields.get('raised_under')), lifeId),
    sequence: bigintOf(fields.get('sequence')),
    keyEpoch: numberOf(fields.get('key_epoch')),
  };
};

/** A version and its sequence; undefined when there is none (nil or empty). */
export const decodeVersion = (version: unknown, sequence: unknown): contract.NameVersion | undefined =>
  version === null || textOf(version) === ''
    ? undefined
    : { version: parseVersionId(textOf(version)), sequence: bigintOf(sequence) };

/** See commit.lua. */
export const decodeOutcome = (reply: unknown): contract.ChangeOutcome => {
  const [done, ...rest] = listOf(reply);
  if (done !== 1) {
    const [code, version, sequence] = rest;
    return { done: false, code: textOf(code) as contract.ChangeRefusal, current: decodeVersion(version, sequence) };
  }
  const [sequence, incarnation, replacedVersion, replacedSequence, repeated, catalogues] = rest;
  return {
    done: true,
    sequence: bigintOf(sequence),
    incarnation: numberOf(incarnation),
    replaced: decodeVersion(replacedVersion, replacedSequence),
    repeated: textOf(repeated) === '1',
    catalogues: textOf(catalogues) === '1',
  };
};

/** See list-pending.lua. */
export const decodePending = (reply: unknown): contract.PendingChange => {
  const [sequence, flat] = listOf(reply);
  const fields = fieldsOf(flat);
  const manifest = (prefix: string, state: string): contract.PendingManifest => ({
    version: parseVersionId(textOf(fields.get(`${prefix}version`))),
    state: state === 'dead' ? 'dead' : 'live',
    body: bytesOf(fields.get(`${prefix}body`)),
    wrap: bytesOf(fields.get(`${prefix}wrap`)),
  });
  const first = manifest('', textOf(fields.get('state')));
  return {
    name: textOf(fields.get('name')),
    sequence: bigintOf(sequence),
    incarnation: numberOf(fields.get('incarnation')),
    operationId: parseOperationId(textOf(fields.get('operation'))),
    manifests: fields.has('dead_version') ? [first, manifest('dead_', 'dead')] : [first],
  };
};

/** See recordOf in _common.lua. */
export const decodeName = (reply: unknown): contract.NameRecord | undefined => {
  if (reply === null) return undefined;
  const [version, sequence, incarnation, operation, chunks, catalogue, body, wrap, pending, name] = listOf(reply);
  return {
    name: textOf(name),
    version: parseVersionId(textOf(version)),
    sequence: bigintOf(sequence),
    incarnation: numberOf(incarnation),
    operationId: parseOperationId(textOf(operation)),
    chunkCount: numberOf(chunks),
    catalogue: catalogue !== null,
    body: body === null ? undefined : bytesOf(body),
    wrap: bytesOf(wrap),
    pending: pending === null ? undefined : bigintOf(pending),
  };
};

/** See list-catalogues.lua. */
export const decodeCatalogue = (reply: unknown): CatalogueEntry => {
  const [name, version, sequence, chunks, pending] = listOf(reply);
  return {
    name: textOf(name),
    version: parseVersionId(textOf(version)),
    sequence: bigintOf(sequence),
    chunkCount: numberOf(chunks),
    pending: pending === null ? undefined : bigintOf(pending),
  };
};
