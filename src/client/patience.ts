// How long a transfer goes on without progress, and which errors are worth another try.
// Waits grow and are jittered; every piece of progress starts the count anew; nothing is retried for ever.
import { type ErrorCode, isOperaError, toOperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import type { Clock } from '../runtime/clock.ts';
import { type Random, randomFraction } from '../runtime/random.ts';

/** What a failed call to a node or gateway asks for: a newer plan, another try elsewhere, or giving up. */
export type Remedy = 'renew' | 'retry' | 'none';

const renewals: readonly ErrorCode[] = ['layout-changed', 'ticket-expired', 'stale-incarnation'];

/** Errors that would be the same at every node and at any time. */
const final: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'aborted',
  'usage',
  'config',
  'bad-request',
  'bad-name',
  'too-large',
  'hash-conflict',
  'source-changed',
  'ticket-invalid',
  'forbidden',
  'revoked',
  'upload-closed',
  'wrong-network',
  'not-found',
  'exists',
  'conflict',
  'registry-lost',
]);

export const remedyOf = (error: unknown): Remedy => {
  const { code } = toOperaError(error);
  if (isOperaError(error, ...renewals)) return 'renew';
  return final.has(code) || !isOperaError(error) ? 'none' : 'retry';
};

export class Patience {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #limitMs: number;
  #sinceMs: number;

  constructor(seams: { readonly clock: Clock; readonly random: Random }, limitMs: number = limits.transferPatienceMs) {
    this.#clock = seams.clock;
    this.#random = seams.random;
    this.#limitMs = limitMs;
    this.#sinceMs = seams.clock.monotonicMs();
  }

  /** Something went forward. */
  progress(): void {
    this.#sinceMs = this.#clock.monotonicMs();
  }

  get exhausted(): boolean {
    return this.#clock.monotonicMs() - this.#sinceMs >= this.#limitMs;
  }

  /** Waits before try number `attempt` (from 1) is repeated; throws `last` when there was no progress for too long. */
  async wait(attempt: number, last: unknown, signal: AbortSignal | undefined): Promise<void> {
    if (this.exhausted) throw last;
    const ceiling = Math.min(limits.retryCeilingMs, limits.retryBaseMs * 2 ** Math.min(attempt - 1, 10));
    const ms = ceiling * (0.5 + randomFraction(this.#random) / 2);
    await this.#clock.sleep(ms, signal ? { signal } : {});
  }
}
