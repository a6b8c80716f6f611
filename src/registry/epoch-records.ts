// What the registry takes when the network key changes: the new epoch's boxes and chain record, and new wraps of names.
// The registry opens none of it.
import type { NameVersion, StoredKeyBox } from './registry.ts';

export interface EpochRecords {
  /** Boxes of the new network key, as putKeyBoxes takes them. */
  readonly boxes: readonly StoredKeyBox[];
  /** The key before it, sealed under the new one; replaces a record of that epoch. */
  readonly chain: { readonly epoch: number; readonly record: Uint8Array };
}

export interface NameWrap extends NameVersion {
  readonly name: string;
  /** 76 bytes. */
  readonly wrap: Uint8Array;
}
