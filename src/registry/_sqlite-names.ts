// The steps of the embedded registry about names: uploads, the commit step, pending changes, lists.
// Invariant: a name's row, its placements, its pending change and the outcome change in the caller's one transaction.
// Why a change is refused is decided in _decide.ts; arguments were checked by the caller (sqlite.ts).
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import type { OperationId, VersionId } from '../model/ids.ts';
import { batchMax, namesOf, tooManyCatalogues } from './_check.ts';
import { type ChangeFacts, nextSequence, refusalOf, targetOf } from './_decide.ts';
import { bytesOf, isBegun, isLiving, requireLife, type Rows, type StepContext } from './_sqlite-database.ts';
import { requireLead, restoreCounters } from './_sqlite-members.ts';
import { dropPlacements, setPlacements } from './_sqlite-placements.ts';
import type { CatalogueEntry, CatalogueQuery } from './catalogues.ts';
import type { NameWrap } from './epoch-records.ts';
import type * as contract from './registry.ts';
import type { ChangeOutcome, NameChange, NameRecord, PendingChange, SealedBody } from './registry.ts';
import type { RestoredName, RestoreStep } from './restore.ts';

/** Old outcomes and their like removed per commit, so that cleaning never becomes a long step. */
const cleanedPerCommit = 200;

interface CurrentRow {
  readonly id: number;
  readonly version: VersionId;
  readonly sequence: number;
  readonly chunk_count: number;
  readonly catalogue: number;
}

const currentRow = (rows: Rows, name: string): CurrentRow | undefined =>
  rows.get<CurrentRow>('SELECT id, version, sequence, chunk_count, catalogue FROM names WHERE name = ?', name);

const currentOf = (rows: Rows, name: string): contract.NameVersion | undefined => {
  const row = currentRow(rows, name);
  return row && { version: row.version, sequence: BigInt(row.sequence) };
};

export const openUploads = (
  context: StepContext,
  { incarnation, client, layoutNumber, uploads }: contract.OpenUploads,
): readonly (contract.NameVersion | undefined)[] => {
  const { rows, life, nowMs } = requireLife(context, incarnation);
  if (layoutNumber !== life.newest_layout) throw new OperaError('layout-changed');
  return uploads.map(({ version, name }) => {
    const change = 'ON CONFLICT (version) DO UPDATE SET name = ?2, client = ?3, layout = ?4';
    rows.run(`INSERT INTO uploads VALUES (?1, ?2, ?3, ?4, ?5) ${change}`, version, name, client, layoutNumber, nowMs);
    return currentOf(rows, name);
  });
};

export const listOpenUploads = ({ rows }: StepContext, versions: readonly VersionId[]): readonly VersionId[] =>
  versions.filter((version) => rows.get('SELECT 1 FROM uploads WHERE version = ?', version) !== undefined);

export const expireUploads = ({ rows, nowMs }: StepContext, ageMs: number): number => {
  const old = 'SELECT version FROM uploads WHERE opened_ms < ? ORDER BY opened_ms LIMIT ?';
  return rows.run(`DELETE FROM uploads WHERE version IN (${old})`, nowMs - ageMs, batchMax);
};

interface OutcomeRow {
  readonly sequence: number;
  readonly incarnation: number;
  readonly replaced_version: VersionId | null;
  readonly replaced_sequence: number | null;
}

export const getOutcome = ({ rows, nowMs }: StepContext, operationId: OperationId): ChangeOutcome | undefined => {
  const sql = 'SELECT * FROM outcomes WHERE operation_id = ? AND at_ms > ?';
  const row = rows.get<OutcomeRow>(sql, operationId, nowMs - limits.outcomeKeptMs);
  if (!row) return undefined;
  const { replaced_version: version, replaced_sequence: replacedSequence, sequence, incarnation } = row;
  const replaced = version === null ? undefined : { version, sequence: BigInt(replacedSequence ?? 0) };
  return { done: true, sequence: BigInt(sequence), incarnation, replaced, repeated: true, catalogues: true };
};

