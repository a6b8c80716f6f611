// A store as somebody else might write it: one plain module that knows the program only by the contract.
// It keeps everything in maps and computes digests from scratch on every request, so it is a naive oracle too.
// load.test.ts loads it by path and runs the acceptance suite over it. It is not durable and says so.
import { createHash } from 'node:crypto';

const sha256 = (...parts) =>
  new Uint8Array(parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest());
const same = (a, b) => Buffer.compare(a, b) === 0;
const check = (holds, message, code = 'bad-request') => {
  if (!holds) throw Object.assign(new Error(message), { code });
};
const isInteger = (value, min, max) => Number.isInteger(value) && value >= min && value <= max;
const checkKey = (key) => check(/^[\x20-\x7e]{0,200}$/.test(key), 'a state key is ASCII');

const keyOf = ({ version, index }) => `${version}/${String(index).padStart(10, '0')}`;
const unsigned = (value, bytes) => Buffer.from(value.toString(16).padStart(bytes * 2, '0'), 'hex');
const bucketOf = (version) => Number.parseInt(version.slice(-2), 16) % 64;

const sumOf = (items, digestOf) => {
  const sums = new Uint8Array(64 * 32);
  for (const item of items) digestOf(item).forEach((byte, i) => (sums[bucketOf(item.version) * 32 + i] ^= byte));
  return sums;
};
const chunkDigest = ({ version, index, hash }) => sha256(Buffer.from(version, 'hex'), unsigned(index, 4), hash);
const manifestDigest = ({ version, sequence, wrapEpoch, state }) =>
  sha256(
    Buffer.from(version, 'hex'),
    unsigned(sequence, 8),
    unsigned(wrapEpoch, 4),
    Uint8Array.of(state === 'live' ? 1 : 2),
  );

class MapStore {
  durable = false;
  #nowMs;
  #open = false;
  #used = false;
  #counter = 0;
  #chunks = new Map();
  #manifests = new Map();
  #aside = new Map();
  #notes = new Map();
  #state = new Map();

  constructor(nowMs) {
    this.#nowMs = nowMs;
  }

  #ready(writes = 0) {
    check(this.#open, 'the store is not open', 'not-ready');
    this.#counter += writes;
  }

