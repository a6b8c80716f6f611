// Records become star systems: units, absent values, two levels of judgement, derived values, nested systems.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { recogniseColumns } from '../../src/index/columns.ts';
import { detectDialect } from '../../src/index/detect-dialect.ts';
import { parseRecords } from '../../src/index/parse-records.ts';
import { type Read, RecordReader } from '../../src/index/record.ts';
import { faultText, type StarSystem, toJson } from '../../src/index/star-system.ts';

const readAll = (bytes: Uint8Array, ...maps: string[]): Read[] => {
  const found = detectDialect(bytes, true);
  assert.ok('dialect' in found);
  const { bindings, isCatalogue } = recogniseColumns(found.dialect, maps);
  assert.ok(isCatalogue);
  const reader = new RecordReader(found.dialect, bindings);
  return [...parseRecords(bytes, found.dialect, true)].map((raw) => reader.read(raw));
};

const systemOf = (read: Read | undefined): StarSystem => {
  assert.ok(read && 'system' in read, JSON.stringify(read));
  return read.system;
};

const one = (text: string, ...maps: string[]): StarSystem =>
  systemOf(readAll(new TextEncoder().encode(text), ...maps)[0]);

const faultsOf = (text: string): string[] => {
  const [read] = readAll(new TextEncoder().encode(text));
  assert.ok(read && 'faults' in read);
  return read.faults.map((fault) => faultText(1, fault));
};

const near = (actual: unknown, expected: number, tolerance: number): void => {
  assert.ok(typeof actual === 'number' && Math.abs(actual - expected) <= tolerance, `${actual} is not ${expected}`);
};

test('HYG: hours become degrees, names are gathered from every column', () => {
  const text =
    'id,hip,hd,hr,gl,bf,proper,ra,dec,dist,mag,absmag,spect,ci,x,y,z,rarad,bayer,flam,con\n' +
    '32263,32349,48915,2491,Gl 244A,  9Alp CMa,Sirius,6.752481,-16.716116,2.6371,-1.440,1.454,A0m...,0.009,' +
    '-0.494323,2.476731,-0.758485,1.7677,Alp,9,CMa\n';
  const { values, nameKeys, derived } = one(text);
  near(values.ra, 101.287215, 1e-9);
  assert.equal(values.class, 'A');
  assert.deepEqual([values.hip, values.gj, values.constellation, values.abs_mag], ['32349', '244a', 'CMa', 1.454]);
  assert.deepEqual(
    [...nameKeys].sort(),
    ['9alfcma', '9cma', 'alfcma', 'gj244a', 'hd48915', 'hip32349', 'hr2491', 'sirius'].sort(),
  );
  assert.deepEqual(Object.keys(derived), ['class']);
});

test('sexagesimal coordinates are hours and degrees', () => {
  const { values } = one('main_id,RA,DEC,SP_TYPE\n* alf CMa,06 45 08.91728,-16 42 58.0171,A0mA1Va\n');
  near(values.ra, 101.287155, 1e-6);
  near(values.dec, -16.716116, 1e-6);
});

test('an absent value is absent, however it is written', () => {
  for (const word of ['', ' ', 'nan', 'NaN', 'null', '--', '~', 'N/A', '\\N', 'inf', 'None']) {
    assert.equal(one(`name,ra,dec,mag_v\na,1,2,${word}\n`).values.mag_v, undefined, word);
  }
  assert.equal(one('{"name":"a","ra":1,"dec":2,"mag_v":null}\n').values.mag_v, undefined);
});

test('an impossible value keeps the record out, with record, field, value and limit', () => {
  assert.deepEqual(faultsOf('name,ra,dec\na,361.2,2\n'), ['record 1: ra = 361.2, must be in [0, 360) deg']);
  assert.deepEqual(faultsOf('name,ra,dec\na,360,-90.0001\n'), [
    'record 1: ra = 360, must be in [0, 360) deg',
    'record 1: dec = -90.0001, must be in [-90, 90] deg',
  ]);
  assert.deepEqual(faultsOf('name,ra,dec,teff\na,1,2,-5\n'), ['record 1: teff_k = -5, must be in [1, 10000000] K']);
  assert.deepEqual(faultsOf('name,ra,dec,mag_v\na,1,2,bright\n'), ['record 1: mag_v = bright, must be a number']);
  assert.deepEqual(faultsOf('name,ra,dec,n_planets\na,1,2,1.5\n'), [
    'record 1: n_planets = 1.5, must be a whole number',
  ]);
  assert.deepEqual(faultsOf('name,ra,dec,hz\na,1,2,maybe\n'), ['record 1: hz_candidate = maybe, must be yes or no']);
  assert.match(faultsOf(`name,ra,dec\n${'x'.repeat(300)},1,2\n`)[0] ?? '', /must have at most 256 characters/);
  assert.deepEqual(faultsOf('name,ra,dec\na,1\n'), ['record 1 has 2 fields, the header has 3']);
});

