// `opera status --wait`: reads the health of the network until it is well enough, also while nobody answers yet.
// What it waits for is told when it changes; the caller's signal (--timeout, Ctrl-C) ends it.
import { judge, type NetworkStatus, type Verdict } from '../client/verdict.ts';
import { isOperaError } from '../errors/errors.ts';
import type { Clock } from '../runtime/clock.ts';

/** `down` is worse than `degraded`, which is worse than `healthy`. */
const rank = { down: 0, degraded: 1, healthy: 2 } as const;

const pauseMs = 250;

export interface WaitOptions {
  readonly read: () => Promise<NetworkStatus>;
  /** Undefined: one reading, whatever it says. */
  readonly wanted: Verdict['health'] | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly note: (text: string) => void;
}

/** Rejects with what `read` rejects with, unless it is waited for something and the error says that it may pass. */
export const waitForHealth = async ({ read, wanted, clock, signal, note }: WaitOptions) => {
  let told: string | undefined;
  for (;;) {
    let why: string;
    try {
      const status = await read();
      const verdict = judge(status);
      if (wanted === undefined || rank[verdict.health] >= rank[wanted]) return { status, verdict };
      why = [verdict.health, ...verdict.reasons].join('; ');
    } catch (error) {
      if (wanted === undefined || signal.aborted || !isOperaError(error) || !error.retry) throw error;
      why = error.message;
    }
    if (why !== told) note(`waiting: ${why}`);
    told = why;
    await clock.sleep(pauseMs, { signal });
  }
};
