// The tables of the embedded registry, readable with any sqlite3, and its four public keys as views:
// network_nodes, network_data, network_data_node (node → names) and network_data_file (name → nodes); a fifth view,
// catalogues, shows which of the names queries are about.
// Invariant: user_version counts the format; a file of a higher one is refused, older ones are migrated here.
// Names compare as bytes of UTF-8 (BINARY), the order of the contract.
import { OperaError } from '../errors/errors.ts';
import type { SqliteDatabase } from '../runtime/sqlite.ts';

/** `PRAGMA application_id` of a registry file: "OPRG". */
const applicationId = 0x4f505247;
const formatVersion = 2;

/** Catalogues alone: a snapshot of them does not look at the other names. */
const catalogues = `
CREATE INDEX catalogues_by_name ON names (name) WHERE catalogue = 1;
CREATE VIEW catalogues AS SELECT name, version, sequence, chunk_count FROM names WHERE catalogue = 1;`;

/** What makes a file of the format before one of the next, by the format before. */
const migrations: Readonly<Record<number, string>> = {
  1: `ALTER TABLE names ADD COLUMN catalogue INTEGER NOT NULL DEFAULT 0; ${catalogues}`,
};

const schema = `
CREATE TABLE life (
  one INTEGER PRIMARY KEY CHECK (one = 1), network_id TEXT NOT NULL, incarnation INTEGER NOT NULL,
  raised_under TEXT NOT NULL, sequence INTEGER NOT NULL, key_epoch INTEGER NOT NULL,
  newest_layout INTEGER NOT NULL, retired_layouts INTEGER NOT NULL, placements_layout INTEGER NOT NULL,
  lease_epoch INTEGER NOT NULL) STRICT;
CREATE TABLE roster (
  one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL, hash BLOB NOT NULL,
  record BLOB NOT NULL, signer BLOB NOT NULL) STRICT;
CREATE TABLE kept_rosters (number INTEGER PRIMARY KEY, record BLOB NOT NULL, signer BLOB NOT NULL) STRICT;
CREATE TABLE members (
  member_id TEXT PRIMARY KEY, key_hash TEXT NOT NULL, role TEXT NOT NULL, addresses TEXT NOT NULL, zone TEXT NOT NULL,
  capacity_bytes INTEGER NOT NULL, spki BLOB NOT NULL, joined_ms INTEGER NOT NULL,
  certificate_expires_ms INTEGER NOT NULL, state TEXT NOT NULL, state_since_ms INTEGER NOT NULL,
  state_reason TEXT NOT NULL) STRICT;
CREATE TABLE key_boxes (
  recipient TEXT NOT NULL, kind INTEGER NOT NULL, epoch INTEGER NOT NULL, record BLOB NOT NULL, signer BLOB NOT NULL,
  PRIMARY KEY (recipient, kind, epoch)) STRICT, WITHOUT ROWID;
CREATE TABLE key_chain (epoch INTEGER PRIMARY KEY, record BLOB NOT NULL) STRICT;
CREATE TABLE tokens (
  token_id TEXT PRIMARY KEY, role TEXT NOT NULL, record BLOB NOT NULL, signer BLOB NOT NULL, created_by TEXT NOT NULL,
  expires_ms INTEGER NOT NULL, uses_max INTEGER NOT NULL) STRICT;
CREATE TABLE token_uses (
  token_id TEXT NOT NULL REFERENCES tokens ON DELETE CASCADE, ordinal INTEGER NOT NULL, key_hash TEXT NOT NULL,
  PRIMARY KEY (token_id, ordinal), UNIQUE (token_id, key_hash)) STRICT, WITHOUT ROWID;
CREATE TABLE lease (
  one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, renewal INTEGER NOT NULL, holder TEXT NOT NULL,
  instance TEXT NOT NULL, address TEXT NOT NULL, released INTEGER NOT NULL) STRICT;
CREATE TABLE layouts (number INTEGER PRIMARY KEY, record BLOB NOT NULL, signer BLOB NOT NULL) STRICT;
CREATE TABLE uploads (
  version TEXT PRIMARY KEY, name TEXT NOT NULL, client TEXT NOT NULL, layout INTEGER NOT NULL,
  opened_ms INTEGER NOT NULL) STRICT;
CREATE INDEX uploads_by_age ON uploads (opened_ms);
CREATE TABLE names (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, version TEXT NOT NULL, sequence INTEGER NOT NULL,
  incarnation INTEGER NOT NULL, operation_id TEXT NOT NULL, chunk_count INTEGER NOT NULL, body BLOB,
  wrap BLOB NOT NULL, catalogue INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE INDEX names_by_version ON names (version);
${catalogues}
CREATE TABLE nodes (id INTEGER PRIMARY KEY, address TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE placements (
  name_id INTEGER NOT NULL REFERENCES names ON DELETE CASCADE, node_id INTEGER NOT NULL REFERENCES nodes,
  PRIMARY KEY (name_id, node_id)) STRICT, WITHOUT ROWID;
CREATE INDEX placements_by_node ON placements (node_id, name_id);
CREATE TABLE pending (
  sequence INTEGER PRIMARY KEY, name TEXT NOT NULL, incarnation INTEGER NOT NULL, operation_id TEXT NOT NULL) STRICT;
CREATE TABLE pending_manifests (
  sequence INTEGER NOT NULL REFERENCES pending ON DELETE CASCADE, ordinal INTEGER NOT NULL, version TEXT NOT NULL,
  state TEXT NOT NULL, body BLOB NOT NULL, wrap BLOB NOT NULL, PRIMARY KEY (sequence, ordinal)) STRICT;
CREATE TABLE pending_names (name TEXT PRIMARY KEY, sequence INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX pending_names_by_sequence ON pending_names (sequence);
CREATE TABLE outcomes (
  operation_id TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, sequence INTEGER NOT NULL, incarnation INTEGER NOT NULL,
  replaced_version TEXT, replaced_sequence INTEGER) STRICT;
CREATE INDEX outcomes_by_age ON outcomes (at_ms);
CREATE TABLE events (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, cause_id TEXT NOT NULL,
  member_id TEXT, facts TEXT NOT NULL) STRICT;
CREATE VIEW network_nodes AS
  SELECT DISTINCT json_extract(addresses, '$[0]') AS node FROM members
  WHERE role = 'node' AND state <> 'removed' AND json_array_length(addresses) > 0;
CREATE VIEW network_data AS SELECT name FROM names;
CREATE VIEW network_data_node AS
  SELECT address AS node, name FROM nodes JOIN placements ON node_id = nodes.id JOIN names ON name_id = names.id;
CREATE VIEW network_data_file AS
  SELECT name, address AS node FROM names JOIN placements ON name_id = names.id JOIN nodes ON node_id = nodes.id;
PRAGMA application_id = ${applicationId};
PRAGMA user_version = ${formatVersion};
`;

