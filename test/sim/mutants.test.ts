// The simulator can fail: with a rule broken on purpose a pinned seed goes wrong, and the same seed goes well without
// that, which is played with OPERA_TEST_LONG=1. Every mutant of `_mutants.ts` is pinned here.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type MutantName, mutants } from './_mutants.ts';
import { type Outcome, simulate } from './_simulator.ts';

const long = process.env['OPERA_TEST_LONG'] === '1';

/** A seed that notices, and what it says. */
const pins = {
  'manifest before the step': { seed: 3, finds: /took a manifest of .* which no step made/ },
  'no write barrier': { seed: 512, finds: /was retired while 0 of 1 owners hold/ },
  'W - 1': { seed: 3, finds: /was acknowledged with 1 manifests/ },
  'no fsync': { seed: 2, finds: /lowered promisedEpoch/ },
  'no fencing': { seed: 2, finds: /carried out an order of leader epoch \d+ after one of \d+/ },
  'retire by live nodes': { seed: 115, finds: /was retired while 0 of 1 owners hold/ },
  'no incarnation check': { seed: 7, finds: /got the answer of no moment/ },
  'unknown is dead': { seed: 9, finds: /deleted chunk 1 of own\/\d+, a live file, and owns it/ },
  'tombstones dropped early': { seed: 14, finds: /the names are .*, not / },
  'digests without manifests': { seed: 24, finds: /lacks the manifest of/ },
  'copies without notes': { seed: 2, finds: /holds a chunk of .* without its note/ },
  'vouching unindexed': { seed: 8, finds: /got the answer of no moment/ },
  'counted twice': { seed: 5, finds: /got the answer of no moment/ },
  'guess beside the snapshot': { seed: 9, finds: /got the answer of no moment/ },
  'surviving index': { seed: 2, finds: /got the answer of no moment/ },
} as const satisfies Record<MutantName, { readonly seed: number; readonly finds: RegExp }>;

interface Played {
  readonly name: string;
  readonly finds: RegExp;
  readonly sound: Outcome | undefined;
  readonly broken: Outcome;
}

const outcomes: Played[] = [];
for (const [name, { seed, finds }] of Object.entries(pins)) {
  const mutant = mutants[name as keyof typeof pins];
  const { broken: _broken, ...sound } = { demandedCopies: undefined, ...mutant };
  const settings = name === 'W - 1' ? { settings: { copies: 3, writeCopies: 2 } } : {};
  outcomes.push({
    name,
    finds,
    sound: long ? await simulate({ ...sound, ...settings, seed }) : undefined,
    broken: await simulate({ ...mutant, seed }),
  });
}

describe('the simulator notices', () => {
  for (const { name, finds, sound, broken } of outcomes) {
    test(`a mutant: ${name}`, () => {
      assert.equal(sound?.failure, undefined, 'it goes well with the rule in force');
      assert.match(broken.failure ?? 'nothing', finds);
    });
  }
});
