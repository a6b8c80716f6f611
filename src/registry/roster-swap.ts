// What the registry takes when the roster changes. It opens none of it: signatures are the callers' to check.
import type { SignedRecord } from '../model/signed-record.ts';
import type { EpochRecords } from './epoch-records.ts';

export interface RosterSwap {
  /** The roster this one follows: its number and SHA-256; refused when the registry holds another. */
  readonly expectNumber: bigint;
  readonly expectHash: Uint8Array;
  readonly number: bigint;
  readonly hash: Uint8Array;
  readonly keyEpoch: number;
  readonly roster: SignedRecord;
  /** True when the set of gateways changed against its predecessor: such rosters are kept for roles that slept. */
  readonly keep: boolean;
  /** For a new key epoch: what makes it usable enters with the roster that names it, or not at all. */
  readonly keys?: EpochRecords;
}

export type FirstRoster = Omit<RosterSwap, 'expectNumber' | 'expectHash' | 'keys'>;
