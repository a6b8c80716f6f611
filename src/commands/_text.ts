// Text for terminals and pipes: lines, JSON, padding, wrapping.
// Names come from others; none reaches a terminal unescaped. JSON keeps them exact by escaping inside the strings.
import { displayWidth, escapeText, hex, steering } from '../model/terminal-text.ts';

/** As escapeText, keeping line feeds: for messages of several lines that we wrote ourselves. */
export const escapeLines = (text: string): string => text.split('\n').map(escapeText).join('\n');

/** JSON on one line, exact, with every steering character as \uXXXX, and bigint as a text. */
export const toJsonLine = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'bigint' ? inner.toString() : inner)).replace(
    steering,
    (character) => `\\u${hex(character, 4)}`,
  );

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
