// Compressed sources are read as what they hold, in pieces of any size; what is no such file is refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { type ByteSource, sourceOfBytes, sourceOfStream } from '../../src/client/byte-source.ts';
import { isOperaError } from '../../src/errors/errors.ts';
import { compressionOf, decompressed, gunzipped } from '../../src/client/decompress.ts';
import { content } from '../support/client-files.ts';

const readAll = async (source: ByteSource, step: number): Promise<Buffer> => {
  const parts: Uint8Array[] = [];
  for (;;) {
    const part = new Uint8Array(step);
    const length = await source.read(part);
    parts.push(part.subarray(0, length));
    if (length < step) return Buffer.concat(parts);
  }
};

test('the end of a name tells how a file is compressed, and the name of what it holds', () => {
  assert.deepEqual(compressionOf('a/b.csv.gz'), { compression: 'gzip', name: 'a/b.csv' });
  assert.deepEqual(compressionOf('b.br'), { compression: 'brotli', name: 'b' });
  for (const name of ['b.csv', '.gz', 'gz', 'b.gz.csv']) assert.equal(compressionOf(name), undefined);
});

test('what was compressed is read in any steps, and from its start again', async () => {
  const bytes = content(700_001);
  for (const [compression, packed] of [
    ['gzip', gzipSync(bytes)],
    ['gzip', Buffer.concat([gzipSync(bytes.subarray(0, 9)), gzipSync(bytes.subarray(9))])],
    ['brotli', brotliCompressSync(bytes, { params: { 1: 1 } })],
  ] as const) {
    const source = decompressed(sourceOfBytes(packed), compression);
    assert.equal(source.size, undefined);
    assert.ok((await readAll(source, 65_537)).equals(bytes));
    await source.rewind?.();
    assert.equal(await source.read(new Uint8Array(10)), 10);
    await source.rewind?.();
    assert.ok((await readAll(source, 1_000_000)).equals(bytes));
    await source.close();
  }
});

test('what is not compressed, is cut off or damaged is refused, and which of them it is', async () => {
  const packed = gzipSync(content(100_000));
  const other = packed.map((byte, at) => (at >= 50_000 && at < 51_000 ? 255 - byte : byte));
  const brotli = brotliCompressSync(content(100_000), { params: { 1: 1 } });
  const cases = [
    [Buffer.from('name,ra,dec\n'), 'gzip', 'usage', /it is not compressed with gzip/],
    [content(1000), 'brotli', 'usage', /it is not compressed with brotli/],
    [packed.subarray(0, -20), 'gzip', 'integrity', /the gzip data is cut off/],
    [packed.subarray(0, 5), 'gzip', 'integrity', /the gzip data is cut off/],
    [brotli.subarray(0, -20), 'brotli', 'integrity', /the brotli data is cut off/],
    [other, 'gzip', 'integrity', /the gzip data is damaged/],
  ] as const;
  for (const [bytes, compression, code, message] of cases) {
    const reading = readAll(decompressed(sourceOfBytes(bytes), compression), 1 << 14);
    await assert.rejects(reading, (error) => isOperaError(error, code) && message.test(error.message), String(message));
  }
});

test('a stream is unpacked when it begins as gzip does, and otherwise comes as it is', async () => {
  const bytes = content(300_000);
  for (const given of [gzipSync(bytes), bytes, Buffer.from('x'), Buffer.alloc(0)]) {
    const pieces = (async function* () {
      for (let at = 0; at < given.length; at += 1013) yield given.subarray(at, at + 1013);
    })();
    const { source, packed } = await gunzipped(sourceOfStream(pieces));
    const isPacked = given[0] === 0x1f;
    assert.equal(packed, isPacked);
    assert.ok((await readAll(source, 10_000)).equals(isPacked ? bytes : given));
  }
});
