// Class and luminosity class out of a spectral type as catalogues write it: `G2V`, `sdM4`, `DA2`, `kA5hA8mF4`, `C5,5`.
// Morgan and Keenan's letters with L T Y (Kirkpatrick 2005), white dwarfs (Sion 1983), Wolf–Rayet, carbon and S stars.
// Of a composite type the first component counts. What is not understood has no class; nothing is guessed.

export interface SpectralClass {
  /** One of spectralClasses. */
  readonly letter: string | undefined;
  /** 0, Ia, Iab, Ib, I, II, III, IV, V, VI. */
  readonly luminosity: string | undefined;
}

export const spectralClasses: readonly string[] = [...'OBAFGKMLTYWCSD'];

/** Letters that stand for a class of their own before the sequence is looked for. */
const special: readonly (readonly [RegExp, string])[] = [
  [/^(?:WD|D(?:[ABCOQZX]|$|[\s:?]))/, 'D'],
  [/^W(?:[NCOR]|$|\d)/, 'W'],
  // R and N are the carbon stars of the Harvard system.
  [/^(?:C(?:[NRHJ]|[\d\-,. :]|$)|[RN]\d)/, 'C'],
  [/^S(?:C?\d|C|[\s:?]|$)/, 'S'],
];

const sequence = /^[([]?(?:(?:[eu]?sd|d|g|c|k|b)(?=[:(\s]*[OBAFGKMLTY]))?[:(\s]*([OBAFGKMLTY])/;
const roman = /^[^A-Z/+]*?(Ia-?0|Ia\+|0-Ia|Iab|Ia|Ib|III|II|IV|I|VI(?!I)|V(?!I))/;

const luminosityOf = (prefix: string, rest: string): string | undefined => {
  if (/^[eu]?sd/.test(prefix)) return 'VI';
  const found = roman.exec(rest)?.[1];
  if (found !== undefined) return /0|\+/.test(found) ? '0' : found;
  // Mount Wilson's prefixes: d for dwarfs, g for giants.
  if (prefix.startsWith('d')) return 'V';
  return prefix.startsWith('g') ? 'III' : undefined;
};

export const parseSpectralType = (text: string): SpectralClass => {
  const type = text.trim().slice(0, 64);
  const own = special.find(([pattern]) => pattern.test(type));
  if (own) return { letter: own[1], luminosity: undefined };
  const match = sequence.exec(type);
  if (!match) return { letter: undefined, luminosity: undefined };
  const prefix = type.slice(0, match[0].length - 1).replace(/^[([]/, '');
  return { letter: match[1], luminosity: luminosityOf(prefix, type.slice(match[0].length)) };
};

/** One spelling to compare and index: no spaces, capitals. `G2 v` is `G2V`. */
export const normaliseSpectralType = (text: string): string =>
  text.normalize('NFKC').replace(/\s+/g, '').slice(0, 64).toUpperCase();
