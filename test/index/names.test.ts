// One spelling for every way a name is written: cases from SIMBAD, HYG, the Bright Star catalogue and the OEC.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  identifierIn,
  normaliseIdentifier,
  normaliseName,
  parseConstellation,
  starNameLengthMax,
} from '../../src/index/names.ts';

/** Every row is one star; every two rows are two. */
const same: readonly (readonly string[])[] = [
  [
    'α CMa',
    'alf CMa',
    'Alp CMa',
    '* alf CMa',
    'Alpha Canis Majoris',
    'alpha CMa',
    'ALF  CMA',
    'α Canis Majoris',
    'αCMa',
  ],
  ['9 CMa', '9 Canis Majoris', '*   9 CMa', '9CMa'],
  ['9Alp CMa', '9 α CMa', '9 alf CMa'],
  ['α² Cen', 'alpha2 Cen', 'alf02 Cen', 'Alp-2 Cen', 'alf2 Centauri', 'α2 Centauri'],
  ['α Cen', 'Alpha Centauri', 'alf Cen'],
  ['α Cen A', 'Alpha Centauri A', '* alf Cen A', 'α Centauri A'],
  ['μ Cep', 'mu. Cep', '* mu. Cep', 'Mu Cephei'],
  ['π³ Ori', 'pi.03 Ori', 'Pi3 Ori', 'Pi-3 Orionis'],
  ['θ1 Ori C', 'tet01 Ori C', 'The-1 Ori C', 'theta1 Orionis C'],
  ['ξ UMa', 'ksi UMa', 'xi Ursae Majoris'],
  ['ο Cet', 'omicron Ceti', 'omi Cet', 'Omicron Cet'],
  ['HIP 32349', 'HIP32349', 'hip 032349', 'HIP-32349', 'Hipparcos 32349'],
  ['HD 48915', 'HD48915', 'HD  048915', 'HDE 48915'],
  ['HR 2491', 'HR2491', 'BSC 2491'],
  ['Gliese 581', 'Gl 581', 'GJ 581', 'GL581', 'gj-581'],
  ['Gl 244 A', 'GJ 244A', 'Gliese 244 A'],
  ['GJ 893.2 A', 'Gl 893.2A'],
  ['Wo 9843', 'GJ 9843'],
  ['Gaia DR3 4472832130942575872', 'Gaia EDR3 4472832130942575872', 'GaiaDR3 4472832130942575872'],
  ['Gaia DR2 4472832130942575872', 'Gaia DR 2 4472832130942575872'],
  ['TYC 5949-2777-1', 'TYC5949-2777-1'],
  ['BD-16 1591', 'BD-16  1591', 'BD −16 1591', 'BD-161591'],
  ['BD+05 1668', 'BD +5 1668'],
  ['CD-46 11540', 'CD -46 11540'],
  ["Barnard's Star", 'Barnards star', 'BARNARD’S STAR', 'NAME Barnard’s star', "NAME Barnard's star"],
  ['Proxima Centauri', 'Proxima Cen', 'NAME Proxima Centauri', 'proxima-centauri'],
  ['61 Cyg A', '61 Cygni A', '* 61 Cyg A'],
  ['V645 Cen', 'V* V645 Cen', 'V645 Centauri'],
  ['Kepler-22', 'Kepler 22', 'KEPLER22'],
  ['HAT-P-11', 'HAT P 11'],
  ['PSR B1257+12', 'PSR B1257 + 12'],
  ['2MASS J05352184-0546085', '2MASS J05352184−0546085'],
  ['Lalande 21185'],
  ['Luyten’s Star', "Luyten's Star"],
  ['ε Boötis', 'eps Boo', 'Epsilon Bootis'],
  ['20 LMi', '20 Leonis Minoris'],
  ['20 Leo', '20 Leonis'],
  ['Eta Car', 'η Carinae', 'eta Carinae'],
  ['Etamin'],
  ['Thebe'],
  ['Mu Leonis Minoris', 'mu. LMi'],
  ['σ Orionis', 'sig Ori'],
];

test('every common spelling of a name is the same name', () => {
  for (const [first = '', ...others] of same) {
    for (const other of others) assert.equal(normaliseName(other), normaliseName(first), `${other} is ${first}`);
  }
});

test('different stars keep different names', () => {
  const names = same.map(([first = '']) => normaliseName(first));
  assert.deepEqual([...new Set(names)], names);
  for (const [a, b] of [
    ['BD-11 4672', 'BD+11 4672'],
    ['BD+20 307', 'BD+2 0307'],
    ['PSR B1257+12', 'PSR B1257-12'],
    ['HD 1', 'HR 1'],
    ['HIP 123', 'HIP 1230'],
    ['Gaia DR2 1', 'Gaia DR3 1'],
    ['alf Cen A', 'alf Cen B'],
    ['alf01 Cen', 'alf02 Cen'],
    ['11 Com', '1 1 Com'],
    ['61 Cyg', '6 1 Cyg'],
  ] as const) {
    assert.notEqual(normaliseName(a), normaliseName(b), `${a} is not ${b}`);
  }
});

