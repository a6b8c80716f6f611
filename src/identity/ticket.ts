// The ticket: a master's word that one client may do one operation with these versions, checked by nodes offline.
//   01 | operation u8 | 0 u16 | network 16 | client SPKI hash 32 | subject 32 | layout number u32 | chunk limit u32 |
//   incarnation u32 | issued u64 ms | expires u64 ms | id 16 | signer SPKI hash 32 |
//   signature 64 over "opera/ticket/v1" ‖ all before                                                     (224 bytes)
// Subject = SHA-256 of the version ids, concatenated in the order they are sent along. Invariant: no ticket lives
// longer than 60 s, and none is accepted from a signer that the roster does not list as a valid master.
import { equalBytes, sha256 } from '../crypto/digest.ts';
import { keyHashOfSpki, type Signer, signatureBytes, verifySignature } from '../crypto/signature.ts';
import { OperaError } from '../errors/errors.ts';
import { ByteReader, concatBytes, u8, u16, u32, u64 } from '../model/bytes.ts';
import {
  type KeyHash,
  keyHashToBytes,
  type NetworkId,
  networkIdToBytes,
  type VersionId,
  versionIdToBytes,
} from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import type { SignedRecord } from '../model/signed-record.ts';
import { exactly, parseAs, readTimeMs } from './_records.ts';
import { isValidMember, type Roster } from './roster.ts';

export const ticketBytes = 224;

export const ticketOperations = { put: 1, get: 2, query: 3 } as const;

export type TicketOperation = keyof typeof ticketOperations;

export interface TicketFields {
  readonly operation: TicketOperation;
  readonly networkId: NetworkId;
  readonly client: KeyHash;
  /** subjectOf the versions it covers. */
  readonly subject: Uint8Array;
  readonly layoutNumber: number;
  /** Chunk indices from this one on are refused. Masters give the most there can be: a stream ends where it ends. */
  readonly chunkLimit: number;
  readonly incarnation: number;
  readonly issuedMs: number;
  /** At most limits.ticketLifeMs after issuedMs. */
  readonly expiresMs: number;
  /** 16 random bytes, for logs. */
  readonly id: Uint8Array;
}

export interface Ticket extends TicketFields {
  readonly signer: KeyHash;
  readonly signature: Uint8Array;
}

const refuse = (reason: string): never => {
  throw new OperaError('ticket-invalid', `the ticket is refused: ${reason}`);
};

/** SHA-256 of the version ids in this order. `bad-request` for more than 1,000. */
export const subjectOf = (versions: readonly VersionId[]): Uint8Array => {
  if (versions.length > limits.ticketVersionsMax) {
    throw new OperaError('bad-request', `a ticket covers at most ${limits.ticketVersionsMax} versions`);
  }
  return sha256(...versions.map(versionIdToBytes));
};

export const issueTicket = (fields: TicketFields, signer: Signer): SignedRecord => {
  if (fields.expiresMs <= fields.issuedMs || fields.expiresMs - fields.issuedMs > limits.ticketLifeMs) {
    throw new OperaError('internal', 'a ticket lives at most 60 s');
  }
  const body = concatBytes(
    u8(1),
    u8(ticketOperations[fields.operation]),
    u16(0),
    networkIdToBytes(fields.networkId),
    keyHashToBytes(fields.client),
    exactly(fields.subject, 32, 'a ticket subject'),
    u32(fields.layoutNumber),
    u32(fields.chunkLimit),
    u32(fields.incarnation),
    u64(BigInt(fields.issuedMs)),
    u64(BigInt(fields.expiresMs)),
    exactly(fields.id, 16, 'a ticket id'),
    keyHashToBytes(signer.keyHash),
  );
  return { bytes: concatBytes(body, signer.sign('opera/ticket/v1', body)), signerSpki: signer.spki };
};

const operationOfCode = (code: number): TicketOperation | undefined => {
  if (code === ticketOperations.put) return 'put';
  if (code === ticketOperations.get) return 'get';
  return code === ticketOperations.query ? 'query' : undefined;
};

/** Strict parsing; `ticket-invalid` for anything malformed. The signature is checked by checkTicket. */
export const parseTicket = (bytes: Uint8Array): Ticket => parseAs('ticket-invalid', () => readTicket(bytes));

const readTicket = (bytes: Uint8Array): Ticket => {
  const reader = new ByteReader(bytes, 'the ticket');
  reader.expect(u8(1), 'version');
  const operation = operationOfCode(reader.u8()) ?? reader.fail('unknown operation');
  reader.expect(u16(0), 'reserved field');
  const networkId = reader.networkId();
  const client = reader.keyHash();
  const subject = reader.take(32);
  const [layoutNumber, chunkLimit, incarnation] = [reader.u32(), reader.u32(), reader.u32()];
  const [issuedMs, expiresMs] = [readTimeMs(reader), readTimeMs(reader)];
  const id = reader.take(16);
  const signer = reader.keyHash();
  const signature = reader.take(signatureBytes);
  reader.end();
  if (expiresMs <= issuedMs || expiresMs - issuedMs > limits.ticketLifeMs) reader.fail('its life is not 60 s at most');
  const numbers = { layoutNumber, chunkLimit, incarnation, issuedMs, expiresMs };
  return { operation, networkId, client, subject, ...numbers, id, signer, signature };
};