  #page(map, partition, after, limit, keyOfItem, nextOf) {
    check(isInteger(partition, 0, 4095) && isInteger(limit, 1, 10_000), 'a page');
    this.#ready();
    const inPartition = [...map.entries()].filter(([, item]) => (item.info ?? item).partition === partition);
    const rest = inPartition.filter(([key]) => after === undefined || key > keyOfItem(after));
    rest.sort(([a], [b]) => (a < b ? -1 : 1));
    const items = rest.slice(0, limit).map(([, item]) => structuredClone(item.info ?? item));
    return { items, next: rest.length > limit ? nextOf(items.at(-1)) : undefined };
  }

  async open() {
    check(!this.#used, 'opened before', 'not-ready');
    this.#used = true;
    this.#open = true;
    return { previousStoreId: undefined, writeCounter: 0 };
  }
  async adoptStoreId() {
    this.#ready(1);
  }
  async writeCounter() {
    this.#ready();
    return this.#counter;
  }

  async putChunks(chunks) {
    check(chunks.length <= 1_000, 'a batch');
    for (const { index, partition, hash, body, layoutNumber } of chunks) {
      check(isInteger(layoutNumber, 0, 2 ** 32 - 1), 'a layout number');
      check(isInteger(index, 0, 2 ** 31 - 1) && isInteger(partition, 0, 4095) && hash.length === 32, 'a chunk');
      check(body.length >= 16, 'a body');
      check(body.length <= 4_195_328, 'a body', 'too-large');
    }
    this.#ready(1);
    return chunks.map((chunk) => {
      const kept = this.#chunks.get(keyOf(chunk));
      if (kept && !same(kept.info.hash, chunk.hash)) return 'conflict';
      if (kept) {
        kept.info.layoutNumber = Math.min(kept.info.layoutNumber, chunk.layoutNumber);
        return 'present';
      }
      const { version, index, partition, servedHour, layoutNumber } = chunk;
      const at = { version, index, partition, servedHour, layoutNumber };
      const facts = { ...at, length: chunk.body.length, storedAtMs: this.#nowMs() };
      this.#aside.delete(keyOf(chunk));
      this.#chunks.set(keyOf(chunk), { info: { ...facts, hash: chunk.hash.slice() }, body: chunk.body.slice() });
      return 'stored';
    });
  }
  async getChunk(address, range = { from: 0, to: Number.MAX_SAFE_INTEGER }) {
    check(range.from <= range.to, 'a range');
    this.#ready();
    const kept = this.#chunks.get(keyOf(address));
    return kept && { info: structuredClone(kept.info), body: kept.body.slice(range.from, range.to) };
  }
  async listVersion(version, from, to) {
    this.#ready();
    const infos = [...this.#chunks.values()].map(({ info }) => info).filter((info) => info.version === version);
    const within = infos.filter(({ index }) => index >= from && index < to).sort((a, b) => a.index - b.index);
    return within.slice(0, 65_536).map((info) => structuredClone(info));
  }
  async listChunks(partition, after, limit) {
    return this.#page(this.#chunks, partition, after, limit, keyOf, ({ version, index }) => ({ version, index }));
  }
  async deleteChunks(addresses) {
    this.#ready(1);
    for (const address of addresses) {
      this.#chunks.delete(keyOf(address));
      this.#aside.delete(keyOf(address));
    }
  }
  async setAside(address, hash) {
    this.#ready(1);
    const kept = this.#chunks.get(keyOf(address));
    if (!kept || !same(kept.info.hash, hash)) return false;
    this.#chunks.delete(keyOf(address));
    this.#aside.set(keyOf(address), kept);
    return true;
  }
  async findDamage() {
    this.#ready();
    return [];
  }

  async putManifests(manifests) {
    check(manifests.length <= 1_000 && manifests.every(({ sequence }) => sequence < 2n ** 63n), 'a manifest');
    this.#ready(1);
    return manifests.map((manifest) => {
      const kept = this.#manifests.get(manifest.version);
      const order = (m) => m.sequence * 2n ** 32n + BigInt(m.wrapEpoch);
      if (kept && order(kept) >= order(manifest)) {
        return order(kept) === order(manifest) && same(kept.record, manifest.record) ? 'present' : 'stale';
      }
      this.#manifests.set(manifest.version, structuredClone(manifest));
      return 'stored';
    });
  }
  async getManifest(version) {
    this.#ready();
    return structuredClone(this.#manifests.get(version));
  }
  async listManifests(partition, after, limit) {
    return this.#page(
      this.#manifests,
      partition,
      after,
      limit,
      (version) => version,
      ({ version }) => version,
    );
  }
  #below(wrapEpoch, after) {
    check(isInteger(wrapEpoch, 0, 2 ** 32 - 1), 'an epoch is a u32');
    this.#ready();
    const orderOf = ({ wrapEpoch: epoch, version }) => String(epoch).padStart(10, '0') + version;
    return [...this.#manifests.values()]
      .filter((manifest) => manifest.wrapEpoch < wrapEpoch && (!after || orderOf(manifest) > orderOf(after)))
      .sort((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1));
  }
  async listManifestsBelow(wrapEpoch, after, limit) {
    check(isInteger(limit, 1, 10_000), 'a limit is 1 to 10,000');
    const all = this.#below(wrapEpoch, after);
    const items = structuredClone(all.slice(0, limit));
    const { wrapEpoch: epoch, version } = items.at(-1) ?? {};
    return { items, next: all.length > limit ? { wrapEpoch: epoch, version } : undefined };
  }
  async countManifestsBelow(wrapEpoch) {
    return this.#below(wrapEpoch).length;
  }
  async deleteManifests(versions) {
    this.#ready(1);
    for (const version of versions) this.#manifests.delete(version);
  }
  async highestSequence() {
    this.#ready();
    return [...this.#manifests.values()].reduce((max, { sequence }) => (sequence > max ? sequence : max), 0n);
  }

  async putNote(version, note) {
    check(note.length <= 1024 * 1024, 'a note', 'too-large');
    this.#ready(1);
    if (!this.#notes.has(version)) this.#notes.set(version, note.slice());
  }
  async getNote(version) {
    this.#ready();
    return this.#notes.get(version)?.slice();
  }
  async replaceNote(version, note) {
    check(note.length <= 1024 * 1024, 'a note', 'too-large');
    this.#ready(1);
    if (!this.#notes.has(version)) return false;
    this.#notes.set(version, note.slice());
    return true;
  }
  async deleteNote(version) {
    this.#ready(1);
    this.#notes.delete(version);
  }
  async listNotes(after, limit) {
    check(isInteger(limit, 1, 10_000), 'a limit is 1 to 10,000');
    this.#ready();
    const versions = [...this.#notes.keys()].sort().filter((version) => after === undefined || version > after);
    const items = versions.slice(0, limit);
    return { items, next: versions.length > limit ? items.at(-1) : undefined };
  }

  async listPartitions() {
    this.#ready();
    const items = [...[...this.#chunks.values()].map(({ info }) => info), ...this.#manifests.values()];
    return [...new Set(items.map(({ partition }) => partition))].sort((a, b) => a - b);
  }
  async digests(partition) {
    this.#ready();
    const of = (items) => items.filter((item) => item.partition === partition);
    return {
      chunks: sumOf(of([...this.#chunks.values()].map(({ info }) => info)), chunkDigest),
      manifests: sumOf(of([...this.#manifests.values()]), manifestDigest),
    };
  }

  async putState(key, value) {
    check(key.length > 0, 'a key');
    checkKey(key);
    check(value.length <= 1024 * 1024, 'a state record', 'too-large');
    this.#ready(1);
    this.#state.set(key, value.slice());
  }
  async getState(key) {
    this.#ready();
    return this.#state.get(key)?.slice();
  }
  async listState(prefix) {
    checkKey(prefix);
    this.#ready();
    return [...this.#state.keys()].filter((key) => key.startsWith(prefix)).sort();
  }
  async deleteState(key) {
    this.#ready(1);
    this.#state.delete(key);
  }

  async usage() {
    this.#ready();
    const chunkBytes = [...this.#chunks.values()].reduce((sum, { body }) => sum + body.length, 0);
    const counts = { chunks: this.#chunks.size, manifests: this.#manifests.size };
    return { ...counts, chunkBytes, chunksAside: this.#aside.size, freeBytes: undefined, readOnly: false };
  }
  async close() {
    this.#open = false;
  }
}

export const createStorage = ({ nowMs }) => new MapStore(nowMs);
