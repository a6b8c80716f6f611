// The snapshot of catalogues that a query about star systems is about (Registry.listCatalogues). Types only.
import type { VersionId } from '../model/ids.ts';

export interface CatalogueQuery {
  /** Empty for all. */
  readonly prefix: string;
  /** 1 to limits.cataloguesMax. */
  readonly max: number;
}

export interface CatalogueEntry {
  readonly name: string;
  readonly version: VersionId;
  readonly sequence: bigint;
  readonly chunkCount: number;
  /** Sequence of the pending change this name takes part in; undefined when it is durable on nodes. */
  readonly pending: bigint | undefined;
}
