// Why a process of our own ended: the error object that it printed last, as every verb does under --json.
import { isErrorCode, OperaError } from '../errors/errors.ts';

const parseLine = (line: string): OperaError | undefined => {
  try {
    const { code, detail, hint } = JSON.parse(line) as { code?: unknown; detail?: unknown; hint?: unknown };
    if (!isErrorCode(code) || typeof detail !== 'string') return undefined;
    return new OperaError(code, detail, { hint: typeof hint === 'string' ? hint : '' });
  } catch {
    return undefined;
  }
};

/** The last error in what a process wrote; undefined when it said none. Lines of a log have no `detail`. */
export const lastErrorIn = (text: string): OperaError | undefined =>
  text
    .split('\n')
    .map(parseLine)
    .findLast((error) => error !== undefined);
