// What the tests of the client share: contents that differ everywhere, whole reads, and local folders.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetchFile } from '../../src/client/get.ts';
import { type ByteSource, sourceOfBytes } from '../../src/client/byte-source.ts';
import { resolveName } from '../../src/client/open-file.ts';
import { putFile, type PutRequest, type PutResult } from '../../src/client/put.ts';
import type { Session } from '../../src/client/session.ts';

export const mebibyte = 1024 * 1024;

/** Bytes that differ everywhere and cost little to make. */
export const content = (length: number, seed = 1): Buffer => {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32LE((at * 2654435761 + seed) >>> 0, at);
  for (let at = length - (length % 4); at < length; at++) bytes[at] = (at + seed) & 255;
  return bytes;
};

export const put = (
  session: Session,
  name: string,
  bytes: Uint8Array,
  request: Partial<PutRequest> = {},
): Promise<PutResult> => putFile(session, sourceOfBytes(bytes), { ...request, name });

export const read = async (session: Session, name: string): Promise<Buffer> => {
  const { file, plan } = await resolveName(session, name);
  const parts: Uint8Array[] = [];
  for await (const part of fetchFile(session, plan, file, undefined)) parts.push(part);
  return Buffer.concat(parts);
};

export const newFolder = (): string => mkdtempSync(join(tmpdir(), 'opera-client-'));

/** A source that can be recognised later, as a local file can. */
export const stamped = (bytes: Uint8Array, stamp = '1'): ByteSource => ({
  ...sourceOfBytes(bytes),
  stamp: { device: '1', inode: '2', size: bytes.length, modifiedNs: stamp },
});
