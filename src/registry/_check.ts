// Checks of what callers hand to a registry, before any database sees it; the three implementations share them, so
// that a bad argument fails alike everywhere and no script or statement has to stop half way.
// Limits that only databases have stand here with their reason. Whether names are in NFC and allowed is the caller's
// check.
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import { nameBytesMax } from '../model/names.ts';
import type { NameWrap } from './epoch-records.ts';
import type { ClusterEvent } from './events.ts';
import type { CatalogueQuery } from './catalogues.ts';
import type { CommitStep, NameChange, SealedBody } from './registry.ts';
import type { RestoreStep } from './restore.ts';
import type { RosterSwap } from './roster-swap.ts';

/** Names, uploads, pending changes or events a call. Bounds the time one call holds the database: about 10 ms. */
export const batchMax = 1000;
const { stepChangesMax, manifestBodyBytesMax } = limits;
/** Events kept at least. */
export const eventsKept = 10_000;
/** Nodes a file can name in the public keys: the most a layout can hold (u16). */
const nodesMax = 65_535;
const wrapBytes = 76;
const chainRecordBytes = 77;
const eventBytesMax = 1024;
/** Lua counts in doubles: sequences stay below 2^53, which microseconds reach in the year 2255. */
const sequenceMax = 2n ** 53n - 1n;

const bad = (message: string): never => {
  throw new OperaError('bad-request', message);
};

/** A name that both databases keep as it is: 1 to 1,024 bytes of well-formed text without NUL. */
const checkName = (name: string): void => {
  const length = Buffer.byteLength(name);
  if (length < 1 || length > nameBytesMax) throw new OperaError('bad-name', `a name has 1 to ${nameBytesMax} bytes`);
  if (/[\p{Surrogate}\0]/u.test(name)) throw new OperaError('bad-name', 'a name is well-formed text without NUL');
};

export const checkNames = (names: readonly string[]): void => {
  if (names.length > batchMax) bad(`at most ${batchMax} names a call`);
  names.forEach(checkName);
};

export const checkLimit = (limit: number): void => {
  if (!Number.isInteger(limit) || limit < 1 || limit > batchMax) bad(`a limit is 1 to ${batchMax}`);
};

/** A prefix may be empty and longer than a name, but must be text. */
export const checkPrefix = (prefix: string): void => {
  if (prefix.length > nameBytesMax || /[\p{Surrogate}\0]/u.test(prefix)) bad('the prefix is malformed');
};

export const checkCatalogueQuery = ({ prefix, max }: CatalogueQuery): void => {
  checkPrefix(prefix);
  if (!Number.isInteger(max) || max < 1 || max > limits.cataloguesMax) bad(`max is 1 to ${limits.cataloguesMax}`);
};

/** Thrown inside the step, where their number is known. */
export const tooManyCatalogues = (max: number): OperaError =>
  new OperaError('too-large', `more than ${max} catalogues; restrict the query to a part of them`);

export const checkSequence = (sequence: bigint): void => {
  if (sequence < 0n || sequence > sequenceMax) bad('a sequence is in [0, 2^53)');
};

/** The epoch a wrap states in its first four bytes. */
export const wrapEpoch = (wrap: Uint8Array): number =>
  new DataView(wrap.buffer, wrap.byteOffset, wrap.byteLength).getUint32(0);

const checkSealed = (sealed: SealedBody): void => {
  if (sealed.wrap.length !== wrapBytes) bad(`a wrap has ${wrapBytes} bytes`);
  if (sealed.body.length > manifestBodyBytesMax) throw new OperaError('too-large', 'the manifest body is too long');
  checkSequence(sealed.follows);
};

const checkCount = (count: number): void => {
  if (!Number.isInteger(count) || count < 0 || count > 2 ** 31) bad('a chunk count is in [0, 2^31]');
};

export const checkNodes = (nodes: readonly string[]): void => {
  if (nodes.length > nodesMax) bad('too many nodes');
  for (const node of nodes) if (!/^[\x21-\x7e]{1,300}$/.test(node)) bad('a node address is malformed');
};

/** The names a change touches. */
export const namesOf = (change: NameChange): readonly string[] =>
  change.kind === 'rename' ? [change.name, change.to] : [change.name];

const checkChange = (change: NameChange): void => {
  checkSealed(change.sealed);
  if (change.kind === 'rename') checkSealed(change.tombstone);
  if (change.kind !== 'put') return;
  checkCount(change.chunkCount);
  checkNodes(change.nodes);
};

export const checkCommit = (step: CommitStep): void => {
  const { changes } = step;
  if (changes.length < 1 || changes.length > stepChangesMax) bad(`a commit has 1 to ${stepChangesMax} changes`);
  const names = changes.flatMap(namesOf);
  names.forEach(checkName);
  if (new Set(names).size !== names.length) bad('a name stands twice in one commit');
  if (new Set(changes.map((change) => change.operationId)).size !== changes.length) bad('an operation id stands twice');
  changes.forEach(checkChange);
};

export const checkRosterSwap = (swap: RosterSwap): void => {
  if (swap.number <= swap.expectNumber) bad('a roster has a higher number than the one it follows');
  if (swap.keys && swap.keys.chain.record.length !== chainRecordBytes) {
    bad(`a chain record has ${chainRecordBytes} bytes`);
  }
};

export const checkWraps = (wraps: readonly NameWrap[]): void => {
  if (wraps.length > stepChangesMax) bad(`at most ${stepChangesMax} wraps a call`);
  for (const { name, sequence, wrap } of wraps) {
    checkName(name);
    checkSequence(sequence);
    if (wrap.length !== wrapBytes) bad(`a wrap has ${wrapBytes} bytes`);
  }
};

export const checkEvent = (event: ClusterEvent): void => {
  if (Buffer.byteLength(JSON.stringify(event.facts)) > eventBytesMax) bad(`facts are at most ${eventBytesMax} bytes`);
};

export const checkRestore = (step: RestoreStep): void => {
  const names = step.names ?? [];
  const all = [...names, ...(step.dead ?? [])];
  checkNames(all.map((entry) => entry.name));
  if (new Set(all.map((entry) => entry.name)).size !== all.length) bad('a name stands twice in one restore');
  for (const { sequence } of all) checkSequence(sequence);
  for (const entry of names) {
    if (entry.wrap.length !== wrapBytes) bad(`a wrap has ${wrapBytes} bytes`);
    checkCount(entry.chunkCount);
    checkNodes(entry.nodes);
  }
  if (step.sequence !== undefined) checkSequence(step.sequence);
  const { operations = [] } = step;
  if (operations.length > batchMax) bad(`at most ${batchMax} operations a call`);
  for (const { sequence } of operations) checkSequence(sequence);
};

/** What a database notes as `raised under` until it is settled: unlike every life, so that name steps are refused. */
export const unsettled = (lifeId: string): string => `${lifeId}${unsettledMark}`;
const unsettledMark = ':unsettled';

/** The two facts of a life that lie in that note. */
export const raisedOf = (
  note: string,
  lifeId: string,
): { readonly raisedUnder: string; readonly settled: boolean } => ({
  raisedUnder: note.endsWith(unsettledMark) ? note.slice(0, -unsettledMark.length) : note,
  settled: note === lifeId,
});

/** The position an opaque event id of the counting implementations stands for; 0 before the first. */
export const parseEventId = (after: string | undefined): number => {
  if (after === undefined) return 0;
  return /^\d{1,15}$/.test(after) ? Number(after) : bad('the event id is malformed');
};
