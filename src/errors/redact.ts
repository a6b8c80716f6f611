// Removes what must never be shown from a text that is about to be printed, logged or made a process title:
// join codes, passwords in URLs, PEM private keys. A net below the rule that secrets are not put into texts at all;
// it finds secrets by their shape only, so it is no excuse to pass one.

const shapes: readonly (readonly [RegExp, string])[] = [
  [/opera1\.[a-z2-7.]{8,}/gi, 'opera1.***'],
  // Up to the last @ of the word: a password may hold @ and, wrongly but often, an unencoded slash.
  [/([a-z][a-z0-9+.-]{0,31}:\/\/[^\s/@:]{0,256}):[^\s]{1,1024}@/gi, '$1:***@'],
  [/-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]{0,8192}?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|$)/g, '***'],
];

/** `text` with every secret that can be told by its shape replaced by ***. */
export const redactSecrets = (text: string): string =>
  shapes.reduce((shown, [shape, replacement]) => shown.replace(shape, replacement), text);

/** True when `text` is a URL that carries a password. */
export const hasUrlPassword = (text: string): boolean => /^[a-z][a-z0-9+.-]*:\/\/[^\s/@:]*:[^\s]+@/i.test(text);
