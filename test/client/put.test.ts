// Putting files: every size comes back as it went, whatever fails on the way; one seal for each chunk.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sourceOfBytes, sourceOfStream } from '../../src/client/byte-source.ts';
import { fetchFile } from '../../src/client/get.ts';
import { resolveName } from '../../src/client/open-file.ts';
import { putFile } from '../../src/client/put.ts';
import type { Session } from '../../src/client/session.ts';
import { OperaError } from '../../src/errors/errors.ts';
import { FakeCluster } from '../support/fake-cluster.ts';

const mebibyte = 1024 * 1024;

/** Bytes that differ everywhere and cost little to make. */
export const content = (length: number, seed = 1): Uint8Array => {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32LE((at * 2654435761 + seed) >>> 0, at);
  for (let at = length - (length % 4); at < length; at++) bytes[at] = (at + seed) & 255;
  return bytes;
};

const getBytes = async (session: Session, name: string): Promise<Buffer> => {
  const { file, plan } = await resolveName(session, name);
  const parts: Uint8Array[] = [];
  for await (const part of fetchFile(session, plan, file, undefined)) parts.push(part);
  return Buffer.concat(parts);
};

const sizes = [0, 1, 65_535, 65_536, 65_537, 4 * mebibyte - 1, 4 * mebibyte, 4 * mebibyte + 1, 8 * mebibyte + 5];

test('files of every boundary size come back as they were put, from a file and from a stream', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  for (const size of sizes) {
    const bytes = content(size);
    const result = await putFile(session, sourceOfBytes(bytes), { name: `f/${size}` });
    assert.equal(result.size, size);
    assert.ok((await getBytes(session, `f/${size}`)).equals(bytes), `${size}`);
    const pieces = (async function* () {
      for (let at = 0; at < size; at += 100_003) yield bytes.subarray(at, at + 100_003);
    })();
    await putFile(session, sourceOfStream(pieces), { name: `s/${size}` });
    assert.ok((await getBytes(session, `s/${size}`)).equals(bytes), `stream of ${size}`);
  }
  void OperaError;
});
