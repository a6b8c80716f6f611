// The decision inside the commit step: may this change happen, and if not, why. Pure; memory and SQLite look up the
// facts and carry it out, Redis has the same rules in scripts/commit.lua, and random histories compare the three.
// The order of the checks is part of the contract (registry.ts, commit).
import { wrapEpoch } from './_check.ts';
import type { ChangeOutcome, ChangeRefusal, CommitStep, MemberRecord, NameChange, NameVersion } from './registry.ts';

export interface ChangeFacts {
  /** The incarnation, or undefined when the life of the database is not the one it began under. */
  readonly incarnation: number | undefined;
  readonly keyEpoch: number;
  /** Number of the newest layout; 0 when none. */
  readonly layoutNumber: number;
  /** For a put: the open upload of its version. */
  readonly upload: { readonly name: string; readonly ageMs: number } | undefined;
  readonly currentOf: (name: string) => NameVersion | undefined;
}

export type Refusal = Extract<ChangeOutcome, { readonly done: false }>;

const sequenceOf = (current: NameVersion | undefined): bigint => current?.sequence ?? 0n;

/** The name a change gives a new record to: `to` of a rename, else its name. */
export const targetOf = (change: NameChange): string => (change.kind === 'rename' ? change.to : change.name);

const uploadRefusal = (step: CommitStep, change: NameChange, facts: ChangeFacts): ChangeRefusal | undefined => {
  if (change.kind !== 'put') return undefined;
  const { upload } = facts;
  if (!upload || upload.name !== change.name || upload.ageMs > step.uploadAgeMaxMs) return 'upload-closed';
  return step.layoutNumber === facts.layoutNumber ? undefined : 'layout-changed';
};

/** Undefined when the change may be carried out. */
export const refusalOf = (step: CommitStep, change: NameChange, facts: ChangeFacts): Refusal | undefined => {
  const source = facts.currentOf(change.name);
  const target = facts.currentOf(targetOf(change));
  const refuse = (code: ChangeRefusal, current = source): Refusal => ({ done: false, code, current });
  if (facts.incarnation !== step.incarnation) return refuse('stale-incarnation');
  const { condition } = change;
  if (condition?.ifAbsent && target) return refuse('exists', target);
  if (condition?.ifVersion !== undefined && target?.version !== condition.ifVersion) {
    return { done: false, code: 'conflict', current: target };
  }
  if (change.kind !== 'put') {
    if (!source) return refuse('not-found');
    if (source.version !== change.sealed.version) return refuse('conflict');
    if (change.kind === 'rename' && source.sequence !== change.tombstone.follows) return refuse('conflict');
  }
  const closed = uploadRefusal(step, change, facts);
  if (closed) return refuse(closed);
  const wraps = change.kind === 'rename' ? [change.sealed.wrap, change.tombstone.wrap] : [change.sealed.wrap];
  if (wraps.some((wrap) => wrapEpoch(wrap) !== facts.keyEpoch)) return refuse('stale_epoch');
  if (change.sealed.follows !== sequenceOf(target)) return { done: false, code: 'stale_follows', current: target };
  return undefined;
};

/** True when a node listens elsewhere than before, so that the public placement keys name an address it left. */
export const movesNode = (before: MemberRecord | undefined, after: MemberRecord): boolean => {
  const [was] = before?.addresses ?? [];
  const [is] = after.addresses;
  if (after.role !== 'node' || before?.state === 'removed' || after.state === 'removed') return false;
  return was !== undefined && is !== undefined && was !== is;
};

/** The sequence a change draws: max(last + 1, registry clock in µs). */
export const nextSequence = (last: bigint, nowMicros: bigint): bigint => (nowMicros > last ? nowMicros : last + 1n);
