// Files on the local disk for tests of put and get: deterministic bytes, folders of them, and comparing two folders.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** Bytes that do not compress and differ with the seed. */
export const bytesOf = (size: number, seed: string): Buffer => {
  const blocks: Buffer[] = [];
  for (let at = 0, length = 0; length < size; at++, length += 64) {
    blocks.push(createHash('sha512').update(`${seed}/${at}`).digest());
  }
  return Buffer.concat(blocks).subarray(0, size);
};

/** Large contents: one megabyte of `bytesOf`, numbered and repeated, so that making it costs little. */
export const largeBytes = (size: number, seed: string): Buffer => {
  const block = bytesOf(Math.min(size, 1 << 20), seed);
  const all = Buffer.alloc(size);
  for (let at = 0; at < size; at += block.length) {
    block.copy(all, at);
    if (at + 4 <= size) all.writeUInt32BE(at, at);
  }
  return all;
};

export const writeTree = (folder: string, files: Readonly<Record<string, Uint8Array | string>>): void => {
  for (const [name, bytes] of Object.entries(files)) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  }
};

/** Relative paths of all files below, sorted. */
export const listTree = (folder: string): string[] => {
  const walk = (at: string): string[] =>
    readdirSync(at, { withFileTypes: true }).flatMap((entry) => {
      const path = join(at, entry.name);
      return entry.isDirectory() ? walk(path) : [relative(folder, path)];
    });
  return walk(folder).sort();
};

/** Fails unless both folders hold the same names with the same bytes. */
export const sameTrees = (actual: string, expected: string): void => {
  assert.deepEqual(listTree(actual), listTree(expected));
  for (const name of listTree(expected)) {
    const same = readFileSync(join(actual, name)).equals(readFileSync(join(expected, name)));
    assert.ok(same, `${name} came back altered`);
  }
};
