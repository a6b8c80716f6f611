// Opening what the network says of a name: the wrap and body of its record, checked before anything else is believed.
// Refused: another name, version or network than asked for, a header or chunk count that does not fit, a sequence
// below one seen before. Reads no chunk.
import { type FileContent, openManifestBody } from '../crypto/manifest-body.ts';
import { type ChunkGeometry, createGeometry } from '../crypto/geometry.ts';
import { deriveFileKeys, type FileKeys } from '../crypto/sealing.ts';
import { openWrap, wrapEpochOf } from '../crypto/wrap.ts';
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import { parseWireName } from '../model/names.ts';
import type { WireNameRecord } from '../wire/messages-names.ts';
import { Plan } from './plan.ts';
import { keyringWith, type Session } from './session.ts';

/** A file of the network whose metadata was opened and checked. */
export interface RemoteFile {
  readonly name: string;
  readonly record: WireNameRecord;
  readonly content: FileContent;
  readonly fileKey: Uint8Array;
  readonly geometry: ChunkGeometry;
}

export interface LookOptions {
  readonly signal?: AbortSignal | undefined;
  /** While the registry is out of reach, take what nodes know, which may be behind. */
  readonly staleOk?: boolean | undefined;
}

/**
 * Opens a record; `integrity`, `unknown-key` or `wrong-network` unless everything in it belongs together. `asked` is
 * the moment (SeenSequences.now) before the question it answers.
 */
export const openRecord = async (session: Session, record: WireNameRecord, asked: number): Promise<RemoteFile> => {
  const { networkId } = session;
  const { version, body, wrap } = record;
  const name = parseWireName(record.name);
  const keyring = await keyringWith(session, wrapEpochOf(wrap));
  const fileKey = openWrap(keyring, networkId, version, wrap);
  const content = openManifestBody(fileKey, networkId, version, 'live', body);
  if (content.kind !== 'file' || content.name !== name) {
    throw new OperaError('integrity', 'the network answered the manifest of another name');
  }
  const geometry = createGeometry(content.size, content.chunkLengths);
  if (geometry.chunkCount !== record.chunkCount) {
    throw new OperaError('integrity', 'the network answered a wrong number of chunks');
  }
  session.seen.check(name, record.sequence, asked);
  return { name, record, content, fileKey, geometry };
};

/** Keys of the chunks; derived only when chunks are read. `integrity` when the header commits to another key. */
export const keysOf = (session: Session, file: RemoteFile): FileKeys =>
  deriveFileKeys(session.networkId, file.record.version, file.fileKey, file.content.header);

export interface Resolved {
  /** Some of the names asked for, in their order. */
  readonly names: readonly string[];
  /** For each of them: the file, undefined where there is none, or why its record was refused. */
  readonly files: readonly (RemoteFile | OperaError | undefined)[];
  /** The right to read all that were found; undefined when none was. */
  readonly plan: Plan | undefined;
}

/** One call: all of up to limits.batchEntriesMax names, or as many of the first as fit an answer. */
const resolveSome = async (session: Session, asked: readonly string[], options: LookOptions): Promise<Resolved> => {
  const { connection, view } = session;
  const { signal, staleOk } = options;
  const request = { names: [...asked], haveLayout: view.layoutNumber, ...(staleOk ? { staleOk } : {}) };
  const moment = session.seen.now;
  const answer = await connection.call('name.get', request, signal ? { signal } : {});
  const { records, ticket, more = false } = answer;
  const isPart = more && records.length > 0 && records.length < asked.length;
  if (records.length !== asked.length && !isPart) {
    throw new OperaError('integrity', 'the network answered another question');
  }
  const names = asked.slice(0, records.length);
  const versions = records.flatMap((record) => (record ? [record.version] : []));
  if (versions.length > 0 && !ticket) throw new OperaError('integrity', 'the network answered without a ticket');
  const plan = ticket ? await Plan.accept(session, answer, ticket, versions) : undefined;
  const files = await Promise.all(
    records.map(async (record, at) => {
      if (!record) return undefined;
      if (record.name !== names[at]) return new OperaError('integrity', 'the network answered another name');
      return openRecord(session, record, moment).catch((error: unknown) => {
        if (error instanceof OperaError) return error;
        throw error;
      });
    }),
  );
  return { names, files, plan };
};

/** Looks distinct names up, part by part, as many at a time as one answer holds. */
export async function* resolveNames(
  session: Session,
  names: readonly string[],
  options: LookOptions = {},
): AsyncGenerator<Resolved, void, void> {
  for (let from = 0; from < names.length; ) {
    const part = await resolveSome(session, names.slice(from, from + limits.batchEntriesMax), options);
    yield part;
    from += part.names.length;
  }
}

/** The files of distinct names, in the order asked. */
export const findFiles = async (
  session: Session,
  names: readonly string[],
  options: LookOptions = {},
): Promise<(RemoteFile | OperaError | undefined)[]> => {
  const found: (RemoteFile | OperaError | undefined)[] = [];
  for await (const { files } of resolveNames(session, names, options)) found.push(...files);
  return found;
};

/** One file and the right to read it. `not-found` when there is none. */
export const resolveName = async (
  session: Session,
  name: string,
  options: LookOptions = {},
): Promise<{ readonly file: RemoteFile; readonly plan: Plan }> => {
  const { files, plan } = await resolveSome(session, [name], options);
  const file = files[0];
  if (file instanceof OperaError) throw file;
  if (!file || !plan) throw new OperaError('not-found', `no file is named ${name}`);
  return { file, plan };
};

/** Names in parts that one message carries. */
export const batchesOf = <T>(items: readonly T[], size: number = limits.batchEntriesMax): T[][] => {
  const batches: T[][] = [];
  for (let from = 0; from < items.length; from += size) batches.push(items.slice(from, from + size));
  return batches;
};