test('an odd value is kept and flagged: catalogues hold ages of 80 Gyr', () => {
  const { values, odd } = one('name,ra,dec,age_gyr,parallax\na,1,2,80,-0.3\n');
  assert.deepEqual([values.age, values.parallax], [80, -0.3]);
  assert.deepEqual(new Set(odd.map(({ field, value }) => `${field} ${value}`)), new Set(['parallax -0.3', 'age 80']));
});

test('a source_id of 19 digits is the same text in and out, from a table and from JSON', () => {
  const id = '4472832130942575873';
  assert.equal(one(`source_id,ra,dec\n${id},1,2\n`).values.gaia, id);
  assert.equal(one(`{"source_id":${id},"ra":1,"dec":2}\n`).values.gaia, id);
  const { values, odd } = one('source_id,ra,dec\n4.47283E+18,1,2\n');
  assert.ok(values.gaia !== undefined && odd.length === 1);
});

test('distance follows from a parallax only when it is more than five times its error', () => {
  const read = (parallax: string, error: string): StarSystem =>
    one(`name,ra,dec,parallax,parallax_error\na,0,0,${parallax},${error}\n`);
  assert.equal(read('100', '10').values.dist_pc, 10);
  assert.match(read('100', '10').derived.dist_pc ?? '', /1000 \/ parallax/);
  for (const [parallax, error] of [
    ['100', '20'],
    ['-100', '1'],
    ['100', ''],
    ['100', '0'],
    ['', '1'],
  ] as const) {
    assert.equal(read(parallax, error).values.dist_pc, undefined, `${parallax} ± ${error}`);
  }
});

test('cartesian coordinates, direction and absolute magnitude follow and say how', () => {
  const { values, derived } = one('name,ra,dec,dist_pc,mag_v\na,90,0,10,5\n');
  near(values.x_pc, 0, 1e-12);
  near(values.y_pc, 10, 1e-12);
  assert.equal(values.abs_mag, 5);
  assert.deepEqual(Object.keys(derived).sort(), ['abs_mag', 'x_pc', 'y_pc', 'z_pc']);
  const turned = one('name,x_pc,y_pc,z_pc\na,0,-1,1\n').values;
  near(turned.ra, 270, 1e-12);
  near(turned.dec, 45, 1e-12);
  assert.equal(turned.dist_pc, 1.414214);
  assert.equal(one('name,x_pc,y_pc,z_pc\na,1,-1e-20,0\n').values.ra, 0);
});

test('derived values have the digits that catalogues know of them, given ones are as they were read', () => {
  const { values } = one('name,ra,dec,parallax,parallax_error,mag_v\na,101.28715533333333,-16.716,77,1,6.0681\n');
  assert.deepEqual([values.dist_pc, values.abs_mag], [12.98701, 5.500554]);
  assert.deepEqual([values.x_pc, values.y_pc, values.z_pc], [-2.43448, 12.19763, -3.73543]);
  assert.equal(values.ra, 101.28715533333333);
  const exact = one('name,ra,dec,dist_pc\na,90,0,12.987012987012987\n').values;
  assert.deepEqual([exact.dist_pc, exact.x_pc, exact.y_pc, exact.z_pc], [12.987012987012987, 0, 12.98701, 0]);
  const turned = one('name,x_pc,y_pc,z_pc\na,1.5,-0.7,0.3\n').values;
  assert.deepEqual([turned.dist_pc, turned.ra, turned.dec], [1.68226, 334.983107, 10.272589]);
  // Values of the primary are the record's own, though the system does not say them.
  const nested = one('{"name":"a","ra":1,"dec":2,"stars":[{"mass_msun":0.123456789012}]}\n').values;
  assert.equal(nested.mass, 0.123456789012);
});

test('a derived value is at most half of its last digit off', () => {
  const number = fc.double({ min: 1e-3, max: 1e3, noNaN: true });
  fc.assert(
    fc.property(number, fc.double({ min: 0, max: 359, noNaN: true }), (parallax, ra) => {
      const { values } = one(`name,ra,dec,parallax,parallax_error,mag_v\na,${ra},33,${parallax},1e-9,4\n`);
      const distance = 1000 / parallax;
      near(values.dist_pc, distance, 5.1e-7 * distance);
      near(values.abs_mag, 9 - 5 * Math.log10(distance), 7e-6);
      for (const field of ['dist_pc', 'x_pc', 'y_pc', 'z_pc', 'abs_mag'] as const) {
        const digits = String(values[field]).replace(/e.*$/, '').replace(/[-.]/g, '').replace(/^0+/, '');
        assert.ok(digits.length <= 7 || /^\d{7}0+$/.test(digits), `${field} ${values[field]}`);
      }
    }),
  );
});

test('the Sun is at distance 0 and breaks no formula', () => {
  const { values } = one('name,ra,dec,dist_pc,mag_v\nSol,0,0,0,-26.7\n');
  assert.deepEqual([values.x_pc, values.abs_mag], [0, undefined]);
});

test('a value of the record is never replaced by a derived one', () => {
  const { values, derived } = one(
    'name,ra,dec,dist_pc,x_pc,y_pc,z_pc,mag_v,abs_mag,class,spectral_type\na,0,0,10,1,2,3,5,7,K,G2V\n',
  );
  assert.deepEqual([values.dist_pc, values.x_pc, values.abs_mag, values.class], [10, 1, 7, 'K']);
  assert.deepEqual(Object.keys(derived), ['luminosity_class']);
});

