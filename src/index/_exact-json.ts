// JSON that keeps every double apart: JSON.stringify writes 0 for −0, and null for what is no number at all. Reading it
// is JSON.parse, which knows -0. Private to the wire forms of queries and answers.
import { OperaError } from '../errors/errors.ts';

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** JSON of plain data; members that are undefined are left out. Throws `internal` for NaN and infinities. */
export const exactJson = (value: unknown): string => {
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new OperaError('internal', 'a number that is none was about to be sent');
    return Object.is(value, -0) ? '-0' : String(value);
  }
  if (Array.isArray(value)) return `[${value.map(exactJson).join(',')}]`;
  if (!isObject(value)) return JSON.stringify(value ?? null);
  const members = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return `{${members.map(([name, inner]) => `${JSON.stringify(name)}:${exactJson(inner)}`).join(',')}}`;
};
