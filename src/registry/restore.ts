// What a rebuild puts back into a registry that was lost or went back in time (Registry.restore). Types only.
// The caller knows the truth from a complete view of the nodes; the registry takes it, and only ever upwards.
import type { OperationId, VersionId } from '../model/ids.ts';
import type { SignedRecord } from '../model/signed-record.ts';

/** Of a network whose database was lost: the incarnation it goes on with, above every one that nodes promised. */
export interface LostNetwork {
  readonly incarnation: number;
}

/** A live name as its manifest on the nodes tells it; durable there already, so it is never pending. */
export interface RestoredName {
  readonly name: string;
  readonly version: VersionId;
  readonly sequence: bigint;
  readonly incarnation: number;
  readonly operationId: OperationId;
  readonly chunkCount: number;
  /** As the body says: it lists the lengths of its chunks. */
  readonly catalogue: boolean;
  /** Kept when it is at most 4 KiB. */
  readonly body: Uint8Array;
  readonly wrap: Uint8Array;
  readonly nodes: readonly string[];
}

export interface RestoredOperation {
  readonly operationId: OperationId;
  readonly sequence: bigint;
  readonly incarnation: number;
}

/** What nodes know and the registry lost. Counters only rise; a name moves only to a higher sequence. */
export interface RestoreStep {
  readonly incarnation: number;
  /** When given, the lease must be of this epoch: who led before must not put back what his successor took away. */
  readonly epoch?: bigint;
  readonly sequence?: bigint;
  /** Highest leader epoch any node promised; a lease of a lower epoch ends. */
  readonly leaseEpoch?: bigint;
  /** Ascending; the ones above the newest known are added, without the check of appendLayout. */
  readonly layouts?: readonly { readonly number: number; readonly layout: SignedRecord }[];
  readonly retiredUpTo?: number;
  /** Each name once, with its highest live manifest; up to 1,000 together with `dead`. */
  readonly names?: readonly RestoredName[];
  /** Names whose highest manifest is a tombstone: removed when they stand at a lower sequence. */
  readonly dead?: readonly { readonly name: string; readonly sequence: bigint }[];
  /** Operations that were carried out, as their manifests tell: who repeats one is answered and does nothing twice. */
  readonly operations?: readonly RestoredOperation[];
}
