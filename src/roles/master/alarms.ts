// What the leader cannot or must not put right by itself, for `status`, the log and the timeline: each alarm is told
// when it begins and when it is over, and not in between. A master that leads no more forgets them; its successor
// finds out for itself.
import type { MasterCore } from './core.ts';
import type { Facts, Timeline } from './timeline.ts';

export type AlarmKind = 'mass-failure' | 'flapping' | 'write-quorum' | 'layout-conflict' | 'registry';

export interface Alarm {
  readonly kind: AlarmKind;
  readonly sinceMs: number;
  /** One line for people: what is wrong and what waits for it. */
  readonly text: string;
}

export class Alarms {
  readonly #core: MasterCore;
  readonly #timeline: Timeline;
  readonly #active = new Map<AlarmKind, Alarm & { readonly causeId: string }>();

  constructor(core: MasterCore, timeline: Timeline) {
    this.#core = core;
    this.#timeline = timeline;
  }

  list(): readonly Alarm[] {
    return [...this.#active.values()].map(({ kind, sinceMs, text }) => ({ kind, sinceMs, text }));
  }

  /** Raises the alarm with this text, or ends it when there is none. */
  async set(kind: AlarmKind, text: string | undefined, facts: Facts = {}): Promise<void> {
    const { log, clock } = this.#core.context;
    const before = this.#active.get(kind);
    if (text === undefined) {
      if (!before) return;
      this.#active.delete(kind);
      log.info('back-to-normal', { alarm: kind });
      await this.#timeline.append('back-to-normal', before.causeId, undefined, { alarm: kind });
      return;
    }
    const causeId = before?.causeId ?? this.#timeline.freshCause();
    this.#active.set(kind, { kind, text, causeId, sinceMs: before?.sinceMs ?? clock.nowMs() });
    if (before) return;
    log.error(`alarm-${kind}`, facts);
    await this.#timeline.append(`alarm-${kind}`, causeId, undefined, facts);
  }

  forget(): void {
    this.#active.clear();
  }
}
