// The language of queries: what is read as what, and errors that point at the place.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isOperaError } from '../../src/errors/errors.ts';
import { assertBounded, bindPlaces, type Expression, expressionText, placesIn } from '../../src/index/expression.ts';
import { parseExpression } from '../../src/index/parse-expression.ts';
import { bindQuery, parseQuery, placesOf, type QueryText } from '../../src/index/query.ts';
import { question } from './_systems.ts';

const shown = (query: string): string => expressionText(parseExpression(query));

const cases: Readonly<Record<string, string>> = {
  'mag < 6': 'mag_v < 6mag',
  'MAG<=6 AND Class=g': "(mag_v <= 6mag and class = 'G')",
  'dist < 10ly': 'dist_pc < 3.0660139378555056pc',
  'dist<10 ly': 'dist_pc < 3.0660139378555056pc',
  'ra = 06:45:00': 'ra = 101.25deg',
  'dec > -16:30': 'dec > -16.5deg',
  'dec > −16.7': 'dec > -16.7deg',
  'mag between 4 and 6 and hz': '((mag_v >= 4mag and mag_v <= 6mag) and hz_candidate = true)',
  'class in (G, K)': "(class = 'G' or class = 'K')",
  'class in (G)': "class = 'G'",
  'class not in (G, K)': "not (class = 'G' or class = 'K')",
  'mag not between 4 and 6': 'not (mag_v >= 4mag and mag_v <= 6mag)',
  'not class = G or mag != 3 && hip == 5': "(not class = 'G' or (mag_v != 3mag and hip = '5'))",
  '!(mag < 3)': 'not mag_v < 3mag',
  'not not mag < 3': 'mag_v < 3mag',
  'has planets': 'n_planets >= 1',
  'has teff': 'teff_k is known',
  'has hz': 'hz_candidate = true',
  'hz_candidate = no': 'hz_candidate = false',
  'mag is known': 'mag_v is known',
  'mag is unknown': 'not mag_v is known',
  'mag is not known': 'not mag_v is known',
  'mag is not unknown': 'mag_v is known',
  "spectral_type = 'g2 v'": "spectral_type = 'G2V'",
  'spect = G2*': "spectral_type = 'G2*'",
  'name = "Barnard\'s Star"': "name = 'barnardsstar'",
  'name = Kepler*': "name = 'kepler*'",
  'name != Sirius': "not name = 'sirius'",
  "find('HIP 70890')": "name = 'hip70890'",
  'constellation = orion': "constellation = 'Ori'",
  'gaia = 4472832130942575873': "gaia = '4472832130942575873'",
  "hip = 'HIP 00123'": "hip = '123'",
  'cone(101.287, -16.716, 2deg)': 'cone(101.287, -16.716, 2deg)',
  'cone(06:45:00, -16:30:00, 30 arcmin)': 'cone(101.25, -16.5, 0.5deg)',
  'cone(360, 90, 1)': 'cone(0, 90, 1deg)',
  'cone(-10, 0, 1)': 'cone(350, 0, 1deg)',
  'cone(61 Cyg A, 2deg)': "cone('61 Cyg A', 2deg)",
  "cone('α CMa', 2deg)": "cone('α CMa', 2deg)",
  'near(Sol, 10pc)': 'near(Sol, 10pc)',
  'near(the Sun, 10pc)': 'near(Sol, 10pc)',
  'near(Sirius, 5)': "near('Sirius', 5pc)",
  'box(350, -5, 10, 5)': 'box(350, -5, 10, 5)',
  'mass > 2Mjup': `mass > ${(2 * 1.2668653e17) / 1.3271244e20}Msun`,
};

test('every form of the language is read as its plain form', () => {
  for (const [query, plain] of Object.entries(cases)) assert.equal(shown(query), plain, query);
});

test('what is printed is read back as the same tree', () => {
  const normal = question.filter((expression) => !JSON.stringify(expression).includes('"kind":"space"'));
  fc.assert(
    fc.property(normal, (expression) => {
      assert.deepEqual(
        JSON.parse(JSON.stringify(parseExpression(expressionText(expression)))),
        JSON.parse(JSON.stringify(expression)),
      );
    }),
    { numRuns: 500 },
  );
});