const factsOf = (context: StepContext, change: NameChange): ChangeFacts => {
  const { rows, life, nowMs } = context;
  const sql = 'SELECT name, opened_ms FROM uploads WHERE version = ?';
  const upload = rows.get<{ name: string; opened_ms: number }>(sql, change.sealed.version);
  return {
    incarnation: isLiving(context) ? life.incarnation : undefined,
    keyEpoch: life.key_epoch,
    layoutNumber: life.newest_layout,
    upload: upload && { name: upload.name, ageMs: nowMs - upload.opened_ms },
    currentOf: (name) => currentOf(rows, name),
  };
};

export const commit = (context: StepContext, step: contract.CommitStep): readonly ChangeOutcome[] => {
  const { rows, life, nowMs } = context;
  let last = BigInt(life.sequence);
  const outcomes = step.changes.map((change): ChangeOutcome => {
    const kept = getOutcome(context, change.operationId);
    if (kept) return kept;
    const refusal = refusalOf(step, change, factsOf(context, change));
    if (refusal) return refusal;
    last = nextSequence(last, BigInt(Math.floor(nowMs * 1000)));
    return carryOut(context, change, last);
  });
  rows.run('UPDATE life SET sequence = ?', last);
  const old = 'SELECT operation_id FROM outcomes WHERE at_ms <= ? ORDER BY at_ms LIMIT ?';
  rows.run(`DELETE FROM outcomes WHERE operation_id IN (${old})`, nowMs - limits.outcomeKeptMs, cleanedPerCommit);
  return outcomes;
};

const carryOut = (context: StepContext, change: NameChange, sequence: bigint): ChangeOutcome => {
  const { rows, life, nowMs } = context;
  const { incarnation } = life;
  const { operationId } = change;
  const replaced = currentOf(rows, targetOf(change));
  const isPut = change.kind === 'put' && change.catalogue === true;
  const catalogues = isPut || namesOf(change).some((name) => currentRow(rows, name)?.catalogue === 1);
  moveName(context, change, sequence);
  rows.run('DELETE FROM uploads WHERE version = ?', change.sealed.version);
  notePending(context, change, sequence);
  const { version = null, sequence: replacedSequence = null } = replaced ?? {};
  const sql = 'INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?, ?, ?, ?)';
  rows.run(sql, operationId, nowMs, sequence, incarnation, version, replacedSequence);
  return { done: true, sequence, incarnation, replaced, repeated: false, catalogues };
};

type NameRow = Omit<RestoredName, 'body' | 'nodes'> & { readonly body: Uint8Array | null };

/** The row of a name, new or replaced in place; answers its id. */
const writeName = (rows: Rows, row: NameRow): number => {
  const { name, version, sequence, incarnation, operationId, chunkCount, catalogue, body, wrap } = row;
  const columns = '(name, version, sequence, incarnation, operation_id, chunk_count, body, wrap, catalogue)';
  const change = `version = ?2, sequence = ?3, incarnation = ?4, operation_id = ?5, chunk_count = ?6, body = ?7,
    wrap = ?8, catalogue = ?9`;
  const sql = `INSERT INTO names ${columns} VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
    ON CONFLICT (name) DO UPDATE SET ${change} RETURNING id`;
  const facts = [name, version, sequence, incarnation, operationId, chunkCount] as const;
  const written = rows.get<{ id: number }>(sql, ...facts, body, wrap, catalogue ? 1 : 0);
  if (!written) throw new OperaError('internal', 'a name was not written');
  return written.id;
};

const deleteName = (rows: Rows, name: string): void => {
  const row = currentRow(rows, name);
  if (!row) return;
  dropPlacements(rows, row.id);
  rows.run('DELETE FROM names WHERE id = ?', row.id);
};

const moveName = ({ rows, life }: StepContext, change: NameChange, sequence: bigint): void => {
  const { operationId, sealed } = change;
  if (change.kind === 'remove') return deleteName(rows, change.name);
  const source = currentRow(rows, change.name);
  if (change.kind === 'rename') {
    // The row keeps its id, so the placements move with it.
    deleteName(rows, change.to);
    rows.run('UPDATE names SET name = ? WHERE name = ?', change.to, change.name);
  }
  const id = writeName(rows, {
    name: targetOf(change),
    version: sealed.version,
    sequence,
    incarnation: life.incarnation,
    operationId,
    chunkCount: change.kind === 'put' ? change.chunkCount : (source?.chunk_count ?? 0),
    catalogue: change.kind === 'put' ? change.catalogue === true : source?.catalogue === 1,
    body: sealed.body,
    wrap: sealed.wrap,
  });
  if (change.kind === 'put') setPlacements(rows, id, change.nodes);
};

