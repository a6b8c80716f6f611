// Text as a terminal shows it: what could steer it or disguise a name is escaped, and how many columns the rest takes.

/**
 * C0 and C1 controls, DEL, line and paragraph separators, bidirectional marks, embeddings, overrides and isolates,
 * and lone surrogates, which a terminal shows as anything.
 */
export const steering = /[\p{Cc}\p{Surrogate}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

const short: ReadonlyMap<string, string> = new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
]);

/** Its code point, in at least so many digits. */
export const hex = (character: string, digits: number): string =>
  (character.codePointAt(0) ?? 0).toString(16).padStart(digits, '0');

/** `text` on one line, harmless to a terminal: \n, \x1b, \u202e. A backslash stays as it is. */
export const escapeText = (text: string): string =>
  text.replace(steering, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return short.get(character) ?? (code < 0x100 ? `\\x${hex(character, 2)}` : `\\u${hex(character, 4)}`);
  });

const zeroWidth = /[\p{Mn}\p{Me}\p{Cf}]/u;
const wide = new RegExp(
  '[\\u1100-\\u115f\\u2e80-\\u303e\\u3041-\\ua4cf\\uac00-\\ud7a3\\uf900-\\ufaff\\ufe30-\\ufe6f' +
    '\\uff00-\\uff60\\uffe0-\\uffe6\\u{1f300}-\\u{1faff}\\u{20000}-\\u{3fffd}]',
  'u',
);

/** Columns a terminal uses for `text`: wide East Asian characters two, combining ones none. */
export const displayWidth = (text: string): number => {
  let width = 0;
  for (const character of text) {
    if (character < '\u0300') width += 1;
    else if (!zeroWidth.test(character)) width += wide.test(character) ? 2 : 1;
  }
  return width;
};
