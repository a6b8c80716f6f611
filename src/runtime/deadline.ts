// One signal for "too late" and "not wanted any more", with both sources let go of when the work is over.
// AbortSignal.any over a signal that lives as long as the process keeps something of every call, and
// AbortSignal.timeout a timer until it fires; a role makes thousands of calls a second.
import { setMaxListeners } from 'node:events';
import { OperaError } from '../errors/errors.ts';

export interface Deadline {
  /** Aborts with `timeout` after the time, or with the outer signal's reason. */
  readonly signal: AbortSignal;
  /** True when the time ran out before the outer signal aborted. */
  readonly passed: boolean;
  /** The work is over: the timer and the outer signal are let go of. */
  end(): void;
}

/** Starts now. Never keeps the process alive. */
export const startDeadline = (ms: number, outer?: AbortSignal): Deadline => {
  const controller = new AbortController();
  let passed = false;
  const timer = setTimeout(() => {
    passed = !controller.signal.aborted;
    controller.abort(new OperaError('timeout'));
  }, ms);
  timer.unref();
  const interrupted = (): void => controller.abort(outer?.reason);
  if (outer?.aborted) interrupted();
  else if (outer) {
    // One signal ends every call of a role; Node would print a warning at the eleventh.
    setMaxListeners(0, outer);
    outer.addEventListener('abort', interrupted, { once: true });
  }
  return {
    signal: controller.signal,
    get passed() {
      return passed;
    },
    end: () => {
      clearTimeout(timer);
      outer?.removeEventListener('abort', interrupted);
    },
  };
};
