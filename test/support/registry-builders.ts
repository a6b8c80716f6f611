// Builders of registry arguments for tests: ids from counters, sealed bodies of random-looking bytes, one network.
// Nothing here is sealed or signed for real: the registry never opens what it keeps.
import { createHash } from 'node:crypto';
import {
  type KeyHash,
  memberIdOf,
  networkIdFromBytes,
  type OperationId,
  parseKeyHash,
  parseOperationId,
  parseVersionId,
  type VersionId,
} from '../../src/model/ids.ts';
import type { Role } from '../../src/model/roles.ts';
import type { SignedRecord } from '../../src/model/signed-record.ts';
import type {
  ChangeOutcome,
  CommitStep,
  MemberRecord,
  NameChange,
  PutChange,
  Registry,
  RemoveChange,
  RenameChange,
  SealedBody,
} from '../../src/registry/registry.ts';
import type { FirstRoster } from '../../src/registry/roster-swap.ts';

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

let counter = 0;
export const newVersion = (): VersionId => parseVersionId(digest(`version ${++counter}`).slice(0, 32));
export const newOperation = (): OperationId => parseOperationId(digest(`operation ${++counter}`).slice(0, 32));
export const keyHash = (text: string): KeyHash => parseKeyHash(digest(`key ${text}`));
export const bytes = (text: string, length = 32): Uint8Array => new Uint8Array(length).fill(Buffer.from(text)[0] ?? 0);

export const networkId = networkIdFromBytes(bytes('n', 16));
export const client = keyHash('client');

export const record = (text: string): SignedRecord => ({
  bytes: new Uint8Array(Buffer.from(`record ${text}\0ÿ`, 'latin1')),
  signerSpki: new Uint8Array([0, 255, 10, 13, ...Buffer.from(text)]),
});

export const firstRoster: FirstRoster = {
  number: 1n,
  hash: bytes('1'),
  keyEpoch: 1,
  roster: record('roster 1'),
  keep: true,
};

export const wrap = (epoch = 1): Uint8Array => {
  const built = new Uint8Array(76).fill(0xee);
  new DataView(built.buffer).setUint32(0, epoch);
  return built;
};

export const member = (name: string, over: Partial<MemberRecord> = {}): MemberRecord => {
  const key = keyHash(name);
  const role: Role = over.role ?? 'node';
  return {
    memberId: memberIdOf(key),
    keyHash: key,
    role,
    addresses: [`${name}:1`],
    zone: 'zone a',
    capacityBytes: 2 ** 40 + 1,
    spki: new Uint8Array([48, 0, 255, 128]),
    joinedMs: 1_763_868_000_001,
    certificateExpiresMs: 1_764_868_000_001,
    state: 'up',
    stateSinceMs: 1_763_868_000_002,
    stateReason: 'joined',
    ...over,
  };
};

const sealed = (version: VersionId, follows = 0n, over: Partial<SealedBody> = {}): SealedBody => ({
  version,
  body: new Uint8Array(Buffer.from(`body of ${version}\0ÿ`, 'latin1')),
  wrap: wrap(),
  follows,
  ...over,
});

type PutOver = Partial<Omit<PutChange, 'sealed'>> & { readonly sealed?: Partial<SealedBody> };

export const put = (name: string, version: VersionId, { sealed: over, ...rest }: PutOver = {}): PutChange => ({
  kind: 'put',
  operationId: newOperation(),
  name,
  sealed: sealed(version, over?.follows, over),
  chunkCount: 1,
  nodes: ['n1:1', 'n2:1', 'n3:1'],
  ...rest,
});

export const remove = (name: string, version: VersionId, follows: bigint): RemoveChange => ({
  kind: 'remove',
  operationId: newOperation(),
  name,
  sealed: sealed(version, follows),
});

export const rename = (
  name: string,
  to: string,
  version: VersionId,
  sequence: bigint,
  targetSequence = 0n,
): RenameChange => ({
  kind: 'rename',
  operationId: newOperation(),
  name,
  to,
  sealed: sealed(version, targetSequence),
  tombstone: sealed(newVersion(), sequence),
});

export const step = (changes: readonly NameChange[], over: Partial<CommitStep> = {}): CommitStep => ({
  incarnation: 1,
  layoutNumber: 1,
  uploadAgeMaxMs: 72 * 3_600_000,
  changes,
  ...over,
});

/** A network with one layout, ready for commits. */
export const createNetwork = async (registry: Registry): Promise<void> => {
  await registry.createNetwork(networkId, firstRoster);
  await registry.appendLayout({ number: 1, layout: record('layout 1') }, 1);
};

export const openUpload = async (registry: Registry, name: string, over = {}): Promise<VersionId> => {
  const version = newVersion();
  await registry.openUploads({ incarnation: 1, client, layoutNumber: 1, uploads: [{ version, name }], ...over });
  return version;
};

export type Done = Extract<ChangeOutcome, { readonly done: true }>;

export const commitOne = async (registry: Registry, change: NameChange, over = {}): Promise<ChangeOutcome> => {
  const [outcome] = await registry.commit(step([change], over));
  if (!outcome) throw new Error('a commit answered nothing');
  return outcome;
};

export const commitDone = async (registry: Registry, change: NameChange, over = {}): Promise<Done> => {
  const outcome = await commitOne(registry, change, over);
  if (!outcome.done) throw new Error(`a commit was refused: ${outcome.code}`);
  return outcome;
};

/** Opens an upload and commits it over whatever the name holds. */
export const putName = async (
  registry: Registry,
  name: string,
  nodes?: readonly string[],
): Promise<Done & { readonly version: VersionId }> => {
  const [current] = await registry.getNames([name]);
  const version = await openUpload(registry, name);
  const change = put(name, version, { sealed: { follows: current?.sequence ?? 0n }, ...(nodes ? { nodes } : {}) });
  return { ...(await commitDone(registry, change)), version };
};

/** The refusal code of an outcome, or `done`. */
export const codeOf = (outcome: ChangeOutcome): string => (outcome.done ? 'done' : outcome.code);

/** Public keys with their lists sorted, as a plain object: the order in them is not promised. */
export const publicKeysOf = async (registry: Registry): Promise<Record<string, string[]>> => {
  const keys = await registry.readPublicKeys();
  return Object.fromEntries([...keys].map(([key, list]) => [key, [...list].sort()] as const).sort());
};

/** What the public keys must be for these files, computed the naive way. */
export const publicKeysFor = (
  files: Iterable<readonly [string, readonly string[]]>,
  nodes: readonly string[] = [],
): Record<string, string[]> => {
  const keys = new Map<string, Set<string>>();
  const add = (key: string, value: string): void => void keys.set(key, (keys.get(key) ?? new Set()).add(value));
  for (const node of nodes) add('network:nodes', node);
  for (const [name, owners] of files) {
    add('network:data', name);
    for (const node of owners) {
      add(`network:data:node:${node}`, name);
      add(`network:data:file:${name}`, node);
    }
  }
  return Object.fromEntries([...keys].map(([key, set]) => [key, [...set].sort()] as const).sort());
};
