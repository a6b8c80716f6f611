// The network's age in hours that it was led: what deletion is counted in. It begins at the most that nodes have
// heard of, and rises by one for each hour of this master's own leading; an hour that nobody led is no hour.
import { limits } from '../../model/limits.ts';
import type { MasterCore } from './core.ts';
import type { Leadership } from './leadership.ts';

const u32Max = 0xffff_ffff;

export class ServedHours {
  readonly #core: MasterCore;
  readonly #leadership: Leadership;
  #ledMs = 0;
  #lastMs: number | undefined;
  #hour = 0;

  constructor(core: MasterCore, leadership: Leadership) {
    this.#core = core;
    this.#leadership = leadership;
  }

  /** Called every second or so. A gap counts nothing: a machine that slept did not lead. */
  tick(): void {
    const now = this.#core.context.clock.monotonicMs();
    const leads = this.#leadership.epoch !== undefined;
    const passedMs = this.#lastMs === undefined ? 0 : now - this.#lastMs;
    this.#lastMs = leads ? now : undefined;
    if (!leads || passedMs > limits.leaseMs) return;
    this.#ledMs += passedMs;
    if (this.#ledMs < limits.servedHourMs) return;
    this.#ledMs -= limits.servedHourMs;
    this.#hour = Math.min(u32Max, this.now() + 1);
  }

  /**
   * The hour as this master knows it: what it counted itself, or what two nodes say. All nodes follow it at once and
   * delete by it, so the word of a single one, whose notes may be damaged, is not enough unless it is alone. An hour
   * that is too low only makes deletions wait.
   */
  now(): number {
    const told = [...this.#core.heartbeats.values()].map(({ request }) => request.servedHour).sort((a, b) => b - a);
    return Math.max(this.#hour, told[1] ?? told[0] ?? 0);
  }
}
