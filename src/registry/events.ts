// What the registry keeps of the network's history, for people: see Registry.appendEvent.
import type { MemberId } from '../model/ids.ts';

export interface ClusterEvent {
  readonly atMs: number;
  /** Closed word such as `member-joined`, `layout-made`. */
  readonly kind: string;
  /** Ties failure, detection and repair together; 32 hex characters. */
  readonly causeId: string;
  readonly memberId: MemberId | undefined;
  /** Facts for people; no names of files, no values of records. At most 1 KiB of JSON. */
  readonly facts: Readonly<Record<string, string | number | boolean>>;
}

/** The id is opaque and rising; pass it as `after`. */
export type StoredEvent = ClusterEvent & { readonly id: string };