const notePending = ({ rows, life }: StepContext, change: NameChange, sequence: bigint): void => {
  const sql = 'INSERT INTO pending VALUES (?, ?, ?, ?)';
  rows.run(sql, sequence, targetOf(change), life.incarnation, change.operationId);
  const note = (ordinal: number, state: 'live' | 'dead', { version, body, wrap }: SealedBody): void => {
    rows.run('INSERT INTO pending_manifests VALUES (?, ?, ?, ?, ?, ?)', sequence, ordinal, version, state, body, wrap);
  };
  note(0, change.kind === 'remove' ? 'dead' : 'live', change.sealed);
  if (change.kind === 'rename') note(1, 'dead', change.tombstone);
  for (const name of namesOf(change)) rows.run('INSERT OR REPLACE INTO pending_names VALUES (?, ?)', name, sequence);
};

export const clearPending = ({ rows }: StepContext, sequences: readonly bigint[]): void => {
  for (const sequence of sequences) {
    rows.run(
      `UPDATE names SET body = NULL WHERE length(body) > ?
         AND name IN (SELECT name FROM pending_names WHERE sequence = ?)`,
      limits.manifestBodyBytesKept,
      sequence,
    );
    rows.run('DELETE FROM pending_names WHERE sequence = ?', sequence);
    rows.run('DELETE FROM pending WHERE sequence = ?', sequence);
  }
};

interface PendingRow {
  readonly sequence: number;
  readonly name: string;
  readonly incarnation: number;
  readonly operation_id: OperationId;
}

const pendingOf = (
  rows: Rows,
  { sequence, name, incarnation, operation_id: operationId }: PendingRow,
): PendingChange => {
  const sql = 'SELECT version, state, body, wrap FROM pending_manifests WHERE sequence = ? ORDER BY ordinal';
  const manifests = rows.all<contract.PendingManifest>(sql, sequence).map(({ version, state, body, wrap }) => {
    return { version, state, body: bytesOf(body), wrap: bytesOf(wrap) };
  });
  return { name, sequence: BigInt(sequence), incarnation, operationId, manifests };
};

export const getPending = ({ rows }: StepContext, sequence: bigint): PendingChange | undefined => {
  const row = rows.get<PendingRow>('SELECT * FROM pending WHERE sequence = ?', sequence);
  return row && pendingOf(rows, row);
};

export const listPending = ({ rows }: StepContext, limit: number, after: bigint): readonly PendingChange[] => {
  const sql = 'SELECT * FROM pending WHERE sequence > ? ORDER BY sequence LIMIT ?';
  return rows.all<PendingRow>(sql, after, limit).map((row) => pendingOf(rows, row));
};

export const listPendingOf = (context: StepContext, names: readonly string[]): readonly PendingChange[] => {
  const { rows } = requireLife(context);
  const sql = 'SELECT sequence FROM pending_names WHERE name = ?';
  const found = names.flatMap((name) => rows.get<{ sequence: number }>(sql, name)?.sequence ?? []);
  return [...new Set(found)].flatMap((sequence) => getPending(context, BigInt(sequence)) ?? []);
};

interface RecordRow extends PendingRow, CurrentRow {
  readonly body: Uint8Array | null;
  readonly wrap: Uint8Array;
  readonly pending: number | null;
}

const recordSql = 'SELECT names.*, pending_names.sequence AS pending FROM names LEFT JOIN pending_names USING (name)';

const recordOf = (row: RecordRow): NameRecord => ({
  name: row.name,
  version: row.version,
  sequence: BigInt(row.sequence),
  incarnation: row.incarnation,
  operationId: row.operation_id,
  chunkCount: row.chunk_count,
  catalogue: row.catalogue === 1,
  body: row.body ? bytesOf(row.body) : undefined,
  wrap: bytesOf(row.wrap),
  pending: row.pending === null ? undefined : BigInt(row.pending),
});