const errorOf = (query: string): string[] => {
  try {
    parseExpression(query);
  } catch (error) {
    assert.ok(isOperaError(error, 'usage'), String(error));
    return error.message.split('\n');
  }
  return assert.fail(`${query} was read`);
};

const errors: readonly (readonly [string, RegExp, string])[] = [
  ['magg < 6', /column 1: there is no field "magg"; the nearest is mag/, '^^^^'],
  ['mag < 6 and class > G', /class is no number: only =, != and in/, '                  ^'],
  ['mag < bright', /mag_v must be a number/, '      ^^^^^^'],
  ['dist < 10 deg', /dist_pc takes one of pc, kpc, Mpc, ly, au, and deg is a unit of angle/, '       ^^^^^^'],
  ['n_planets > 3pc', /n_planets takes no unit/, '            ^^^'],
  ['mag <', /a value is expected for mag_v/, '     ^'],
  ['(mag < 6', /"\)" is expected behind what "\(" opened/, '        ^'],
  ['mag < 6)', /"and", "or" or the end is expected here/, '       ^'],
  ['mag < 6 class = G', /"and", "or" or the end/, '        ^^^^^'],
  ['mag', /behind mag one of/, '   ^'],
  ['mag < 6 and', /the query ends where a field/, '           ^'],
  ['and mag < 6', /there is no field "and"/, '^^^'],
  ["name = 'Sirius", /this quote is never closed/, '       ^^^^^^^'],
  ['class = Q', /class is one of O B A/, '        ^'],
  ['constellation = Orionn', /there is no constellation "Orionn"; the nearest is orion/, '                ^^^^^^'],
  ['hip < 5', /hip is no number/, '    ^'],
  ['hip = 5*', /hip has no prefixes/, '      ^^'],
  ['hz = maybe', /hz_candidate is yes or no/, '     ^^^^^'],
  ['cone(10, 95, 1)', /a declination is in \[-90, 90\]/, '         ^^'],
  ['cone(400, 5, 1)', /a right ascension is in/, '     ^^^'],
  ['cone(10, 5, 181)', /a radius on the sky is in/, '            ^^^'],
  ['cone(Sol, 1deg)', /the Sun has no place on the sky/, '     ^^^'],
  ['near(Sol, -1)', /a radius is not below 0/, '          ^^'],
  ['near(Sol)', /the radius is missing: write near\(Sol, 10ly\)/, '        ^'],
  ['near(Sol,', /the radius is missing/, '         ^'],
  ['near()', /the star is missing: write near\(/, '     ^'],
  ['near', /"\(" is expected behind near: write near\(/, '    ^'],
  ['cone(1, 2)', /the radius is missing: write cone\(101.3, -16.7, 2deg\)/, '         ^'],
  ['cone(1,2', /the radius is missing/, '        ^'],
  ['cone(6:45:00, -16)', /the radius is missing/, '                 ^'],
  ['cone(Sirius)', /the radius is missing: write .* or cone\(Sirius, 2deg\)/, '           ^'],
  ['cone(1, 2, 3, 4)', /cone takes no more: write cone\(/, '            ^'],
  ['cone 1,2,3', /"\(" is expected behind cone: write cone\(/, '     ^'],
  ['box(1, 2, 3)', /the second declination is missing: write box\(10, -5, 20, 5\)/, '           ^'],
  ['box(1 2, 3, 4)', /"," is expected in front of the first declination/, '      ^'],
  ['find()', /the name is missing: write find\("HIP 70890"\)/, '     ^'],
  ['has', /a field such as planets is expected/, '   ^'],
  ['near(Sol, 10deg)', /the radius takes one of pc/, '          ^^^^^'],
  ['near(Sol, 1pc', /"\)" is expected behind near/, '             ^'],
  ['mag is bright', /"known" or "unknown"/, '       ^^^^^^'],
  ['mag & 3', /unexpected character/, '    ^'],
  ["name = '*'", /something must stand in front of/, '       ^^^'],
  ["name = '—'", /a name has letters or digits/, '       ^^^'],
];

test('two numbers are the place of a cone, and a number with a radius in its unit a star', () => {
  assert.equal(expressionText(parseExpression('cone(61, 2deg)')), "cone('61', 2deg)");
  assert.equal(expressionText(parseExpression('cone(61, 2 deg)')), "cone('61', 2deg)");
});

test('an error points at the place and says what was expected', () => {
  assert.deepEqual([errorOf(''), errorOf('  ')], [['the query is empty'], ['the query is empty']]);
  for (const [query, message, caret] of errors) {
    const [first = '', second, third = ''] = errorOf(query);
    assert.match(first, message, query);
    assert.equal(second, `  ${query}`);
    assert.ok(
      third.slice(2).startsWith(caret) && !third.slice(2, caret.length + 1).includes('x'),
      `${query}\n${second}\n${third}`,
    );
    assert.equal(third.indexOf('^') - 2, caret.indexOf('^'), query);
  }
});

test('the caret stands under the place on a terminal, whatever is in front of it', () => {
  const shown = (query: string): string[] => errorOf(query).slice(1);
  assert.deepEqual(shown("name = '🌟' and\nmagg < 6"), ["  name = '🌟' and magg < 6", `  ${' '.repeat(16)}^^^^`]);
  assert.deepEqual(shown("find('漢字') or magg"), ["  find('漢字') or magg", `  ${' '.repeat(16)}^^^^`]);
  assert.deepEqual(shown("find('e\u0301') or magg"), ["  find('e\u0301') or magg", `  ${' '.repeat(13)}^^^^`]);
  assert.deepEqual(shown("find('a\x1b') or magg"), ["  find('a\\x1b') or magg", `  ${' '.repeat(17)}^^^^`]);
  assert.deepEqual(shown('\u202emag < 1'), ['  \\u202emag < 1', `  ${'^'.repeat(9)}`]);
});

test('of a long query the part around the place is shown', () => {
  const [first = '', second = '', third = ''] = errorOf(
    `${'mag < 1 or '.repeat(50)}magg < 3 ${'or mag < 1 '.repeat(50)}`,
  );
  assert.match(first, /column 551:/);
  assert.equal(second, `  …${'mag < 1 or '.repeat(5).slice(-47)}magg < 3 or mag < 1…`);
  assert.equal(third, `  ${' '.repeat(48)}^^^^`);
});

test('queries are bounded in length, terms and depth', () => {
  assert.match(errorOf('('.repeat(40))[0] ?? '', /nested deeper than 32/);
  assert.match(errorOf(Array.from({ length: 600 }, () => 'hz').join(' or '))[0] ?? '', /more than 500 terms/);
  assert.match(
    errorOf(`hip in (${Array.from({ length: 600 }, (_, i) => i).join(',')})`)[0] ?? '',
    /more than 500 terms/,
  );
  assert.match(errorOf(`name = '${'x'.repeat(9000)}'`)[0] ?? '', /at most 8192 characters/);
  const leaf: Expression = { kind: 'known', field: 'ra' };
  let deep: Expression = { kind: 'and', parts: [leaf] };
  for (let level = 0; level < 200; level++) deep = { kind: 'not', part: deep };
  assert.throws(
    () => assertBounded(deep),
    (error) => isOperaError(error, 'too-large'),
  );
  assert.throws(
    () => assertBounded({ kind: 'or', parts: Array.from({ length: 5_000 }, () => leaf) }),
    (error) => isOperaError(error, 'too-large'),
  );
  assertBounded({ kind: 'or', parts: [leaf, leaf] });
  // What a text within its bounds becomes is within those of trees.
  assertBounded(parseExpression(Array.from({ length: 500 }, () => '!hz').join(' or ')));
  assertBounded(parseExpression(Array.from({ length: 300 }, () => 'v not between 1 and 2').join(' and ')));
  assertBounded(parseExpression(`${'hz or hz and not ('.repeat(31)}hz${')'.repeat(31)}`));
});

test('no text makes the parser fail in another way than by pointing', () => {
  const soup = fc.array(
    fc.constantFrom(
      'mag',
      '<',
      '6',
      'and',
      'or',
      'not',
      '(',
      ')',
      ',',
      'in',
      'between',
      'cone',
      'near',
      'Sol',
      "'",
      '"',
      '*',
      '1pc',
      'is',
      'has',
      '-',
      '&&',
      'é',
      '\n',
    ),
    { maxLength: 14 },
  );
  fc.assert(
    fc.property(
      fc.oneof(
        soup.map((parts) => parts.join(' ')),
        fc.string({ maxLength: 40 }),
      ),
      (query) => {
        try {
          assertBounded(parseExpression(query));
        } catch (error) {
          assert.ok(isOperaError(error, 'usage'), String(error));
        }
      },
    ),
    { numRuns: 1500 },
  );
});

const place = { sky: { kind: 'sky', ra: 1, dec: 2 }, space: { kind: 'space', x: 3, y: 4, z: 5 } } as const;

test('stars are looked up once, and put in place of their names', () => {
  const expression = parseExpression('cone(Sirius, 1deg) or near(α CMa, 3pc) and not near(alf CMa, 1pc)');
  assert.deepEqual(
    placesIn(expression).map(({ key }) => key),
    ['sirius', 'alfcma'],
  );
  assert.deepEqual(
    expressionText(bindPlaces(expression, () => place)),
    '(cone(1, 2, 1deg) or (near((3, 4, 5), 3pc) and not near((3, 4, 5), 1pc)))',
  );
});

test('a star that is not known, or has no distance, is named', () => {
  const near = parseExpression('near(Nemesis, 1pc)');
  assert.throws(
    () => bindPlaces(near, () => undefined),
    (error) => isOperaError(error, 'not-found') && /"Nemesis"/.test(error.message),
  );
  assert.throws(
    () => bindPlaces(near, () => ({ ...place, space: undefined })),
    (error) => isOperaError(error, 'usage') && /no known distance/.test(error.message),
  );
});

test('flags are the same questions', () => {
  const whereOf = (text: QueryText): string | undefined => {
    const { where } = parseQuery(text);
    return where && expressionText(where);
  };
  assert.equal(whereOf({ cone: '101.28,-16.7,2deg' }), 'cone(101.28, -16.7, 2deg)');
  assert.equal(whereOf({ cone: 'Sirius,2deg' }), "cone('Sirius', 2deg)");
  assert.equal(whereOf({ near: "Barnard's Star, 10ly" }), "near('Barnard''s Star', 3.0660139378555056pc)");
  assert.equal(whereOf({ find: 'HIP 70890', where: 'mag < 6' }), "(name = 'hip70890' and mag_v < 6mag)");
  assert.equal(whereOf({ near: 'Sol' }), undefined);
});

test('order, limit, columns and output are read and checked', () => {
  const query = parseQuery({ near: 'Sirius,10ly', sort: '-mag,dist asc,class desc', limit: 20, columns: 'name, mag' });
  assert.deepEqual(query.sort, [
    { by: 'mag_v', descending: true },
    { by: 'dist_pc', descending: false },
    { by: 'class', descending: true },
  ]);
  assert.deepEqual(query.columns, ['name', 'mag_v']);
  assert.deepEqual(parseQuery({ near: 'Sirius' }).sort, [{ by: 'separation', descending: false }]);
  assert.deepEqual(
    placesOf(parseQuery({ near: 'Sirius' })).map(({ key }) => key),
    ['sirius'],
  );
  assert.deepEqual(bindQuery(parseQuery({ near: 'Sirius' }), () => place).centre, {
    kind: 'space',
    place: place.space,
  });
  assert.deepEqual(parseQuery({ histogram: 'dist:10ly' }).output, {
    kind: 'histogram',
    field: 'dist_pc',
    width: 3.0660139378555056,
  });
  assert.deepEqual(parseQuery({ group: 'class' }).output, { kind: 'groups', field: 'class' });
  const wrong: readonly (readonly [QueryText, RegExp])[] = [
    [{ cone: '1, 2' }, /the radius is missing/],
    [{ sort: 'magg' }, /no field "magg"; the nearest is mag/],
    [{ sort: 'mag up' }, /no field with asc or desc/],
    [{ sort: 'separation' }, /there is none/],
    [{ limit: 0 }, /--limit/],
    [{ limit: 1e9 }, /--limit/],
    [{ count: true, group: 'class' }, /only one of/],
    [{ group: 'mag' }, /--histogram mag_v:WIDTH/],
    [{ histogram: 'class:1' }, /class is no number/],
    [{ histogram: 'mag:0' }, /width above 0/],
    [{ columns: 'nam' }, /the nearest is name/],
  ];
  for (const [text, message] of wrong) {
    assert.throws(
      () => parseQuery(text),
      (error) => isOperaError(error, 'usage') && message.test(error.message),
      JSON.stringify(text),
    );
  }
});
