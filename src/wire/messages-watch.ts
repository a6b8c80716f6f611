// Messages about who is there: what sentinels think, and what operators order about nodes.
// Requests are strict objects; answers tolerate members added by newer versions.
import * as v from 'valibot';
import { count, listOf, memberId, text, u32 } from './schema.ts';

// ---- sentinel, from sentinels and masters
export const opinionRequest = v.strictObject({ memberIds: listOf(memberId, 1_000) });
export const opinionAnswer = v.object({
  /** Why it says nothing now; then there are no opinions. */
  abstains: v.optional(v.picklist(['starting', 'lagged', 'nobody-answered'])),
  /** Of the members asked for; one that it never heard of, or not for long enough, is left out. */
  opinions: listOf(
    v.object({
      memberId,
      state: v.picklist(['up', 'suspect', 'down']),
      failure: v.optional(v.picklist(['refused', 'timeout', 'cut-off', 'peer-mismatch', 'untrusted'])),
      silentMs: count,
    }),
    1_000,
  ),
});

// ---- gateway and leading master, from operators
/** A node by its id or by an address it announced. */
export const nodeOrder = v.strictObject({ node: text(1, 262), force: v.boolean() });
export const nodeOrderAnswer = v.object({
  memberId,
  address: text(0, 262),
  state: text(1, 20),
  /** Newest layout, whether it names the node, and whether all that it asks for is copied. */
  layoutNumber: u32,
  inLayout: v.boolean(),
  complete: v.boolean(),
  /** Still to be copied to other nodes. */
  chunksLeft: count,
  bytesLeft: count,
  /** True when nothing is lost with this node. */
  safeToRemove: v.boolean(),
});
