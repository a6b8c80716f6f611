// What the leader takes from the timeline of the network: causes that go on over a change of leaders, and how often a
// node was down or in quarantine. It reads on from where it stopped; what it remembers can be read again at any time.
// Wall-clock times here come from several machines and only ever count minutes and hours.
import { bytesToHex, type MemberId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import type { Registry } from '../../registry/registry.ts';
import type { RoleContext } from '../context.ts';

interface Record {
  /** Of its last death or drain. */
  causeId: string | undefined;
  downs: number[];
  quarantines: number[];
  sentenced: boolean;
}

type StoredEvent = Awaited<ReturnType<Registry['listEvents']>>[number];
export type Facts = StoredEvent['facts'];

const pageSize = 1_000;

export class Timeline {
  readonly #context: RoleContext;
  readonly #registry: Registry;
  readonly #members = new Map<MemberId, Record>();
  readonly #layouts = new Map<number, { readonly causeId: string; readonly repairs: boolean }>();
  #after: string | undefined;

  constructor(context: RoleContext, registry: Registry) {
    this.#context = context;
    this.#registry = registry;
  }

  /** Reads what came since the last time. */
  async read(): Promise<void> {
    for (;;) {
      const events = await this.#registry.listEvents(this.#after, pageSize);
      for (const event of events) this.#note(event);
      this.#after = events.at(-1)?.id ?? this.#after;
      if (events.length < pageSize) return;
    }
  }

  /** The database was restored or replaced: its timeline begins anew. */
  forget(): void {
    this.#after = undefined;
    this.#members.clear();
    this.#layouts.clear();
  }

  #recordOf(memberId: MemberId): Record {
    const known = this.#members.get(memberId);
    if (known) return known;
    const fresh: Record = { causeId: undefined, downs: [], quarantines: [], sentenced: false };
    this.#members.set(memberId, fresh);
    return fresh;
  }

  #note({ kind, causeId, memberId, facts, atMs }: StoredEvent): void {
    if (kind === 'layout-made' && typeof facts['layout'] === 'number') {
      this.#layouts.set(facts['layout'], { causeId, repairs: facts['reason'] === 'failure' });
      return;
    }
    if (memberId === undefined) return;
    const record = this.#recordOf(memberId);
    if (kind === 'member-down' || kind === 'node-draining') record.causeId = causeId;
    if (kind === 'member-down') {
      record.downs.push(atMs);
    } else if (kind === 'member-quarantined') {
      record.quarantines.push(atMs);
      record.sentenced = true;
    } else if (kind === 'member-released' || kind === 'node-resumed') {
      record.sentenced = false;
      record.downs = [];
    }
  }

  /** How often a node flapped; what is too long ago is forgotten. */
  flapsOf(memberId: MemberId): { readonly downs: number; readonly quarantines: number; readonly sentenced: boolean } {
    const record = this.#members.get(memberId);
    if (!record) return { downs: 0, quarantines: 0, sentenced: false };
    const nowMs = this.#context.clock.nowMs();
    record.downs = record.downs.filter((atMs) => nowMs - atMs < limits.flapWindowMs);
    record.quarantines = record.quarantines.filter((atMs) => nowMs - atMs < limits.quarantineMemoryMs);
    return { downs: record.downs.length, quarantines: record.quarantines.length, sentenced: record.sentenced };
  }

  /** The cause that began with the member's last death, or a fresh one. */
  causeOf(memberId: MemberId | undefined): string {
    const known = memberId === undefined ? undefined : this.#members.get(memberId)?.causeId;
    return known ?? this.freshCause();
  }

  /** Why a layout was made; undefined when the timeline does not know. */
  causeOfLayout(number: number): { readonly causeId: string; readonly repairs: boolean } | undefined {
    return this.#layouts.get(number);
  }

  freshCause(): string {
    return bytesToHex(this.#context.random.bytes(16));
  }

  async append(kind: string, causeId: string, memberId: MemberId | undefined, facts: Facts): Promise<void> {
    await this.#registry.appendEvent({ atMs: this.#context.clock.nowMs(), kind, causeId, memberId, facts });
  }
}
