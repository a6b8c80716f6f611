// The writes of a node's store as statements, each called inside the transaction that _sqlite-groups.ts holds open.
// Invariant: rows, digests and counts change together. It neither begins nor commits, and touches no files.
import type { SqliteDatabase } from '../runtime/sqlite.ts';
import { bucketOf, chunkDigest, manifestDigest, xorInto } from './_digest.ts';
import type { ChunkRecord, ManifestRow, PutOutcome, WriteCommand } from './_sqlite-rows.ts';
import type { ChunkAddress, ChunkWriteOutcome, ManifestWrite, ManifestWriteOutcome } from './storage-adapter.ts';

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

const xorBytes = (a: unknown, b: unknown): Uint8Array => {
  const sum = Uint8Array.from(a as Uint8Array);
  xorInto(sum, b as Uint8Array);
  return sum;
};

const prepareChunks = (database: SqliteDatabase) => ({
  find: database.prepare<[string, number], { sha256: Uint8Array; layout: number }>(
    'SELECT sha256, layout FROM chunks WHERE version = ? AND chunk_index = ?',
  ),
  setLayout: database.prepare<[number, string, number]>(
    'UPDATE chunks SET layout = ? WHERE version = ? AND chunk_index = ?',
  ),
  insert: database.prepare<unknown[]>(
    `INSERT INTO chunks
       (version, chunk_index, partition, sha256, sealed_bytes, served_hour, layout, stored_at_ms, body_id, file)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  ),
  insertBody: database.prepare<[Uint8Array]>('INSERT INTO bodies (body) VALUES (?)'),
  remove: database.prepare<
    [string, number],
    { partition: number; sha256: Uint8Array; sealed_bytes: number; body_id: number | null; file: string | null }
  >(
    `DELETE FROM chunks WHERE version = ? AND chunk_index = ?
     RETURNING partition, sha256, sealed_bytes, body_id, file`,
  ),
  setAside: database.prepare<unknown[]>(
    `INSERT INTO aside (version, chunk_index, sha256, sealed_bytes, set_aside_at_ms, body_id, file)
     VALUES (?, ?, ?, ?, ?, ?, ?)`,
  ),
  removeAside: database.prepare<[string, number], { body_id: number | null; file: string | null }>(
    'DELETE FROM aside WHERE version = ? AND chunk_index = ? RETURNING body_id, file',
  ),
  removeBody: database.prepare<[number]>('DELETE FROM bodies WHERE body_id = ?'),
  toggle: database.prepare<unknown[]>(
    `INSERT INTO digests (partition, bucket, chunks) VALUES (?, ?, ?)
     ON CONFLICT DO UPDATE SET chunks = xor_bytes(chunks, excluded.chunks)`,
  ),
  count: database.prepare<[number, number]>(
    'UPDATE store SET chunk_count = chunk_count + ?, chunk_bytes = chunk_bytes + ?',
  ),
});

const prepareManifests = (database: SqliteDatabase) => ({
  find: database
    .prepare<[string], Pick<ManifestRow, 'sequence' | 'wrap_epoch' | 'record'>>(
      'SELECT sequence, wrap_epoch, record FROM manifests WHERE version = ?',
    )
    .safeIntegers(),
  insert: database.prepare<unknown[]>(
    `INSERT INTO manifests
       (version, partition, sequence, wrap_epoch, state, served_hour, signer, signer_spki, record)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  ),
  remove: database
    .prepare<[string], Pick<ManifestRow, 'partition' | 'sequence' | 'wrap_epoch' | 'state'>>(
      'DELETE FROM manifests WHERE version = ? RETURNING partition, sequence, wrap_epoch, state',
    )
    .safeIntegers(),
  toggle: database.prepare<unknown[]>(
    `INSERT INTO digests (partition, bucket, manifests) VALUES (?, ?, ?)
     ON CONFLICT DO UPDATE SET manifests = xor_bytes(manifests, excluded.manifests)`,
  ),
  count: database.prepare<[number]>('UPDATE store SET manifest_count = manifest_count + ?'),
});

const prepareRecords = (database: SqliteDatabase) => ({
  putNote: database.prepare<unknown[]>('INSERT INTO notes (version, note) VALUES (?, ?) ON CONFLICT DO NOTHING'),
  replaceNote: database.prepare<[Uint8Array, string]>('UPDATE notes SET note = ? WHERE version = ?'),
  deleteNote: database.prepare<[string]>('DELETE FROM notes WHERE version = ?'),
  putState: database.prepare<unknown[]>(
    'INSERT INTO state (key, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value',
  ),
  deleteState: database.prepare<[string]>('DELETE FROM state WHERE key = ?'),
  adoptStoreId: database.prepare<[string]>('UPDATE store SET store_id = ?'),
});

/** Carries out write commands on one connection. */
export class StoreWrites {
  readonly #chunks: ReturnType<typeof prepareChunks>;
  readonly #manifests: ReturnType<typeof prepareManifests>;
  readonly #records: ReturnType<typeof prepareRecords>;

  constructor(database: SqliteDatabase) {
    database.function('xor_bytes', { deterministic: true }, xorBytes);
    this.#chunks = prepareChunks(database);
    this.#manifests = prepareManifests(database);
    this.#records = prepareRecords(database);
  }

