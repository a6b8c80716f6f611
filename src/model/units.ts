// Amounts people write and read: byte sizes (10GiB, 64k) and durations (60s, 1h30m), and back to short texts.
// Numbers are exact or refused: an amount that is not a whole number of bytes or milliseconds within 2^53 is an error.
// Parsers answer undefined for what they do not understand; the caller knows which flag or key to name.

/** KB, MB … are decimal; KiB, MiB … and the bare letters are binary, as in `ls -h` and rclone. */
const byteUnits: ReadonlyMap<string, number> = new Map(
  ['k', 'm', 'g', 't', 'p'].flatMap((letter, index): [string, number][] => [
    [letter, 1024 ** (index + 1)],
    [`${letter}ib`, 1024 ** (index + 1)],
    [`${letter}b`, 1000 ** (index + 1)],
  ]),
);

/** Bytes of `10GiB`, `1.5 MiB`, `64k`, `1000`; undefined when malformed, negative, fractional or above 2^53 − 1. */
export const parseByteSize = (text: string): number | undefined => {
  const match = /^(\d{1,16}(?:\.\d{1,9})?) ?([a-z]{0,3})$/.exec(text.toLowerCase());
  if (!match) return undefined;
  const unit = match[2] === '' || match[2] === 'b' ? 1 : byteUnits.get(match[2] ?? '');
  if (unit === undefined) return undefined;
  const bytes = Number(match[1]) * unit;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
};

const durationUnits: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
  ['w', 604_800_000],
]);

/** Milliseconds of `250ms`, `60s`, `1h30m`, `7d`, `1.5h`; undefined when malformed or without a unit (except `0`). */
export const parseDuration = (text: string): number | undefined => {
  if (text === '0') return 0;
  if (text.length > 40 || !/^(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdw])/g)) {
    total += Number(amount) * (durationUnits.get(unit ?? '') ?? Number.NaN);
  }
  const rounded = Math.round(total);
  return Number.isSafeInteger(rounded) && Math.abs(rounded - total) < 1e-6 * Math.max(1, total) ? rounded : undefined;
};

/** `999`, `1,000`, `1,234,567`. */
export const groupDigits = (count: number): string => String(count).replace(/\B(?=(\d{3})+$)/g, ',');

/** `1 record`, `0 records`, `1,234 records`; `many` where an s does not do: `copies`. */
export const formatCount = (count: number, one: string, many = `${one}s`): string =>
  `${groupDigits(count)} ${count === 1 ? one : many}`;

const binaryPrefixes = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

/** `0 B`, `1023 B`, `1.5 KiB`, `12.3 GiB`: three significant digits at most, binary units. */
export const formatByteSize = (bytes: number | bigint): string => {
  let value = Number(bytes);
  if (!Number.isFinite(value)) return String(bytes);
  let step = 0;
  // 1023.95 would be shown as "1024.0": the comparison is made on what will be printed.
  while (Math.abs(value) >= (step === 0 ? 1024 : 1023.95) && step < binaryPrefixes.length - 1) {
    value /= 1024;
    step += 1;
  }
  const unit = binaryPrefixes[step] ?? '';
  return step === 0 ? `${Math.round(value)} ${unit}` : `${value.toFixed(Math.abs(value) < 99.95 ? 1 : 0)} ${unit}`;
};

/** `0s`, `850ms`, `12s`, `3m05s`, `2h10m`, `4d06h`: the two largest units, rounded down. */
export const formatDuration = (ms: number): string => {
  if (!Number.isFinite(ms)) return 'unknown';
  if (ms < 0) return `-${formatDuration(-ms)}`;
  if (ms < 1000) return ms < 1 ? '0s' : `${Math.floor(ms)}ms`;
  const pad = (value: number): string => String(value).padStart(2, '0');
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${pad(seconds % 60)}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h${pad(Math.floor(seconds / 60) % 60)}m`;
  return `${Math.floor(seconds / 86_400)}d${pad(Math.floor(seconds / 3600) % 24)}h`;
};