export const getNames = (context: StepContext, names: readonly string[]): readonly (NameRecord | undefined)[] => {
  const { rows } = requireLife(context);
  return names.map((name) => {
    const row = rows.get<RecordRow>(`${recordSql} WHERE names.name = ?`, name);
    return row && recordOf(row);
  });
};

/** No UTF-8 contains the byte FF, so prefix ‖ FF is above every name that begins with the prefix. */
const endOf = (prefix: string): Uint8Array => Buffer.concat([Buffer.from(prefix), Buffer.from([0xff])]);

export const listNames = (context: StepContext, query: contract.NameQuery): contract.NamePage => {
  const { rows } = requireLife(context);
  const { prefix, after = '', limit } = query;
  const range = 'names.name >= ? AND names.name > ? AND names.name < CAST(? AS TEXT)';
  const sql = `${recordSql} WHERE ${range} ORDER BY names.name LIMIT ?`;
  const found = rows.all<RecordRow>(sql, prefix, after, endOf(prefix), limit + 1).map(recordOf);
  const records = found.slice(0, limit);
  return { records, next: found.length > limit ? records.at(-1)?.name : undefined };
};

export const listCatalogues = (context: StepContext, { prefix, max }: CatalogueQuery): readonly CatalogueEntry[] => {
  const { rows } = requireLife(context);
  const columns = 'names.name, version, names.sequence, chunk_count, pending_names.sequence AS pending';
  const range = 'catalogue = 1 AND names.name >= ? AND names.name < CAST(? AS TEXT)';
  const sql = `SELECT ${columns} FROM names LEFT JOIN pending_names USING (name)
    WHERE ${range} ORDER BY names.name LIMIT ?`;
  const found = rows.all<Omit<RecordRow, 'body' | 'wrap'>>(sql, prefix, endOf(prefix), max + 1);
  if (found.length > max) throw tooManyCatalogues(max);
  return found.map(({ name, version, sequence, chunk_count: chunkCount, pending }) => {
    return {
      name,
      version,
      sequence: BigInt(sequence),
      chunkCount,
      pending: pending === null ? undefined : BigInt(pending),
    };
  });
};

export const countNames = ({ rows }: StepContext): number =>
  rows.get<{ count: number }>('SELECT count(*) AS count FROM names')?.count ?? 0;

export const replaceWraps = (context: StepContext, incarnation: number, wraps: readonly NameWrap[]): number => {
  const { rows } = requireLife(context, incarnation);
  // Epochs are the first four bytes, big-endian: blobs compare as the numbers do.
  const sql = `UPDATE names SET wrap = ?1 WHERE name = ?2 AND version = ?3 AND sequence = ?4
    AND substr(wrap, 1, 4) < substr(?1, 1, 4)`;
  return wraps.reduce(
    (sum, { name, version, sequence, wrap }) => sum + rows.run(sql, wrap, name, version, sequence),
    0,
  );
};

export const restore = (context: StepContext, step: RestoreStep): void => {
  if (!isBegun(context) || context.life.incarnation !== step.incarnation) throw new OperaError('stale-incarnation');
  requireLead(context, step.epoch);
  const { rows, nowMs } = context;
  restoreCounters(context, step);
  for (const { name, sequence } of step.dead ?? []) {
    if ((currentOf(rows, name)?.sequence ?? sequence) < sequence) deleteName(rows, name);
  }
  for (const restored of step.names ?? []) {
    const { name, sequence, body } = restored;
    if ((currentOf(rows, name)?.sequence ?? -1n) >= sequence) continue;
    const id = writeName(rows, { ...restored, body: body.length > limits.manifestBodyBytesKept ? null : body });
    setPlacements(rows, id, restored.nodes);
  }
  for (const { operationId, sequence, incarnation } of step.operations ?? []) {
    const sql = 'INSERT OR IGNORE INTO outcomes VALUES (?, ?, ?, ?, NULL, NULL)';
    rows.run(sql, operationId, nowMs, sequence, incarnation);
  }
};
