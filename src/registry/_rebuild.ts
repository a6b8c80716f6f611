// Moving the public placement keys to another layout, page by page, while commits go on. Each name moves in one
// atomic step of the database, so the keys never contradict one another: a name is either under its old nodes or
// under its new ones. Placement is a pure function of (version, chunk count), so a page stays right as long as the
// name still has that version. Renames may carry a name past the cursor: the database notes those as late.
// Addresses are read after the beginning, and a node that moves later ends the work: none is placed where it was.
import type { VersionId } from '../model/ids.ts';
import type { AddressesOf } from './registry.ts';

export interface PlaceableFile {
  readonly name: string;
  readonly version: VersionId;
  readonly chunkCount: number;
}

export interface PlacedFile {
  readonly name: string;
  readonly version: VersionId;
  /** Without duplicates. */
  readonly nodes: readonly string[];
}

/**
 * The steps a database gives; each is atomic. `begin` answers a token of this rebuild. The others fail with
 * `layout-changed` once there is a newer layout, a node's new address, or another rebuild.
 */
export interface PlacementWork {
  begin(): Promise<number>;
  /** Files after `cursor` in any fixed order; an empty page is the end. */
  page(cursor: string | undefined): Promise<{ readonly cursor: string; readonly files: readonly PlaceableFile[] }>;
  /** Skips names that have another version by now. */
  place(token: number, files: readonly PlacedFile[]): Promise<void>;
  /** Ends the work when no name is late; else answers late ones, to be placed first. */
  finish(token: number): Promise<readonly PlaceableFile[]>;
}

export const rebuildPlacements = async (read: () => Promise<AddressesOf>, work: PlacementWork): Promise<void> => {
  const token = await work.begin();
  const addressesOf = await read();
  const place = async (files: readonly PlaceableFile[]): Promise<void> => {
    const placed = files.map(({ name, version, chunkCount }) => {
      return { name, version, nodes: [...new Set(addressesOf({ version, chunkCount }))] };
    });
    await work.place(token, placed);
  };
  let cursor: string | undefined;
  for (;;) {
    const page = await work.page(cursor);
    if (page.files.length === 0) break;
    await place(page.files);
    cursor = page.cursor;
  }
  for (;;) {
    const late = await work.finish(token);
    if (late.length === 0) return;
    await place(late);
  }
};
