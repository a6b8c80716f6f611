// Text for terminals and pipes: escaping what could steer a terminal or disguise a name, widths, wrapping.
// Names come from others; none reaches a terminal unescaped. JSON keeps them exact by escaping inside the strings.

/**
 * C0 and C1 controls, DEL, line and paragraph separators, bidirectional marks, embeddings, overrides and isolates,
 * and lone surrogates, which a terminal shows as anything.
 */
const steering = /[\p{Cc}\p{Surrogate}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

const short: ReadonlyMap<string, string> = new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
]);

const hex = (character: string, digits: number): string =>
  (character.codePointAt(0) ?? 0).toString(16).padStart(digits, '0');

/** `text` on one line, harmless to a terminal: \n, \x1b, \u202e. A backslash stays as it is. */
export const escapeText = (text: string): string =>
  text.replace(steering, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return short.get(character) ?? (code < 0x100 ? `\\x${hex(character, 2)}` : `\\u${hex(character, 4)}`);
  });

/** As escapeText, keeping line feeds: for messages of several lines that we wrote ourselves. */
export const escapeLines = (text: string): string => text.split('\n').map(escapeText).join('\n');

/** JSON on one line, exact, with every steering character as \uXXXX, and bigint as a text. */
export const toJsonLine = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'bigint' ? inner.toString() : inner)).replace(
    steering,
    (character) => `\\u${hex(character, 4)}`,
  );

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

export const padText = (text: string, width: number, alignRight: boolean): string => {
  const space = ' '.repeat(Math.max(0, width - displayWidth(text)));
  return alignRight ? space + text : text + space;
};

/** Lines of at most `width` columns, broken at spaces; a longer word stands alone. */
export const wrapText = (text: string, width: number): readonly string[] => {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/).filter((part) => part !== '')) {
    if (line !== '' && displayWidth(line) + 1 + displayWidth(word) > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  if (line !== '' || lines.length === 0) lines.push(line);
  return lines;
};
