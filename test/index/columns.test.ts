// Columns of real catalogues, overrides, and tables that only look like catalogues.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Recognised, recogniseColumns } from '../../src/index/columns.ts';
import type { Dialect } from '../../src/index/dialect.ts';
import { detectDialect } from '../../src/index/detect-dialect.ts';
import { isOperaError } from '../../src/errors/errors.ts';

const dialectOf = (header: string): Dialect => {
  const found = detectDialect(new TextEncoder().encode(`${header}\n`), true);
  assert.ok('dialect' in found);
  return found.dialect;
};

const recognise = (header: string, ...maps: string[]): Recognised => recogniseColumns(dialectOf(header), maps);

const bindingsOf = (header: string, ...maps: string[]): Record<string, string> =>
  Object.fromEntries(
    recognise(header, ...maps).bindings.map(({ field, column, unit, log10 }) => [
      field,
      `${column}${unit === '' ? '' : ` ${unit}`}${log10 ? ' log10' : ''}`,
    ]),
  );

test('HYG: right ascension in hours, identifiers, cartesian coordinates', () => {
  const header =
    'id,hip,hd,hr,gl,bf,proper,ra,dec,dist,pmra,pmdec,rv,mag,absmag,spect,ci,x,y,z,' +
    'vx,vy,vz,rarad,decrad,bayer,flam,con,lum,var';
  assert.deepEqual(bindingsOf(header), {
    hip: 'hip',
    hd: 'hd',
    hr: 'hr',
    gj: 'gl',
    aliases: 'bf',
    name: 'proper',
    ra: 'ra hour',
    dec: 'dec deg',
    dist_pc: 'dist pc',
    pmra: 'pmra mas/yr',
    pmdec: 'pmdec mas/yr',
    rv: 'rv km/s',
    mag_v: 'mag mag',
    abs_mag: 'absmag mag',
    spectral_type: 'spect',
    bv: 'ci mag',
    x_pc: 'x pc',
    y_pc: 'y pc',
    z_pc: 'z pc',
    bayer: 'bayer',
    flamsteed: 'flam',
    constellation: 'con',
    luminosity: 'lum Lsun',
    variable: 'var',
  });
});

test('Gaia: source_id, degrees, BP and RP', () => {
  const header =
    'source_id,designation,ref_epoch,ra,dec,parallax,parallax_error,pmra,pmdec,phot_g_mean_mag,phot_bp_mean_mag,' +
    'phot_rp_mean_mag,bp_rp,radial_velocity,teff_gspphot,logg_gspphot,mh_gspphot,distance_gspphot';
  const found = bindingsOf(header);
  assert.equal(found.gaia, 'source_id');
  assert.equal(found.ra, 'ra deg');
  assert.equal(found.parallax_error, 'parallax_error mas');
  assert.equal(found.dist_pc, 'distance_gspphot pc');
  assert.equal(Object.keys(found).length, 18);
});

test('SIMBAD and VizieR: their words, their units', () => {
  assert.deepEqual(bindingsOf('MAIN_ID,RA,DEC,RA_d,DEC_d,PLX_VALUE,RV_VALUE,SP_TYPE,FLUX_V,IDS'), {
    name: 'MAIN_ID',
    ra: 'RA_d deg',
    dec: 'DEC_d deg',
    parallax: 'PLX_VALUE mas',
    rv: 'RV_VALUE km/s',
    spectral_type: 'SP_TYPE',
    mag_v: 'FLUX_V mag',
    aliases: 'IDS',
  });
  assert.deepEqual(bindingsOf('HIP,RAhms,DEdms,Vmag,_RAJ2000,_DEJ2000,Plx,e_Plx,B-V,SpType,[Fe/H]'), {
    hip: 'HIP',
    ra: '_RAJ2000 deg',
    dec: '_DEJ2000 deg',
    mag_v: 'Vmag mag',
    parallax: 'Plx mas',
    parallax_error: 'e_Plx mas',
    bv: 'B-V mag',
    spectral_type: 'SpType',
    feh: '[Fe/H] dex',
  });
  assert.equal(bindingsOf('HIP,RAhms,DEdms,Vmag').ra, 'RAhms hour');
});