test('normalising twice changes nothing, and no text makes it fail or grow', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'grapheme', maxLength: 300 }), fc.constantFrom(...same.flat())), (text) => {
      const once = normaliseName(text);
      assert.ok(once.length <= 2 * starNameLengthMax);
      assert.equal(normaliseName(once), once);
    }),
    { numRuns: 1500 },
  );
});

test('names of the Open Exoplanet Catalogue are stable, and no two systems fall together by accident', () => {
  const owners = new Map<string, Set<string>>();
  for (const line of readFileSync('fixtures/catalogues/oec_1086_systems.ndjson', 'utf8').trim().split('\n')) {
    const system: { name: string; aliases: string[] } = JSON.parse(line);
    for (const alias of system.aliases) {
      const key = normaliseName(alias);
      assert.equal(normaliseName(key), key, alias);
      owners.set(key, (owners.get(key) ?? new Set()).add(alias));
    }
  }
  // What falls together differs in ways this plain second rule knows too; anything else would be an accident.
  const plain = (text: string): string =>
    text
      .toLowerCase()
      .replace(/^(?:gliese|gl|wo) ?(?=\d)/, 'gj')
      .replace(/alpha|beta|gamma|epsilon|omicron/, (letter) => letter.slice(0, 3).replace('alp', 'alf'))
      .replace(/(?<=[a-z -])0+(?=\d)/, '')
      .replace(/[^a-z0-9]/g, '');
  const merged = [...owners.values()].filter((names) => new Set([...names].map(plain)).size > 1);
  assert.deepEqual(merged.map((names) => [...names].sort().join(' = ')).sort(), [
    '16 Cyg A = 16 Cygni A',
    '16 Cyg B = 16 Cygni B',
    '16 Cyg C = 16 Cygni C',
    '55 Cancri = 55 Cnc',
    '91 Aqr A = 91 Aquarii A',
    '91 Aqr B = 91 Aquarii B',
    '91 Aqr C = 91 Aquarii C',
    'Beta Gem = Beta Geminorum',
    'Kappa And = Kappa Andromedae',
    'NN Ser = NN Serpentis',
    'NY Vir A = NY Virginis A',
    'NY Vir B = NY Virginis B',
    'Upsilon Andromedae A = ups And A',
    'Upsilon Andromedae B = ups And B',
    'beta UMi = beta Ursae Minoris',
    'mu Leo = mu Leonis',
    'o Ser = o Serpentis',
  ]);
  assert.ok(owners.size > 2000);
});

test('a constellation is known by abbreviation, nominative and genitive', () => {
  for (const text of ['CMa', 'cma', 'Canis Major', 'Canis Majoris', 'CANIS  MAJOR'])
    assert.equal(parseConstellation(text), 'CMa');
  assert.equal(parseConstellation('Boötes'), 'Boo');
  for (const text of ['', 'Atlantis', 'C', 'constructor']) assert.equal(parseConstellation(text), undefined);
});

test('identifiers are texts in one spelling, beyond 2^53 too', () => {
  assert.equal(normaliseIdentifier('hip', '00123'), '123');
  assert.equal(normaliseIdentifier('hip', 'HIP 123'), '123');
  assert.equal(normaliseIdentifier('gj', 'Gl 893.2 A'), '893.2a');
  assert.equal(normaliseIdentifier('gj', '244A'), '244a');
  assert.equal(normaliseIdentifier('gj', 'Wo 9843'), '9843');
  assert.equal(normaliseIdentifier('gaia', '4472832130942575873'), '4472832130942575873');
  assert.equal(normaliseIdentifier('gaia', 'Gaia DR3 4472832130942575873'), '4472832130942575873');
  assert.equal(normaliseIdentifier('tyc', '5949-2777-1'), '5949-2777-1');
});

test('a name that is an identifier says so, and another does not', () => {
  assert.deepEqual(identifierIn(normaliseName('HIP 32349')), ['hip', '32349']);
  assert.deepEqual(identifierIn(normaliseName('Gliese 581')), ['gj', '581']);
  assert.deepEqual(identifierIn(normaliseName('Gaia DR2 4472832130942575872')), ['gaia_dr2', '4472832130942575872']);
  for (const name of ['Sirius', 'HAT-P-11', 'HD', 'Kepler-22', 'HIPPO 3', ''])
    assert.equal(identifierIn(normaliseName(name)), undefined, name);
});
