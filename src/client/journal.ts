// The resume journal of one put, `<home>/journal/<hash>.jsonl`: what a killed put needs to go on without sealing
// anything twice. A line is on disk before the first byte of its chunk leaves. Mode 0600; the file key lies in it
// wrapped. A lock file keeps two puts of one source and name apart: the second one goes without a journal.
//   line 1  {v, network, name, version, header, wrap, ticket, operationId, follows, stamp, atMs,
//           catalogue?: SHA-256 of what the note says}
//   others  {i: chunk index, h: SHA-256 of the sealed chunk} or {t: a renewed ticket}; a torn last line is absent
import { type FileHandle, open, readFile, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { equalBytes, sha256 } from '../crypto/digest.ts';
import { deriveFileKeys } from '../crypto/sealing.ts';
import { openWrap, wrapEpochOf, wrapFileKey } from '../crypto/wrap.ts';
import { OperaError, isOperaError } from '../errors/errors.ts';
import { utf8 } from '../model/bytes.ts';
import { bytesToHex } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import type { SignedRecord } from '../model/signed-record.ts';
import { createSecretFolder, syncFolder, systemErrorCode } from '../runtime/files.ts';
import { formatJson, parseJson } from '../wire/json.ts';
import { ticketRecord } from '../wire/messages-names.ts';
import {
  bytes,
  chunkIndex,
  integer,
  milliseconds,
  networkId,
  operationId,
  parseWith,
  u64,
  versionId,
} from '../wire/schema.ts';
import type { SourceStamp } from './byte-source.ts';
import { lockFile } from './lock-file.ts';
import { Plan } from './plan.ts';
import { keyringWith, type Session } from './session.ts';
import type { Upload } from './upload.ts';

const stampSchema = v.strictObject({
  device: v.string(),
  inode: v.string(),
  size: integer(0, Number.MAX_SAFE_INTEGER),
  modifiedNs: v.string(),
});
const headSchema = v.strictObject({
  v: v.literal(1),
  network: networkId,
  name: v.string(),
  version: versionId,
  header: bytes(112),
  wrap: bytes(76),
  ticket: ticketRecord,
  operationId,
  follows: u64,
  stamp: stampSchema,
  atMs: milliseconds,
  catalogue: v.optional(bytes(32)),
});
const chunkSchema = v.strictObject({ i: chunkIndex, h: bytes(32) });
const ticketSchema = v.strictObject({ t: ticketRecord });

type Head = v.InferOutput<typeof headSchema>;

interface Contents {
  readonly head: Head;
  readonly hashes: readonly Uint8Array[];
  readonly ticket: SignedRecord;
  /** Bytes of the complete lines. */
  readonly length: number;
}

const sameStamp = (a: SourceStamp, b: SourceStamp): boolean =>
  a.device === b.device && a.inode === b.inode && a.size === b.size && a.modifiedNs === b.modifiedNs;

/**
 * What the complete lines say; undefined when any of them is damaged. A torn last line was not on disk when its chunk
 * would have left, so it counts as absent.
 */
const parseContents = (text: string): Contents | undefined => {
  const [first, ...lines] = text.split('\n').slice(0, -1);
  try {
    const head = parseWith(headSchema, parseJson(first ?? ''));
    const hashes: Uint8Array[] = [];
    let ticket: SignedRecord = head.ticket;
    for (const line of lines) {
      const value = parseJson(line);
      const renewed = v.safeParse(ticketSchema, value);
      if (renewed.success) ticket = renewed.output.t;
      else {
        const { i, h } = parseWith(chunkSchema, value);
        if (i !== hashes.length) return undefined;
        hashes.push(h);
      }
    }
    return { head, hashes, ticket, length: Buffer.byteLength(text.slice(0, text.lastIndexOf('\n') + 1)) };
  } catch (error) {
    if (isOperaError(error, 'bad-request')) return undefined;
    throw error;
  }
};

const noBytes = new Uint8Array();
const hashOf = (note: string | undefined): Uint8Array | undefined =>
  note === undefined ? undefined : sha256(utf8(note));

export interface ResumedPut {
  readonly upload: Upload;
  readonly plan: Plan;
}

export class PutJournal {
  readonly #path: string;
  readonly #name: string;
  readonly #stamp: SourceStamp;
  readonly #unlock: () => Promise<void>;
  #contents: Contents | undefined;
  #hashes: readonly Uint8Array[] = [];
  #ticket: SignedRecord | undefined;
  #handle: FileHandle | undefined;

  constructor(
    path: string,
    name: string,
    stamp: SourceStamp,
    unlock: () => Promise<void>,
    contents: Contents | undefined,
  ) {
    this.#path = path;
    this.#name = name;
    this.#stamp = stamp;
    this.#unlock = unlock;
    this.#contents = contents;
  }

  /** Chunks that an earlier process sealed. */
  get recorded(): number {
    return this.#hashes.length;
  }

  /**
   * Takes up what an earlier process left; undefined (and an empty journal) when it cannot be gone on with. `note` is
   * what the note of the catalogue says, undefined for an ordinary file: another one cuts and means something else.
   */
  async resume(
    session: Session,
    note: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<ResumedPut | undefined> {
    const contents = this.#contents;
    this.#contents = undefined;
    if (!contents) return undefined;
    const isSame = equalBytes(contents.head.catalogue ?? noBytes, hashOf(note) ?? noBytes);
    const resumed = isSame && (await this.#takeUp(session, contents, signal));
    if (!resumed) {
      await this.discard();
      return undefined;
    }
    this.#hashes = contents.hashes;
    this.#ticket = contents.ticket;
    this.#handle = await open(this.#path, 'a', 0o600);
    // A torn last line must not become part of the next one.
    await this.#handle.truncate(contents.length);
    return resumed;
  }

  async #takeUp(
    session: Session,
    contents: Contents,
    signal: AbortSignal | undefined,
  ): Promise<ResumedPut | undefined> {
    const { connection, networkId: network, view } = session;
    const { head, ticket } = contents;
    const { name, version, operationId: id, follows } = head;
    if (head.network !== network || name !== this.#name || !sameStamp(head.stamp, this.#stamp)) return undefined;
    if (connection.clock.nowMs() - head.atMs > limits.uploadAgeMaxMs) return undefined;
    try {
      const fileKey = openWrap(await keyringWith(session, wrapEpochOf(head.wrap)), network, version, head.wrap);
      const keys = deriveFileKeys(network, version, fileKey, head.header);
      const versions = [version];
      const request = { ticket, versions, haveLayout: view.layoutNumber };
      const answer = await connection.call('ticket.renew', request, signal ? { signal } : {});
      const plan = await Plan.accept(session, answer, answer.ticket, versions);
      return { upload: { name, version, keys, operationId: id, follows }, plan };
    } catch (error) {
      if (isOperaError(error, 'ticket-expired', 'ticket-invalid', 'integrity', 'unknown-key', 'upload-closed')) {
        return undefined;
      }
      throw error;
    }
  }

  /** Begins anew for a fresh upload; durable when it resolves. */
  async begin(session: Session, upload: Upload, plan: Plan, note: string | undefined): Promise<void> {
    const { connection, networkId: network } = session;
    const { name, version, keys, operationId: id, follows } = upload;
    const { ticket } = plan.last;
    await this.#close();
    this.#hashes = [];
    this.#ticket = ticket;
    const wrap = wrapFileKey(connection.keys.keyring, network, version, keys.fileKey, connection.random);
    const head: Head = {
      v: 1,
      network,
      name,
      version,
      header: keys.header,
      wrap,
      ticket: { ...ticket },
      operationId: id,
      follows,
      stamp: { ...this.#stamp },
      atMs: Math.round(connection.clock.nowMs()),
      catalogue: hashOf(note),
    };
    this.#handle = await open(this.#path, 'w', 0o600);
    await this.#append(formatJson(head));
    await syncFolder(join(this.#path, '..'));
  }

  /**
   * Notes the hash of a sealed chunk, durably, or compares it with the one noted before: `hash-conflict` when the
   * chunk was sealed from another plaintext then.
   */
  async record(index: number, hash: Uint8Array, ticket: SignedRecord): Promise<void> {
    const known = this.#hashes[index];
    if (known) {
      if (!equalBytes(known, hash)) throw new OperaError('hash-conflict', 'the file is not what it was');
      return;
    }
    const renewed = ticket === this.#ticket ? '' : `${formatJson({ t: ticket })}\n`;
    this.#ticket = ticket;
    await this.#append(`${renewed}${formatJson({ i: index, h: hash })}`);
  }

  async #append(lines: string): Promise<void> {
    if (!this.#handle) throw new OperaError('internal', 'the journal is not open');
    await this.#handle.appendFile(`${lines}\n`);
    await this.#handle.datasync();
  }

  /** The put is committed: nothing is left to resume. */
  async finish(): Promise<void> {
    await this.discard();
  }

  /** Forgets everything; a new put may begin. */
  async discard(): Promise<void> {
    await this.#close();
    this.#hashes = [];
    await rm(this.#path, { force: true });
  }

  async #close(): Promise<void> {
    await this.#handle?.close();
    this.#handle = undefined;
  }

  /** Ends this process's part; what was recorded stays for the next one. */
  async release(): Promise<void> {
    await this.#close();
    await this.#unlock();
  }
}

/** Removes journals that no upload can be open for any more. */
const sweep = async (folder: string, nowMs: number): Promise<void> => {
  for (const file of await readdir(folder)) {
    const path = join(folder, file);
    const found = await stat(path).catch(() => undefined);
    if (found && nowMs - found.mtimeMs > limits.uploadAgeMaxMs) await rm(path, { force: true });
  }
};

/** The journal of a source and name; undefined while another process puts the same. */
export const openJournal = async (
  home: string,
  key: { readonly source: string; readonly name: string },
  stamp: SourceStamp,
  nowMs: number,
): Promise<PutJournal | undefined> => {
  const folder = join(home, 'journal');
  await createSecretFolder(folder);
  await sweep(folder, nowMs);
  const id = bytesToHex(sha256(utf8(`${key.source}\0${key.name}`))).slice(0, 32);
  const path = join(folder, `${id}.jsonl`);
  const unlock = await lockFile(join(folder, `${id}.lock`));
  if (!unlock) return undefined;
  try {
    const text = await readFile(path, 'utf8');
    return new PutJournal(path, key.name, stamp, unlock, parseContents(text));
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return new PutJournal(path, key.name, stamp, unlock, undefined);
    await unlock();
    throw error;
  }
};
