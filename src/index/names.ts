// Names of stars in one spelling, so that `α CMa`, `alf CMa` and `Alpha Canis Majoris` are the same, and so are
// `HIP32349` and `HIP 32349`. What comes out is compared and hashed, never shown: a change here
// changes stored index codes. It knows how names are written, not what they mean: that Sirius is α CMa only data says.
import { abbreviations, catalogueOf, constellationOf, genitives, greekOf } from './_name-tables.ts';

/** Longest name taken; SIMBAD's longest are below 60. Longer ones are cut, so that work on hostile input is bounded. */
export const starNameLengthMax = 128;

/** SIMBAD's marks in front of identifiers: star, double star, variable, cluster member, popular name. */
const marks = /^(?:\*\*? |v\* |cl\* |name |em\* )/;

const foldText = (text: string): string =>
  text
    .slice(0, 4 * starNameLengthMax)
    // Compatibility forms fold superscripts (α² → α2), wide letters and ligatures; marks are then dropped (ö → o).
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .slice(0, starNameLengthMax)
    .toLowerCase()
    .replace(/[\u2010-\u2015\u2212]/g, '-')
    .replace(/['’‘`´"“”]/g, '')
    .replace(/[_\s,;()[\]{}]+/g, ' ')
    .trim()
    .replace(marks, '');

const greekWords = [...greekOf.keys()].sort((a, b) => b.length - a.length).join('|');
/** A Greek letter with an optional number behind it (`alf02`, `pi-3`, `mu.`), after an optional Flamsteed number. */
const bayerHead = new RegExp(`^(\\d{1,3})? ?(${greekWords})\\.?[ -]?(\\d{1,2})? ?(?=[a-z])`);
const genitive = new RegExp(`(?<=[^ ] ?)\\b(${genitives.map(([word]) => word).join('|')})(?![a-z])`);
const shortOf = new Map(genitives);

/** `BD+20 307`, `CD-23 1057`, `BD-061339`: the zone has two digits when number and zone are written together. */
const durchmusterung = /^(bd|sd|cd|cp|cpd) ?([+-]) ?(?:(\d{1,2}) +(\d{1,5})|(\d{2})(\d{1,5})) ?([a-z]{0,2})$/;
/** A catalogue and a number with its suffix: `HIP 00123`, `GJ 893.2 A`, `Gaia DR3 4472832130942575872`. */
const numbered = /^([a-z]+(?: ?e?dr ?\d)?|tycho ?2)[ -]*0*(\d[\d.]*(?:-\d+)*) ?([a-z]{0,2})$/;

/** `alf cma b` from its words, when the rest begins with a constellation; undefined otherwise. */
const bayerName = (folded: string): string | undefined => {
  const head = bayerHead.exec(folded);
  if (!head) return undefined;
  const [whole, flamsteed, letter = '', index] = head;
  const rest = folded.slice(whole.length);
  const constellation = rest.slice(0, 3);
  // `phi1` and `the2` are letters only in front of a constellation: "Etamin" and "Thebe" are names.
  if (!abbreviations.has(constellation) || /^[a-z]{4}/.test(rest)) return undefined;
  const number = index === undefined ? '' : String(Number(index));
  return `${flamsteed ?? ''}${greekOf.get(letter) ?? letter}${number}${rest}`;
};

/** Spaces go, but never between two digits; dashes that are no sign in front of a number go with them. */
const joinWords = (text: string): string =>
  text
    .replace(/(?<=\d) +(?=\d)/g, '_')
    .replace(/ +/g, '')
    .replace(/(?<![\d])-|-(?!\d)/g, '')
    .replace(/\.(?!\d)/g, '');

/**
 * The one spelling of a star's name; empty for a text without letters and digits. Case, spaces, diacritics, apostrophes
 * and brackets do not count; signs in `BD-11 4672` and `PSR B1257+12` do. Idempotent.
 */
export const normaliseName = (text: string): string => {
  let folded = foldText(text);
  const zone = durchmusterung.exec(folded);
  if (zone) {
    const [, survey, sign, spaced, after, glued, rest, suffix] = zone;
    return `${survey}${sign}${Number(spaced ?? glued)}_${Number(after ?? rest)}${suffix}`;
  }
  folded = folded.replace(genitive, (word) => shortOf.get(word) ?? word);
  const bayer = bayerName(folded);
  if (bayer !== undefined) return joinWords(bayer);
  const number = numbered.exec(folded);
  if (number) {
    const catalogue = catalogueOf.get((number[1] ?? '').replaceAll(' ', ''));
    // Woolley and "NN" numbers continue Gliese's from 9001 and 3001 on, and are GJ numbers today.
    const kept =
      (catalogue === 'wo' || catalogue === 'nn') && /^(?:9|3|4)\d{3}/.test(number[2] ?? '') ? 'gj' : catalogue;
    if (kept !== undefined) return `${kept}${number[2]}${number[3]}`;
  }
  return joinWords(folded);
};

/** `orion`, `ORI`, `Orionis` → `Ori`; undefined when it is no constellation. */
export const parseConstellation = (text: string): string | undefined => constellationOf.get(foldText(text));

/** Fields of identifiers with what stands before the number in a name. */
const identifierPrefixes = {
  hip: 'HIP',
  hd: 'HD',
  hr: 'HR',
  gj: 'GJ',
  gaia: 'Gaia DR3',
  gaia_dr2: 'Gaia DR2',
  tyc: 'TYC',
} as const;

export type IdentifierField = keyof typeof identifierPrefixes;
export const identifierFields = Object.keys(identifierPrefixes) as readonly IdentifierField[];

/** `HIP 32349` of field hip and 32349. */
export const identifierName = (field: IdentifierField, value: string): string =>
  `${identifierPrefixes[field]} ${value}`;

const folded: readonly (readonly [IdentifierField, string])[] = identifierFields.map((field) => [
  field,
  normaliseName(identifierName(field, '1')).slice(0, -1),
]);

/** The number of an identifier in its one spelling: `HIP 00123` and `123` → `123`, `Gl 893.2 A` → `893.2a`. */
export const normaliseIdentifier = (field: IdentifierField, text: string): string => {
  if (/^[1-9]\d*$/.test(text)) return text;
  const prefix = folded.find(([name]) => name === field)?.[1] ?? '';
  const plain = normaliseName(text);
  if (plain.startsWith(prefix) && plain !== prefix) return plain.slice(prefix.length);
  const named = normaliseName(identifierName(field, text));
  return named.startsWith(prefix) ? named.slice(prefix.length) : plain;
};

/** Field and number when a normalised name is an identifier we have a field for: `hip32349` → hip, 32349. */
export const identifierIn = (key: string): readonly [IdentifierField, string] | undefined => {
  for (const [field, prefix] of folded) {
    if (key.startsWith(prefix) && /^\d[\d.-]*[a-z]{0,2}$/.test(key.slice(prefix.length))) {
      return [field, key.slice(prefix.length)];
    }
  }
  return undefined;
};

/** What a normalised name of the field begins with. */
export const identifierKey = (field: IdentifierField, value: string): string =>
  `${folded.find(([name]) => name === field)?.[1] ?? ''}${value}`;
