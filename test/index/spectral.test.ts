// Classes out of spectral types as catalogues really write them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { normaliseSpectralType, parseSpectralType, spectralClasses } from '../../src/index/spectral.ts';

const cases: Readonly<Record<string, readonly [string | undefined, string | undefined]>> = {
  G2V: ['G', 'V'],
  'G8 III': ['G', 'III'],
  'K0III-IV': ['K', 'III'],
  'F5IV-V': ['F', 'IV'],
  'M3.5Ve': ['M', 'V'],
  'K7V/M0V': ['K', 'V'],
  'B8Ia:': ['B', 'Ia'],
  'A2Ib-II': ['A', 'Ib'],
  'B1Ia-0': ['B', '0'],
  O4Iab: ['O', 'Iab'],
  'A0m...': ['A', undefined],
  A0mA1Va: ['A', undefined],
  'G8IIIFe-1': ['G', 'III'],
  B2Vnne: ['B', 'V'],
  M6: ['M', undefined],
  sdM4: ['M', 'VI'],
  'esdM5.5': ['M', 'VI'],
  sdB: ['B', 'VI'],
  dM4e: ['M', 'V'],
  gK5: ['K', 'III'],
  DA2: ['D', undefined],
  DQ6: ['D', undefined],
  D: ['D', undefined],
  WN5: ['W', undefined],
  'WC7+O5': ['W', undefined],
  'C5,5': ['C', undefined],
  'C-N5': ['C', undefined],
  R3: ['C', undefined],
  'S4,2': ['S', undefined],
  L8: ['L', undefined],
  T4: ['T', undefined],
  Y0: ['Y', undefined],
  kA5hA8mF4: ['A', undefined],
  '(G3w)F7': ['G', undefined],
  'G5 + K2V': ['G', undefined],
  'F7 V': ['F', 'V'],
  'K1 VI': ['K', 'VI'],
  pec: [undefined, undefined],
  '': [undefined, undefined],
  '?': [undefined, undefined],
  e: [undefined, undefined],
  Nova: [undefined, undefined],
};

test('class and luminosity class are found in every common form', () => {
  for (const [type, [letter, luminosity]] of Object.entries(cases)) {
    assert.deepEqual(parseSpectralType(type), { letter, luminosity }, type);
  }
});

test('every spectral type of the Open Exoplanet Catalogue but one has a class', () => {
  const types = new Set<string>();
  for (const line of readFileSync('fixtures/catalogues/oec_1086_systems.ndjson', 'utf8').trim().split('\n')) {
    const { spectral_type: type }: { spectral_type?: string } = JSON.parse(line);
    if (type !== undefined) types.add(type);
  }
  const without = [...types].filter((type) => !spectralClasses.includes(parseSpectralType(type).letter ?? ''));
  assert.ok(types.size > 100);
  assert.deepEqual(without, ['Catac. var.']);
});

test('spaces and case do not count when types are compared', () => {
  assert.equal(normaliseSpectralType('g2 v'), 'G2V');
  assert.equal(normaliseSpectralType(' C5,5 '), 'C5,5');
});
