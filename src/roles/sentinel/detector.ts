// How long one member may be silent: a pure law over how long its answers took. Each answer says when the next is due
// (RFC 6298, section 2: smoothed time plus four times its deviation); silence beyond that, but never less than the
// preset, is suspicious, and twice that is down. So a process that is slow under load stretches its own bounds by being
// slow, and one that was quick is missed as early as the preset allows. Why not phi-accrual: decision 040.
import type { Timing } from '../../model/timing.ts';

/** Smoothed time that answers take, and how far they stray from it. */
export interface Rhythm {
  readonly smoothMs: number;
  readonly deviationMs: number;
}

/** After one more answer, `tookMs` after its probe was sent. Probes that were never answered give no sample (Karn). */
export const withAnswer = (rhythm: Rhythm | undefined, tookMs: number): Rhythm => {
  if (!rhythm) return { smoothMs: tookMs, deviationMs: tookMs / 2 };
  return {
    smoothMs: rhythm.smoothMs * (7 / 8) + tookMs / 8,
    deviationMs: rhythm.deviationMs * (3 / 4) + Math.abs(rhythm.smoothMs - tookMs) / 4,
  };
};

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

/** Silence, counted from the last answer, after which a member is suspect, and down. */
export const boundsOf = (
  timing: Timing,
  rhythm: Rhythm | undefined,
  intervalMs: number,
): { readonly suspectMs: number; readonly downMs: number } => {
  const dueMs = intervalMs + (rhythm ? rhythm.smoothMs + 4 * rhythm.deviationMs : 0);
  return {
    suspectMs: clamp(dueMs, timing.suspectMs, timing.downMs),
    downMs: clamp(2 * dueMs, timing.downMs, timing.downMaxMs),
  };
};
