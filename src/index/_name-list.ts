// The names of one system, each once: as written, and in their one spelling beside it. Private to record.ts.
import { limits } from '../model/limits.ts';
import { type IdentifierField, identifierKey, identifierName, normaliseName } from './names.ts';
import { abbreviations } from './_name-tables.ts';
import type { Value } from './star-system.ts';

/** HYG's column `bf`: Flamsteed number, Bayer letter and its index in one, `9Alp CMa`, `Kap1Scl`. */
const combined = /^(\d{1,3})? *([A-Z][a-z]{1,2})?[ -]*(\d)? *([A-Z][A-Za-z]{2})$/;

export class NameList {
  readonly names: string[] = [];
  readonly keys: string[] = [];

  /** Adds a name unless it is empty, too long, known, or one too many. */
  add(name: string, known?: string): void {
    if (name === '' || name.length > limits.catalogueTextMax || this.keys.length >= limits.catalogueNamesMax) return;
    const key = known ?? normaliseName(name);
    if (key === '' || this.keys.includes(key)) return;
    this.names.push(name);
    this.keys.push(key);
    const parts = combined.exec(name);
    if (!parts) return;
    const [, flamsteed, letter, index = '', constellation = ''] = parts;
    if (flamsteed === undefined || letter === undefined || !abbreviations.has(constellation.toLowerCase())) return;
    this.add(`${letter}${index} ${constellation}`);
    this.add(`${flamsteed} ${constellation}`);
  }

  /** An identifier is in its one spelling already: nothing is left to normalise. */
  addIdentifier(field: IdentifierField, value: Value | undefined): void {
    if (typeof value !== 'string' || value === '') return;
    this.add(identifierName(field, value), identifierKey(field, value));
  }

  /** Bayer letter, Flamsteed number and variable name of catalogues that keep the constellation in another column. */
  addDesignations(values: Readonly<Partial<Record<string, Value>>>): void {
    const { constellation } = values;
    if (typeof constellation !== 'string') return;
    for (const part of [values.bayer, values.flamsteed, values.variable]) {
      if (typeof part !== 'string') continue;
      // Some catalogues repeat the constellation: `R And` of And stays `R And`.
      this.add(part.endsWith(` ${constellation}`) ? part : `${part} ${constellation}`);
    }
  }
}
