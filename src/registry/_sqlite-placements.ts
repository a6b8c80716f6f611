// The public keys of the embedded registry: which nodes own a chunk of a name, and the rebuild of that for a layout.
// Invariant: placements of a name change with the name, in its transaction; the views show them as they are.
// A rebuild pages by row id: a rename keeps the id and a new name gets a higher one, so none slips past the cursor.
// While it runs `life.placements_layout` holds its token, below zero, and 0 once a node moved.
import { OperaError } from '../errors/errors.ts';
import { checkLayout } from './_sqlite-members.ts';
import type { Rows, StepContext } from './_sqlite-database.ts';
import type { PlaceableFile, PlacedFile } from './_rebuild.ts';
import { publicKeys } from './keys.ts';

/** Names moved in one transaction: a few milliseconds in which other processes cannot write. */
const pageNames = 500;

export const dropPlacements = (rows: Rows, nameId: number): void => {
  rows.run('DELETE FROM placements WHERE name_id = ?', nameId);
};

export const setPlacements = (rows: Rows, nameId: number, nodes: readonly string[]): void => {
  dropPlacements(rows, nameId);
  for (const address of new Set(nodes)) {
    rows.run('INSERT OR IGNORE INTO nodes (address) VALUES (?)', address);
    rows.run('INSERT INTO placements SELECT ?, id FROM nodes WHERE address = ?', nameId, address);
  }
};

/** Answers a token that no other rebuild has. */
export const beginPlacements = (context: StepContext, layoutNumber: number): number => {
  checkLayout(context, layoutNumber);
  const { rows, life, nowMs } = context;
  const token = Math.max(Math.floor(nowMs), 1 - life.placements_layout);
  rows.run('UPDATE life SET placements_layout = ?', -token);
  return token;
};

const checkRebuild = (context: StepContext, layoutNumber: number, token: number): void => {
  checkLayout(context, layoutNumber);
  if (context.life.placements_layout !== -token) throw new OperaError('layout-changed');
};

interface FileRow {
  readonly id: number;
  readonly name: string;
  readonly version: PlaceableFile['version'];
  readonly chunk_count: number;
}

export const pagePlacements = ({ rows }: StepContext, cursor: string | undefined) => {
  const sql = 'SELECT id, name, version, chunk_count FROM names WHERE id > ? ORDER BY id LIMIT ?';
  const found = rows.all<FileRow>(sql, Number(cursor ?? 0), pageNames);
  const files = found.map(
    ({ name, version, chunk_count: chunkCount }): PlaceableFile => ({ name, version, chunkCount }),
  );
  return { cursor: String(found.at(-1)?.id ?? 0), files };
};

/** The version finds the row even when it was renamed meanwhile; another version was put with newer nodes. */
export const placeNames = (
  context: StepContext,
  layoutNumber: number,
  token: number,
  files: readonly PlacedFile[],
): void => {
  checkRebuild(context, layoutNumber, token);
  const { rows } = context;
  for (const { version, nodes } of files) {
    const found = rows.all<{ id: number }>('SELECT id FROM names WHERE version = ?', version);
    for (const { id } of found) setPlacements(rows, id, nodes);
  }
};

export const finishPlacements = (
  context: StepContext,
  layoutNumber: number,
  token: number,
): readonly PlaceableFile[] => {
  checkRebuild(context, layoutNumber, token);
  const { rows } = context;
  rows.run('UPDATE life SET placements_layout = ?', layoutNumber);
  rows.run('DELETE FROM nodes WHERE id NOT IN (SELECT node_id FROM placements)');
  return [];
};

export const placementsLayout = ({ life }: StepContext): number => Math.max(life.placements_layout, 0);

export const readPublicKeys = ({ rows }: StepContext): ReadonlyMap<string, readonly string[]> => {
  const keys = new Map<string, string[]>();
  const add = (key: string, value: string): void => {
    const list = keys.get(key);
    if (list) list.push(value);
    else keys.set(key, [value]);
  };
  for (const { node } of rows.all<{ node: string }>('SELECT node FROM network_nodes')) add(publicKeys.nodes, node);
  for (const { name } of rows.all<{ name: string }>('SELECT name FROM network_data')) add(publicKeys.data, name);
  for (const { node, name } of rows.all<{ node: string; name: string }>('SELECT node, name FROM network_data_node')) {
    add(publicKeys.dataOfNode(node), name);
  }
  for (const { node, name } of rows.all<{ node: string; name: string }>('SELECT node, name FROM network_data_file')) {
    add(publicKeys.nodesOfFile(name), node);
  }
  return keys;
};
