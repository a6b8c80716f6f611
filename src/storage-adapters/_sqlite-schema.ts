// The tables of node.db, format 1. Names are meant to be read by a person with `sqlite3`; ids are lower-case hex text,
// hashes and bodies are blobs. Docs: docs/formats.md, "Where the bytes are".
//   store      one row: format, store id, write counter, counts        digests   per (partition, bucket), XOR of items
//   chunks     one row a chunk: facts, and where its body lies         bodies    sealed bodies up to 64 KiB
//   manifests, notes, state: whole records                            chunk_overview, manifest_overview: readable views
//   aside      altered copies, out of sight of everything else; added later: a program without it ignores the table
// It does not migrate: a newer format is refused, an older one will be migrated here when there is one.
import { OperaError } from '../errors/errors.ts';
import type { SqliteDatabase } from '../runtime/sqlite.ts';

/** "OPRA" in ASCII, in the header of the file: `file node.db` and we tell it from any other database. */
export const storeApplicationId = 0x4f_50_52_41;
const formatVersion = 1;

const tables = `
CREATE TABLE store (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  store_id TEXT,
  write_counter INTEGER NOT NULL DEFAULT 0,
  chunk_count INTEGER NOT NULL DEFAULT 0,
  chunk_bytes INTEGER NOT NULL DEFAULT 0,
  manifest_count INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO store (id) VALUES (1);

CREATE TABLE chunks (
  version TEXT NOT NULL,
  chunk_index INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  sha256 BLOB NOT NULL,
  sealed_bytes INTEGER NOT NULL,
  served_hour INTEGER NOT NULL,
  layout INTEGER NOT NULL,
  stored_at_ms INTEGER NOT NULL,
  body_id INTEGER,
  file TEXT,
  PRIMARY KEY (version, chunk_index),
  CHECK ((body_id IS NULL) <> (file IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX chunks_by_partition ON chunks (partition, version, chunk_index);
CREATE UNIQUE INDEX chunks_by_file ON chunks (file) WHERE file IS NOT NULL;

CREATE TABLE bodies (
  body_id INTEGER PRIMARY KEY,
  body BLOB NOT NULL
) STRICT;

CREATE TABLE manifests (
  version TEXT PRIMARY KEY,
  partition INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  wrap_epoch INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('live', 'dead')),
  served_hour INTEGER NOT NULL,
  signer TEXT NOT NULL,
  signer_spki BLOB NOT NULL,
  record BLOB NOT NULL
) STRICT;
CREATE INDEX manifests_by_partition ON manifests (partition, version);
CREATE INDEX manifests_by_sequence ON manifests (sequence);

CREATE TABLE notes (
  version TEXT PRIMARY KEY,
  note BLOB NOT NULL
) STRICT;

CREATE TABLE state (
  key TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE digests (
  partition INTEGER NOT NULL,
  bucket INTEGER NOT NULL,
  chunks BLOB NOT NULL DEFAULT (zeroblob(32)),
  manifests BLOB NOT NULL DEFAULT (zeroblob(32)),
  PRIMARY KEY (partition, bucket)
) STRICT, WITHOUT ROWID;

CREATE VIEW chunk_overview AS
  SELECT version, chunk_index, partition, lower(hex(sha256)) AS sha256, sealed_bytes, layout,
    CASE WHEN file IS NULL THEN 'node.db' ELSE 'chunks/' || file END AS place,
    datetime(stored_at_ms / 1000, 'unixepoch') AS stored_at
  FROM chunks;
CREATE VIEW manifest_overview AS
  SELECT version, partition, state, sequence, datetime(sequence / 1000000, 'unixepoch') AS written_at,
    wrap_epoch, signer, length(record) AS record_bytes
  FROM manifests;
`;

/** Made at every open where it is absent: format 1 was in use before altered copies were kept. */
const asideTable = `
CREATE TABLE IF NOT EXISTS aside (
  version TEXT NOT NULL,
  chunk_index INTEGER NOT NULL,
  sha256 BLOB NOT NULL,
  sealed_bytes INTEGER NOT NULL,
  set_aside_at_ms INTEGER NOT NULL,
  body_id INTEGER,
  file TEXT,
  PRIMARY KEY (version, chunk_index)
) STRICT, WITHOUT ROWID;
`;

const pragma = (database: SqliteDatabase, name: string): unknown => database.pragma(name, { simple: true });

/** Refuses what is not a node's store in a format we read. */
const requireFormat = (database: SqliteDatabase): void => {
  if (pragma(database, 'application_id') !== storeApplicationId) {
    throw new OperaError('config', `${database.name}: a database, but not the store of a node`);
  }
  const found = pragma(database, 'user_version');
  if (found !== formatVersion) {
    const message = `${database.name}: format ${found}, this program reads format ${formatVersion}`;
    throw new OperaError('config', message, {
      hint: 'install the version of the program that wrote it, or a newer one',
    });
  }
};

/** Creates the tables in an empty file, or checks that an existing one is a node's store in a format we read. */
export const prepareSchema = (database: SqliteDatabase): void => {
  const isEmpty = database.prepare('SELECT count(*) FROM sqlite_schema').pluck().get() === 0;
  if (isEmpty) {
    database.transaction(() => {
      database.exec(tables);
      database.exec(asideTable);
      database.pragma(`application_id = ${storeApplicationId}`);
      database.pragma(`user_version = ${formatVersion}`);
    })();
    return;
  }
  requireFormat(database);
  database.exec(asideTable);
};

/** The same check for a connection that only reads; a table that the file lacks stands in its memory, empty. */
export const prepareToRead = (database: SqliteDatabase): void => {
  requireFormat(database);
  const sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'aside'";
  if (database.prepare(sql).pluck().get() === 0) {
    database.exec(asideTable.replace('TABLE IF NOT EXISTS', 'TEMP TABLE'));
  }
};
