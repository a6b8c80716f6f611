// Names of files: UTF-8, NFC, 1–1024 bytes, `/` between parts; no control characters, no empty, `.` or `..` part.
// One file has exactly one spelling: people's input is normalised by parseName, and what arrives over the wire must
// already be in that form (parseWireName). Nothing here looks at local paths, and a name is never used as one as it is.
import { OperaError } from '../errors/errors.ts';

/** 1,024 bytes of UTF-8: fits a manifest body and an index row; half would refuse real survey paths. */
export const nameBytesMax = 1024;

/** NFC makes a text at most three times as long, so a longer input cannot become a name; bounds the work done on it. */
const inputLengthMax = 4 * nameBytesMax;

const bad = (reason: string, hint?: string): OperaError =>
  new OperaError('bad-name', `the name ${reason}`, hint === undefined ? {} : { hint });

const hasControl = (text: string): boolean => {
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x20 || (unit >= 0x7f && unit <= 0x9f)) return true;
  }
  return false;
};

/** Why `name` is not allowed, or undefined when it is. */
const refusalOf = (name: string): OperaError | undefined => {
  if (name === '') return bad('is empty');
  if (/\p{Surrogate}/u.test(name)) return bad('holds half of a surrogate pair, which is no character');
  if (hasControl(name)) return bad('holds a control character');
  const bytes = Buffer.byteLength(name);
  if (bytes > nameBytesMax) return bad(`has ${bytes} bytes; at most ${nameBytesMax} are allowed`);
  if (name.startsWith('/')) return bad('begins with /', 'Names begin with their first part: survey/a.csv');
  if (name.endsWith('/')) return bad('ends with /', 'Name the file itself: survey/a.csv');
  for (const part of name.split('/')) {
    if (part === '') return bad('has an empty part (//)');
    if (part === '.' || part === '..') return bad(`has a part that is "${part}"`);
  }
  return undefined;
};

/** A name as people write it, in its one spelling (NFC). Throws `bad-name` that says which rule is broken. */
export const parseName = (text: string): string => {
  if (text.length > inputLengthMax) throw bad(`is longer than ${nameBytesMax} bytes`);
  const name = text.normalize('NFC');
  const refusal = refusalOf(name);
  if (refusal) throw refusal;
  return name;
};

/** A name from a peer: a string that is already in its one spelling. Throws `bad-name` otherwise; never normalises. */
export const parseWireName = (value: unknown): string => {
  if (typeof value !== 'string') throw bad('is not a text');
  const name = parseName(value);
  if (name !== value) throw bad('is not in Unicode normalisation form C');
  return name;
};

/** True when parseWireName would accept `value`. */
export const isName = (value: unknown): value is string =>
  typeof value === 'string' &&
  value.length <= nameBytesMax &&
  refusalOf(value) === undefined &&
  value.normalize('NFC') === value;
