// What the registry takes when the network key changes: the new epoch's boxes and chain record, and new wraps of names.
// The registry opens none of it.
import type { KeyHash, VersionId } from '../model/ids.ts';
import type { SignedRecord } from '../model/signed-record.ts';

export interface StoredKeyBox {
  readonly recipient: KeyHash;
  /** 1 network key, 2 CA key part, 3 network key to a recovery key. */
  readonly kind: 1 | 2 | 3;
  readonly epoch: number;
  readonly box: SignedRecord;
}

export interface EpochRecords {
  /** Boxes of the new network key, as putKeyBoxes takes them; each replaces those of its recipient's older epochs. */
  readonly boxes: readonly StoredKeyBox[];
  /** The key before it, sealed under the new one; replaces a record of that epoch. */
  readonly chain: { readonly epoch: number; readonly record: Uint8Array };
}

export interface NameWrap {
  readonly name: string;
  readonly version: VersionId;
  readonly sequence: bigint;
  /** 76 bytes. */
  readonly wrap: Uint8Array;
}