/** True when the file holds the tables; false when it is still blank. `config` for a foreign or a newer file. */
export const hasSchema = (database: SqliteDatabase): boolean => {
  const version = database.pragma('user_version', { simple: true });
  const application = database.pragma('application_id', { simple: true });
  if (version === 0 && application === 0) return false;
  if (application !== applicationId) throw new OperaError('config', 'the file is not a registry of Space Opera');
  if (version === formatVersion) return true;
  throw new OperaError('config', `the registry has format ${String(version)}, this program knows ${formatVersion}`, {
    hint: 'Install the version of the program that wrote it, or a newer one',
  });
};

const formatOf = (database: SqliteDatabase): number => Number(database.pragma('user_version', { simple: true }));

/**
 * Brings a file that an older program made to this format; any other one is left as it is. Other processes may have it
 * open: whoever is first does it. Call outside of a transaction.
 */
export const migrateSchema = (database: SqliteDatabase): void => {
  if (formatOf(database) >= formatVersion || database.pragma('application_id', { simple: true }) !== applicationId)
    return;
  const migrate = database.transaction(() => {
    for (let format = formatOf(database); format < formatVersion; format++) {
      database.exec(`${migrations[format] ?? ''}; PRAGMA user_version = ${format + 1}`);
    }
  });
  migrate.immediate();
};

/** Makes the tables; call inside a write transaction. */
export const createSchema = (database: SqliteDatabase): void => {
  database.exec(schema);
};
