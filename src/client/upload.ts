// One open upload: version id, file keys, plan and operation id; how one begins, how its chunks are sealed, and how
// its commit is made. Invariant: a version's keys live and die with one content: whoever cannot prove that a source
// is still the same begins another upload.
import { sha256 } from '../crypto/digest.ts';
import type { Keyring } from '../crypto/keyring.ts';
import { type FileContent, sealManifestBody } from '../crypto/manifest-body.ts';
import { createFileKeys, type FileKeys, sealChunk } from '../crypto/sealing.ts';
import { wrapFileKey } from '../crypto/wrap.ts';
import { OperaError } from '../errors/errors.ts';
import type { OperationId, VersionId } from '../model/ids.ts';
import { formatTime } from '../runtime/clock.ts';
import type { WireNameChange } from '../wire/messages-names.ts';
import type { AnswerOf } from '../wire/routes.ts';
import type { PlainChunk } from './byte-source.ts';
import { drawOperationId } from './commit.ts';
import { Plan } from './plan.ts';
import type { Session } from './session.ts';
import type { SealedChunk } from './store-chunks.ts';

export interface PutCondition {
  /** Only when no file has the name; otherwise `exists`. */
  readonly ifAbsent?: boolean;
  /** Only when this version is the current one; otherwise `conflict`. */
  readonly ifVersion?: VersionId;
}

export interface Upload {
  readonly name: string;
  readonly version: VersionId;
  readonly keys: FileKeys;
  readonly operationId: OperationId;
  /** Sequence of the name's version when the upload was opened; 0n when there was none. */
  readonly follows: bigint;
  /** The sealed note of a catalogue, which goes along with each of its chunks. */
  readonly note?: Uint8Array;
}

/** What the content of a version is besides its bytes. */
export interface ContentFacts {
  readonly size: number;
  readonly modified: string | undefined;
  readonly chunkCount: number;
  /** Plaintext bytes of each chunk, where they end at records. */
  readonly chunkLengths?: readonly number[] | undefined;
  /** Records of each chunk; only of a catalogue. */
  readonly chunkRecords?: readonly number[] | undefined;
}

type Opened = AnswerOf<'upload.open'>['uploads'][number];

/** Refuses early what the commit would refuse after the transfer; the commit checks again, atomically. */
export const checkCondition = (name: string, current: Opened['current'], condition: PutCondition): void => {
  if (condition.ifAbsent && current) {
    throw new OperaError('exists', `${name}: a file of that name exists already`, {
      hint: 'Use another name, or put it without --if-absent: that makes a new version',
    });
  }
  if (condition.ifVersion !== undefined && current?.version !== condition.ifVersion) {
    const found = current ? `its version is ${current.version}, not the one given` : 'no file has that name';
    throw new OperaError('conflict', `${name}: ${found}`);
  }
};

/** Opens uploads for names, one plan for all. Up to limits.batchEntriesMax distinct names. */
export const openUploads = async (
  session: Session,
  names: readonly string[],
  signal: AbortSignal | undefined,
): Promise<{
  readonly plan: Plan;
  readonly uploads: readonly Upload[];
  readonly current: readonly Opened['current'][];
}> => {
  const { connection, view, networkId } = session;
  const request = { names: [...names], haveLayout: view.layoutNumber };
  const answer = await connection.call('upload.open', request, signal ? { signal } : {});
  if (answer.uploads.length !== names.length) throw new OperaError('integrity', 'the network opened other uploads');
  const versions = answer.uploads.map(({ version }) => version);
  const plan = await Plan.accept(session, answer, answer.ticket, versions);
  const uploads = names.map((name, at): Upload => {
    const { version, current } = answer.uploads[at] ?? { version: undefined };
    if (version === undefined) throw new OperaError('internal', 'an upload was forgotten');
    const keys = createFileKeys(connection.random, networkId, version);
    return { name, version, keys, operationId: drawOperationId(session), follows: current?.sequence ?? 0n };
  });
  return { plan, uploads, current: answer.uploads.map(({ current }) => current) };
};

/** Seals one chunk: the only place where a chunk of a put is sealed. */
export const sealOf = (upload: Upload, { index, plaintext, last }: PlainChunk): SealedChunk => {
  const body = sealChunk(upload.keys, index, plaintext, { last });
  const { version, note } = upload;
  return { version, index, body, hash: sha256(body), ...(note ? { note } : {}) };
};

/** The change that makes the upload the name's version, sealed for one predecessor and one key. */
export const putChange = (
  session: Session,
  upload: Upload,
  facts: ContentFacts,
  condition: PutCondition,
): ((follows: bigint, keyring: Keyring) => WireNameChange) => {
  const { connection, networkId } = session;
  const { random, clock } = connection;
  const { name, version, keys, operationId } = upload;
  const { chunkCount, chunkLengths, chunkRecords } = facts;
  const created = formatTime(clock.nowMs());
  return (follows, keyring) => {
    const content: FileContent = {
      kind: 'file',
      name,
      follows,
      size: facts.size,
      header: keys.header,
      created,
      ...(facts.modified === undefined ? {} : { modified: facts.modified }),
      ...(chunkLengths && { chunkLengths }),
      ...(chunkRecords && { chunkRecords }),
    };
    const body = sealManifestBody(keys.fileKey, networkId, version, 'live', content, random);
    const wrap = wrapFileKey(keyring, networkId, version, keys.fileKey, random);
    const sealed = { version, body, wrap, follows };
    const { ifAbsent, ifVersion } = condition;
    const conditions = { ...(ifAbsent ? { ifAbsent } : {}), ...(ifVersion === undefined ? {} : { ifVersion }) };
    const chosen = Object.keys(conditions).length > 0 ? { condition: conditions } : {};
    const catalogue = chunkRecords ? { catalogue: true } : {};
    return { kind: 'put', operationId, name, ...chosen, sealed, chunkCount, ...catalogue };
  };
};
