// A progress line on a terminal: bytes, share, rate, time left; drawn at most ten times a second and only when there
// is news. Elsewhere it is silent. The line is wiped before anything else is printed.
import { formatByteSize, formatDuration } from '../model/units.ts';
import type { Clock } from '../runtime/clock.ts';
import { displayWidth, escapeText } from '../model/terminal-text.ts';

/** Ten frames a second: faster is not read, slower feels stuck. */
const frameMs = 100;
/** The rate is an average that forgets within about this long. */
const rateMemoryMs = 4000;

export interface Progress {
  /** Counts `amount` more. */
  add(amount: number): void;
  /** Sets what is done so far, and the total when it becomes known. */
  set(done: number, total?: number): void;
  /** Wipes the line; call it in `finally`. */
  end(): void;
}

export interface ProgressOptions {
  readonly label: string;
  /** Undefined: unknown, then neither share nor time left are shown. */
  readonly totalBytes?: number | undefined;
  /** What is counted when it is not bytes: `chunks`, `files`. */
  readonly unit?: string;
}

/** The line that is on the terminal now; shared by everything that prints there. */
export class StatusLine {
  private readonly write: (text: string) => void;
  private readonly columns: () => number;
  private shown = false;

  constructor(write: (text: string) => void, columns: () => number) {
    this.write = write;
    this.columns = columns;
  }

  show(text: string): void {
    const width = Math.max(10, this.columns() - 1);
    let line = text;
    while (displayWidth(line) > width) line = line.slice(0, -1);
    this.write(`\r\x1b[K${line}`);
    this.shown = true;
  }

  /** Removes the line, so that ordinary output starts at the left edge. */
  wipe(): void {
    if (this.shown) this.write('\r\x1b[K');
    this.shown = false;
  }
}

export const silentProgress: Progress = { add: () => undefined, set: () => undefined, end: () => undefined };

/** `label  12.0 MiB / 40.0 MiB  30 %  5.2 MiB/s  5s left` */
export const progressText = (
  options: ProgressOptions,
  done: number,
  total: number | undefined,
  ratePerMs: number,
): string => {
  const { unit } = options;
  const show = (amount: number): string => (unit ? String(Math.round(amount)) : formatByteSize(amount));
  const parts = [
    escapeText(options.label),
    `${show(done)}${total === undefined ? '' : ` / ${show(total)}`}${unit ? ` ${unit}` : ''}`,
  ];
  if (total !== undefined && total > 0) parts.push(`${Math.min(100, Math.floor((100 * done) / total))} %`);
  if (ratePerMs > 0) {
    parts.push(`${show(ratePerMs * 1000)}/s`);
    if (total !== undefined && done < total) parts.push(`${formatDuration((total - done) / ratePerMs)} left`);
  }
  return parts.join('  ');
};

export const startProgress = (line: StatusLine, clock: Clock, options: ProgressOptions): Progress => {
  let done = 0;
  let total = options.totalBytes;
  let rate = 0;
  let drawnMs = clock.monotonicMs();
  let drawnDone = 0;
  let ended = false;
  const draw = (): void => {
    const now = clock.monotonicMs();
    const elapsed = now - drawnMs;
    if (ended || elapsed < frameMs) return;
    const recent = Math.max(0, done - drawnDone) / elapsed;
    const weight = rate === 0 ? 1 : 1 - Math.exp(-elapsed / rateMemoryMs);
    rate += (recent - rate) * weight;
    drawnMs = now;
    drawnDone = done;
    line.show(progressText(options, done, total, rate));
  };
  return {
    add: (amount) => {
      done += amount;
      draw();
    },
    set: (amount, newTotal) => {
      done = amount;
      total = newTotal ?? total;
      draw();
    },
    end: () => {
      ended = true;
      line.wipe();
    },
  };
};