export interface TicketTrust {
  readonly networkId: NetworkId;
  readonly roster: Roster;
  /** Of the TLS peer that presents the ticket; of the member it was issued to when a node passes chunks on. */
  readonly client: KeyHash;
  /** Highest incarnation promised; lower ones are refused, higher ones are news and accepted. */
  readonly incarnation: number;
  readonly nowMs: number;
  /** Masters' clock minus the own one, as heartbeats showed it. */
  readonly clockOffsetMs: number;
}

export interface TicketUse extends TicketTrust {
  readonly operation: TicketOperation;
  /** The versions sent along, in order; a put or get names at least one. */
  readonly versions: readonly VersionId[];
  /** Layout number the request states, when it does. */
  readonly layoutNumber?: number;
  /** Highest chunk index the request touches. */
  readonly chunkIndex?: number;
}

const covers = (ticket: Ticket, versions: readonly VersionId[]): boolean =>
  versions.length <= limits.ticketVersionsMax && equalBytes(ticket.subject, subjectOf(versions));

/** Signer, network and client: that it was issued to them, whenever. */
const checkIssue = (record: SignedRecord, trust: TicketTrust): Ticket => {
  const ticket = parseTicket(record.bytes);
  if (ticket.networkId !== trust.networkId) refuse('it is of another network');
  if (keyHashOfSpki(record.signerSpki) !== ticket.signer) refuse('the key sent along is not the signer');
  if (!isValidMember(trust.roster, ticket.signer, 'master')) refuse('its signer is not a valid master');
  const body = record.bytes.subarray(0, ticketBytes - signatureBytes);
  if (!verifySignature(record.signerSpki, ticket.signature, 'opera/ticket/v1', body)) refuse('wrong signature');
  if (ticket.client !== trust.client) refuse('it is for another client');
  return ticket;
};

/** `graceMs` is added to the life of the ticket. */
const checkEnd = ({ expiresMs }: Ticket, { nowMs, clockOffsetMs }: TicketTrust, graceMs: number): void => {
  if (nowMs + clockOffsetMs < expiresMs + limits.clockToleranceMs + graceMs) return;
  throw new OperaError('ticket-expired', 'the ticket expired; any master renews it');
};

/**
 * The ticket when it allows this use; `ticket-invalid` (never worth a retry) or `ticket-expired` (renew it, then
 * repeat) otherwise. Whether the layout still is writable is the node's to say.
 */
export const checkTicket = (record: SignedRecord, use: TicketUse): Ticket => {
  const ticket = checkIssue(record, use);
  // A master's clock was ahead, or is behind now: renewed by the master that counts now, the ticket fits again.
  if (ticket.issuedMs > use.nowMs + use.clockOffsetMs + limits.clockToleranceMs) {
    throw new OperaError('ticket-expired', 'the ticket is from the future; check the clocks of the masters');
  }
  checkEnd(ticket, use, 0);
  if (ticket.operation !== use.operation) refuse('it is for another operation');
  if (use.versions.length === 0 && use.operation !== 'query') refuse('it comes with no version');
  if (!covers(ticket, use.versions)) refuse('it is for other versions');
  if (use.layoutNumber !== undefined && use.layoutNumber !== ticket.layoutNumber) refuse('it is for another layout');
  if (use.chunkIndex !== undefined && use.chunkIndex >= ticket.chunkLimit) refuse('the chunk is beyond its limit');
  if (ticket.incarnation < use.incarnation) {
    throw new OperaError('ticket-expired', 'the registry began a new life since the ticket was made; renew it');
  }
  return ticket;
};

export interface TicketRenewal extends TicketTrust {
  /** The versions sent along, in order. */
  readonly versions: readonly VersionId[];
  /** The layout and incarnation the new ticket is for. */
  readonly layoutNumber: number;
  readonly id: Uint8Array;
}

/**
 * A new ticket for what the old one allowed, on the old one alone: no registry is asked. The old one may have expired
 * up to limits.ticketRenewalGraceMs ago and may be of an older incarnation. Errors as checkTicket.
 */
export const renewTicket = (record: SignedRecord, renewal: TicketRenewal, signer: Signer): SignedRecord => {
  const old = checkIssue(record, renewal);
  checkEnd(old, renewal, limits.ticketRenewalGraceMs);
  if (!covers(old, renewal.versions)) refuse('it is for other versions');
  const issuedMs = renewal.nowMs + renewal.clockOffsetMs;
  return issueTicket(
    {
      ...old,
      layoutNumber: renewal.layoutNumber,
      incarnation: Math.max(old.incarnation, renewal.incarnation),
      issuedMs,
      expiresMs: issuedMs + limits.ticketLifeMs,
      id: renewal.id,
    },
    signer,
  );
};
