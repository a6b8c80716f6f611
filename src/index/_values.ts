// What a value in a query means for its field: numbers in the field's unit, texts in their one spelling.
// Answers undefined or a reason for what makes no sense; the parser knows where it stands and points at it.
import { nearestText } from '../model/nearest.ts';
import { constellationOf } from './_name-tables.ts';
import { type FieldName, fieldTable } from './fields.ts';
import { type IdentifierField, identifierFields, normaliseIdentifier, parseConstellation } from './names.ts';
import { normaliseSpectralType, spectralClasses } from './spectral.ts';
import { convert, dimensionOf, parseQuantity, parseSexagesimal, type Unit, unitsLike } from './units.ts';

export type Meaning<T> = { readonly value: T } | { readonly reason: string };

const unitsText = (unit: Unit): string => unitsLike(unit).join(', ');

/** A number for a field of `unit`; without a unit of its own it is in that one. */
export const quantityIn = (text: string, unit: Unit, what: string): Meaning<number> => {
  const quantity = parseQuantity(text);
  if (!quantity)
    return { reason: `${what} must be a number${unit === '' ? '' : ` with a unit such as ${unitsText(unit)}`}` };
  if (quantity.unit === undefined) return { value: quantity.value };
  const value = convert(quantity.value, quantity.unit, unit);
  if (value !== undefined) return { value };
  const wanted = unit === '' ? 'no unit' : `one of ${unitsText(unit)}`;
  return { reason: `${what} takes ${wanted}, and ${quantity.unit} is a unit of ${dimensionOf(quantity.unit)}` };
};

/** An angle: plain degrees, a number with a unit, or sexagesimal, in hours for right ascension. */
export const angleIn = (text: string, axis: 'ra' | 'dec' | 'radius'): Meaning<number> => {
  const sexagesimal = parseSexagesimal(text, axis === 'ra' ? 'hours' : 'degrees');
  return sexagesimal === undefined ? quantityIn(text, 'deg', axis) : { value: sexagesimal };
};

export const numberFor = (field: FieldName, text: string): Meaning<number> => {
  if (field === 'ra' || field === 'dec') return angleIn(text, field);
  return quantityIn(text, fieldTable[field].unit, field);
};

const isIdentifier = (field: FieldName): field is IdentifierField =>
  (identifierFields as readonly string[]).includes(field);

/** A text for a field in the spelling that records have it in. */
export const textFor = (field: FieldName, text: string): Meaning<string> => {
  if (isIdentifier(field)) return { value: normaliseIdentifier(field, text) };
  if (field === 'spectral_type') return { value: normaliseSpectralType(text) };
  if (field === 'class') {
    const letter = text.toUpperCase();
    return spectralClasses.includes(letter)
      ? { value: letter }
      : { reason: `class is one of ${spectralClasses.join(' ')}; a whole type is spectral_type = ${text}` };
  }
  if (field === 'constellation') {
    const known = parseConstellation(text);
    if (known !== undefined) return { value: known };
    return { reason: `there is no constellation "${text}"${nearestText(text, constellationOf.keys())}` };
  }
  return { value: text.trim() };
};

const words: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['yes', true],
  ['1', true],
  ['false', false],
  ['no', false],
  ['0', false],
]);

export const flagFor = (field: FieldName, text: string): Meaning<boolean> => {
  const value = words.get(text.toLowerCase());
  return value === undefined ? { reason: `${field} is yes or no` } : { value };
};
