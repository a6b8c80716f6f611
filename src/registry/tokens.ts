// Join codes as the registry keeps them: the record a gateway signed, and who took its uses. Types only.
import type { KeyHash, MemberId } from '../model/ids.ts';
import type { Role } from '../model/roles.ts';
import type { SignedRecord } from '../model/signed-record.ts';

export interface StoredToken {
  /** First 16 bytes of SHA-256(Ed25519 public key), hex. */
  readonly tokenId: string;
  readonly role: Role;
  readonly record: SignedRecord;
  readonly createdBy: MemberId;
  readonly expiresMs: number;
  readonly usesMax: number;
  /** Keys that took it, in order. */
  readonly usedBy: readonly KeyHash[];
}

/** taken: a use was consumed; repeated: this key had taken it before; used: no use is left; unknown: no such token. */
export type TakeTokenOutcome = 'taken' | 'repeated' | 'used' | 'unknown';
