// Messages about network keys: an epoch that is prepared, its rotation, and what a gateway knows of the epochs.
// Keys themselves never travel: only boxes, chain records and checks.
import * as v from 'valibot';
import { bytes, count, integer, listOf, memberId, milliseconds, operationId, spki, u32 } from './schema.ts';

/**
 * An epoch that no roster names yet. The boxes are all signed by one gateway, whose key stands beside them once: so ten
 * thousand of them fit a message.
 */
export const epochDraft = v.strictObject({
  epoch: integer(2, 2 ** 32 - 1),
  keyCheck: bytes(32),
  operationId,
  madeMs: milliseconds,
  signerSpki: spki,
  keyBoxes: listOf(bytes(214), 10_000, 1),
  /** The key of the epoch before, sealed under this one. */
  chain: bytes(77),
});
export type EpochDraft = v.InferOutput<typeof epochDraft>;

/** When and by which rotation an epoch began, as far as it is known. */
export const epochNote = v.strictObject({ epoch: u32, madeMs: milliseconds, operationId });
export type EpochNote = v.InferOutput<typeof epochNote>;

export const keysRotateRequest = v.strictObject({
  operationId,
  /** The epoch the operator wants to leave: with another one in force nothing is rotated, however often it is asked. */
  fromEpoch: integer(1, 2 ** 32 - 2),
});
export const keysRotateAnswer = v.object({
  keyEpoch: u32,
  /** False when another operation had rotated already. */
  rotated: v.boolean(),
  /** Nodes and gateways that did not take the new boxes yet; they get them when they are reached. */
  unconfirmed: listOf(memberId, 10_000),
});

export const keysListAnswer = v.object({
  keyEpoch: u32,
  epochs: listOf(v.object({ epoch: u32, madeMs: v.optional(milliseconds) }), 10_000),
  /** The answering gateway's walk over the registry's names to give them wraps under the newest epoch. */
  names: v.object({ epoch: u32, seen: count, rewrapped: count, unopened: count, complete: v.boolean() }),
});
