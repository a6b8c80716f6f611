// The nodes as layouts are planned with them: registry, roster and heartbeats put together.
// Invariant: a node that a layout names stays in it until somebody's word says otherwise. That the registry does not
// know it, as after a loss of the registry, is nobody's word.
import { isValidMember, type Roster } from '../../identity/roster.ts';
import type { KeyHash } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import type { Layout } from '../../placement/layout.ts';
import type { MemberRecord } from '../../registry/registry.ts';
import { isBeating, type MasterCore } from './core.ts';
import type { NodeView, Standing } from './state.ts';

/** Weight of a node that named no capacity; all nodes of a laptop are alike. */
const defaultCapacityBytes = 2 ** 40;

const standingOf = (member: MemberRecord | undefined, keyHash: KeyHash, roster: Roster): Standing => {
  if (roster.byKeyHash.has(keyHash) && !isValidMember(roster, keyHash, 'node')) return 'gone';
  switch (member?.state) {
    case 'removed':
      return 'gone';
    case 'draining':
      return 'leaving';
    case 'out':
    case 'quarantine':
      return member.state;
    default:
      return 'in';
  }
};

/** One view of each node that may take part or that one of the layouts names. */
export const nodeViews = (
  core: MasterCore,
  members: readonly MemberRecord[],
  layouts: readonly Layout[],
): NodeView[] => {
  const { roster } = core.context.rosters;
  const known = new Map(members.filter(({ role }) => role === 'node').map((member) => [member.keyHash, member]));
  const keys = new Set([...known.keys(), ...layouts.flatMap(({ nodes }) => nodes)]);
  return [...keys].map((keyHash): NodeView => {
    const member = known.get(keyHash);
    const beat = member && core.heartbeats.get(member.memberId)?.request;
    return {
      keyHash,
      weight: member?.capacityBytes || defaultCapacityBytes,
      zone: member?.zone ?? '',
      layoutNumber: beat?.layoutNumber ?? 0,
      completeLayout: beat?.completeLayout ?? 0,
      alive: member !== undefined && member.addresses.length > 0 && isBeating(core, member.memberId),
      sound: beat?.sound ?? false,
      standing: standingOf(member, keyHash, roster),
    };
  });
};

/** What the newest layout was made with, as far as this leader knows. */
export class Shapes {
  #number = 0;
  readonly #shapes = new Map<KeyHash, { readonly weight: number; readonly zone: string }>();

  /**
   * True when a node of the newest layout offers notably more or less than when this leader first saw the layout, or
   * lies in another zone. What changed while nobody led is noticed with the next layout.
   */
  isReshaped(newest: Layout | undefined, nodes: readonly NodeView[]): boolean {
    if (!newest) return false;
    if (newest.number !== this.#number) {
      this.#number = newest.number;
      this.#shapes.clear();
    }
    return nodes.some(({ keyHash, weight, zone, alive, standing }) => {
      if (!alive || standing !== 'in' || !newest.nodes.includes(keyHash)) return false;
      const before = this.#shapes.get(keyHash);
      if (!before) {
        this.#shapes.set(keyHash, { weight, zone });
        return false;
      }
      return before.zone !== zone || Math.abs(weight - before.weight) > before.weight * limits.capacityChangeMin;
    });
  }
}