  /** Outcomes of puts, files of deleted chunks, whether a copy was set aside or a note replaced, else nothing. */
  run(command: WriteCommand): unknown {
    switch (command.kind) {
      case 'put-chunks':
        return this.#putChunks(command.chunks, command.bodies);
      case 'delete-chunks':
        return this.#deleteChunks(command.addresses);
      case 'set-aside':
        return this.#setAside(command.address, command.hash, command.atMs);
      case 'put-manifests':
        return this.#putManifests(command.manifests);
      case 'delete-manifests':
        for (const version of command.versions) this.#deleteManifest(version);
        return undefined;
      case 'put-note':
        this.#records.putNote.run(command.version, command.note);
        return undefined;
      case 'replace-note':
        return this.#records.replaceNote.run(command.note, command.version).changes > 0;
      case 'delete-note':
        this.#records.deleteNote.run(command.version);
        return undefined;
      case 'put-state':
        this.#records.putState.run(command.key, command.value);
        return undefined;
      case 'delete-state':
        this.#records.deleteState.run(command.key);
        return undefined;
      case 'adopt-store-id':
        this.#records.adoptStoreId.run(command.storeId);
        return undefined;
    }
  }

  #putChunks(chunks: readonly ChunkRecord[], bodies: Uint8Array): PutOutcome {
    let count = 0;
    let bytes = 0;
    const files: string[] = [];
    const outcomes = chunks.map((chunk): ChunkWriteOutcome => {
      const kept = this.#chunks.find.get(chunk.version, chunk.index);
      if (kept) {
        if (!sameBytes(kept.sha256, chunk.hash)) return 'conflict';
        if (chunk.layoutNumber < kept.layout) {
          this.#chunks.setLayout.run(chunk.layoutNumber, chunk.version, chunk.index);
        }
        return 'present';
      }
      this.#insertChunk(chunk, bodies);
      files.push(...this.#removeAside(chunk));
      count += 1;
      bytes += chunk.length;
      return 'stored';
    });
    if (count > 0) this.#chunks.count.run(count, bytes);
    return { outcomes, files };
  }

  #insertChunk(chunk: ChunkRecord, bodies: Uint8Array): void {
    const { version, index, partition, hash, length, servedHour, layoutNumber, storedAtMs, bodyAt } = chunk;
    const file = chunk.file ?? null;
    const body = (): number | bigint =>
      this.#chunks.insertBody.run(bodies.subarray(bodyAt, bodyAt + length)).lastInsertRowid;
    const bodyId = file === null ? body() : null;
    const facts = [version, index, partition, hash, length, servedHour, layoutNumber, storedAtMs];
    this.#chunks.insert.run(...facts, bodyId, file);
    this.#chunks.toggle.run(partition, bucketOf(version), chunkDigest(chunk, hash));
  }

  #deleteChunks(addresses: readonly ChunkAddress[]): string[] {
    const files: string[] = [];
    let count = 0;
    let bytes = 0;
    for (const address of addresses) {
      files.push(...this.#removeAside(address));
      const row = this.#chunks.remove.get(address.version, address.index);
      if (!row) continue;
      if (row.body_id !== null) this.#chunks.removeBody.run(row.body_id);
      if (row.file !== null) files.push(row.file);
      this.#chunks.toggle.run(row.partition, bucketOf(address.version), chunkDigest(address, row.sha256));
      count += 1;
      bytes += row.sealed_bytes;
    }
    if (count > 0) this.#chunks.count.run(-count, -bytes);
    return files;
  }

  /** The row moves, body and file stay where they are: an altered body may not even be readable. */
  #setAside(address: ChunkAddress, hash: Uint8Array, atMs: number): boolean {
    const { version, index } = address;
    const kept = this.#chunks.find.get(version, index);
    if (!kept || !sameBytes(kept.sha256, hash)) return false;
    const row = this.#chunks.remove.get(version, index);
    if (!row) return false;
    this.#chunks.setAside.run(version, index, row.sha256, row.sealed_bytes, atMs, row.body_id, row.file);
    this.#chunks.toggle.run(row.partition, bucketOf(version), chunkDigest(address, row.sha256));
    this.#chunks.count.run(-1, -row.sealed_bytes);
    return true;
  }

  /** Forgets what was set aside at an address; answers its file, to be removed after the commit. */
  #removeAside({ version, index }: ChunkAddress): string[] {
    const row = this.#chunks.removeAside.get(version, index);
    if (!row) return [];
    if (row.body_id !== null) this.#chunks.removeBody.run(row.body_id);
    return row.file === null ? [] : [row.file];
  }

  #putManifests(manifests: readonly ManifestWrite[]): ManifestWriteOutcome[] {
    return manifests.map((manifest) => {
      const kept = this.#manifests.find.get(manifest.version);
      if (kept) {
        const order = Number(manifest.sequence - kept.sequence) || manifest.wrapEpoch - Number(kept.wrap_epoch);
        if (order === 0 && sameBytes(kept.record, manifest.record)) return 'present';
        if (order <= 0) return 'stale';
        this.#deleteManifest(manifest.version);
      }
      this.#insertManifest(manifest);
      return 'stored';
    });
  }

  #insertManifest(manifest: ManifestWrite): void {
    const { version, partition, sequence, wrapEpoch, state, servedHour, signer, signerSpki, record } = manifest;
    this.#manifests.insert.run(version, partition, sequence, wrapEpoch, state, servedHour, signer, signerSpki, record);
    this.#manifests.toggle.run(partition, bucketOf(version), manifestDigest(manifest));
    this.#manifests.count.run(1);
  }

  #deleteManifest(version: ManifestWrite['version']): void {
    const row = this.#manifests.remove.get(version);
    if (!row) return;
    const { sequence, state } = row;
    const digest = manifestDigest({ version, sequence, wrapEpoch: Number(row.wrap_epoch), state });
    this.#manifests.toggle.run(row.partition, bucketOf(version), digest);
    this.#manifests.count.run(-1);
  }
}