test('the NASA archive, exoplanet.eu and the Open Exoplanet Catalogue', () => {
  assert.equal(
    bindingsOf('pl_name,hostname,ra,dec,sy_dist,st_lum,st_spectype,sy_pnum').luminosity,
    'st_lum Lsun log10',
  );
  assert.equal(bindingsOf('pl_name,hostname,ra,dec,sy_dist,st_lum,st_spectype,sy_pnum').name, 'hostname');
  assert.equal(bindingsOf('name,star_name,ra,dec,star_sp_type,star_teff').spectral_type, 'star_sp_type');
  const oec = recogniseColumns(
    dialectOf(
      '{"name":"a","ra":1,"dec":2,"dist_pc":3,"teff_k":4,"ids":{"hip":"1"},"aliases":["b"],"stars":[],"planets":[]}',
    ),
  );
  assert.deepEqual(
    oec.bindings.map(({ field, column }) => `${field}=${column}`),
    ['name=name', 'ra=ra', 'dec=dec', 'dist_pc=dist_pc', 'teff_k=teff_k', 'hip=ids.hip', 'aliases=aliases'],
  );
});

test('units in brackets and in a line of units are taken', () => {
  assert.deepEqual(bindingsOf('name,RA [h],Dec (deg),distance [ly]'), {
    name: 'name',
    ra: 'RA [h] hour',
    dec: 'Dec (deg) deg',
    dist_pc: 'distance [ly] ly',
  });
  const dialect = { ...dialectOf('Name\tRAJ2000\tDEJ2000\tDist'), units: ['', 'deg', 'deg', 'kpc'] };
  assert.equal(recogniseColumns(dialect).bindings.find(({ field }) => field === 'dist_pc')?.unit, 'kpc');
});

test('a column in a unit of another dimension is not used, and that is said', () => {
  const found = recognise('name,ra,dec,mass [K]');
  assert.equal(
    found.bindings.some(({ field }) => field === 'mass'),
    false,
  );
  assert.ok(found.reasons.some((reason) => reason.includes('mass [K]')));
});

test('--map overrides what was recognised, with a unit if one is given, and an empty column unbinds', () => {
  const header = 'name,ra,dec,RA2 hours,my_ly';
  assert.equal(bindingsOf(header, 'ra=RA2 hours[hour]').ra, 'RA2 hours hour');
  assert.equal(bindingsOf(header, 'dist=my_ly[ly]').dist_pc, 'my_ly ly');
  assert.equal(bindingsOf(header, 'DEC=DEC').dec, 'dec deg');
  assert.equal(bindingsOf(header, 'name=').name, undefined);
});

test('--map that names nothing is refused with the nearest word', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['raa=ra', /no field "raa"; the nearest is ra/],
    ['ra=raj', /no column "raj"; the nearest is ra/],
    ['ra', /write FIELD=COLUMN/],
    ['ra=ra[pc]', /"pc" is no unit of ra/],
    ['sky=ra', /no field "sky"/],
  ];
  for (const [map, message] of cases) {
    assert.throws(
      () => recognise('name,ra,dec', map),
      (error) => isOperaError(error, 'usage') && message.test(error.message),
      map,
    );
  }
});

test('a name of a column too long to be one is left alone', () => {
  const { isCatalogue, reasons } = recognise(`ra,${'('.repeat(200_000)}`);
  assert.equal(isCatalogue, false);
  assert.ok(reasons.every((reason) => reason.length < 300));
  assert.equal(bindingsOf(`name,dec,ra${' '.repeat(10)}[deg],${'['.repeat(1000)}`).ra, `ra${' '.repeat(10)}[deg] deg`);
});

test('coordinates make a catalogue, and so do an identifier and a quantity of stars', () => {
  for (const header of [
    'ra,dec',
    'foo,RAJ2000,DEJ2000',
    'hip,Vmag',
    'name,sp_type',
    'source_id,parallax',
    'name,teff',
  ]) {
    const { isCatalogue, reasons } = recognise(header);
    assert.ok(isCatalogue && reasons.length > 0, header);
  }
});

test('tables of other things are no catalogues, and the reason names the columns', () => {
  const others = [
    'name,age,mass,class',
    'name,lat,lon,distance',
    'id,x,y,z',
    'time,hr,age,speed',
    'name,mag,depth',
    'a,b,c,g,h,k',
    'name,temperature',
    'hip,hd',
    'source,distance',
    'ra,decimal',
    'date,open,high,low,v',
  ];
  for (const header of others) {
    const { isCatalogue, reasons } = recognise(header);
    assert.equal(isCatalogue, false, header);
    assert.ok(reasons.some((reason) => /--map/.test(reason)));
  }
  assert.equal(recognise('star,alpha1,delta1', 'ra=alpha1', 'dec=delta1').isCatalogue, true);
});