test('a spectral type with a comma survives, quoted', () => {
  const { values } = one('name,ra,dec,spectral_type\n"Y CVn",191.28,45.44,"C5,5"\n');
  assert.deepEqual([values.spectral_type, values.class], ['C5,5', 'C']);
});

test('identifiers among the names fill their fields', () => {
  const { values, names } = one(
    '{"name":"Alpha Centauri","ra":219.9,"dec":-60.8,"aliases":["HIP 71683","Gliese 559 A","HD 128620"]}\n',
  );
  assert.deepEqual([values.hip, values.gj, values.hd], ['71683', '559a', '128620']);
  assert.deepEqual(names, ['Alpha Centauri', 'HIP 71683', 'Gliese 559 A', 'HD 128620']);
});

test('the Open Exoplanet Catalogue is read whole, and its hierarchy is kept', () => {
  const bytes = readFileSync('fixtures/catalogues/oec_1086_systems.ndjson');
  const systems = readAll(bytes).map(systemOf);
  assert.equal(systems.length, 1086);
  const lines = bytes.toString('utf8').trim().split('\n');
  systems.forEach((system, index) => {
    const original: Record<string, unknown> = JSON.parse(lines[index] ?? '');
    const json = toJson(system);
    assert.deepEqual([json.stars, json.planets, json.name], [original.stars, original.planets, original.name]);
    assert.equal(system.values.n_planets, original.n_planets);
  });
  const cancri = systems.find(({ nameKeys }) => nameKeys.includes('55cnc'));
  assert.deepEqual([cancri?.values.class, cancri?.values.hz_candidate, cancri?.values.n_planets], ['K', true, 5]);
  assert.match(cancri?.derived.mass ?? '', /stars\[0\]/);
  // The flat file gives the same systems the same positions.
  const flat = readAll(readFileSync('fixtures/catalogues/oec_1086_systems.csv')).map(systemOf);
  assert.deepEqual(
    flat.map(({ values }) => [values.name, values.ra, values.dec]),
    systems.map(({ values }) => [values.name, values.ra, values.dec]),
  );
});

test('the stars of d3-celestial are read whole, with Bayer letters and Woolley numbers', () => {
  const reads = readAll(gunzipSync(readFileSync('fixtures/catalogues/d3celestial_xhip.csv.gz')).subarray(0, 1_000_000));
  // The bytes end inside a record: that one may be faulty, no other.
  assert.ok(reads.length > 20_000 && reads.slice(0, -1).every((read) => 'system' in read));
  const shedar = reads.find((read) => 'system' in read && read.system.values.name === 'Shedar');
  assert.deepEqual(systemOf(shedar).nameKeys, ['shedar', 'alfcas', '18cas', 'hip3179', 'hd3712']);
});

test('names of a record are bounded in number and length', () => {
  const many = Array.from({ length: 3000 }, (_, index) => `star ${index}`);
  const { names } = one(`${JSON.stringify({ name: 'a', ra: 1, dec: 2, aliases: [...many, 'x'.repeat(300)] })}\n`);
  assert.deepEqual([names.length, names[0], names[1]], [200, 'a', 'star 0']);
  assert.equal(one(`${JSON.stringify({ name: 'a', ra: 1, dec: 2, aliases: '|'.repeat(100_000) })}\n`).names.length, 1);
});

test('no record makes reading fail, and what is read is within its limits', () => {
  const cell = fc.oneof(
    fc.constantFrom('', '0', '-0', '360', '90', '-90', '1e308', '12:30', '5 5 5', '"', 'α', '__proto__', '1e-320'),
    fc.double({ noNaN: false }).map(String),
    fc.string({ maxLength: 6 }).filter((text) => !/[",\r\n]/.test(text)),
  );
  fc.assert(
    fc.property(fc.array(cell, { minLength: 8, maxLength: 8 }), (cells) => {
      const header = 'name,ra,dec,dist_pc,parallax,parallax_error,mag_v,spectral_type';
      const [read] = readAll(
        new TextEncoder().encode(
          `${header}\n"x${(cells[0] ?? '').replaceAll('"', '')}",${cells.slice(1).join(',').replaceAll('"', '')}\n`,
        ),
      );
      if (!read || !('system' in read)) return;
      const { ra, dec, x_pc: x } = read.system.values;
      if (typeof ra === 'number') assert.ok(ra >= 0 && ra < 360);
      if (typeof dec === 'number') assert.ok(Math.abs(dec) <= 90);
      if (x !== undefined) assert.ok(Number.isFinite(x));
    }),
    { numRuns: 800 },
  );
});

test('a fault is told on one line, whatever the file holds', () => {
  const limit = 'must be a number';
  assert.equal(faultText(3, { field: 'ra', value: '1\n2\u001b', limit }), `record 3: ra = 1\\n2\\x1b, ${limit}`);
  assert.equal(faultText(3, { field: 'record', value: '', limit: 'is not JSON' }), 'record 3 is not JSON');
});
