// When one manifest is evidence that a version is dead: the table of what names and renames can look like.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeadBy, type OpenedManifest } from '../../../src/roles/node/manifest-facts.ts';
import { versionOf } from '../../support/storage-data.ts';

interface Shown {
  readonly version?: number;
  readonly state?: 'live' | 'dead';
  readonly sequence: bigint;
  readonly follows: bigint;
  readonly name?: string;
  readonly tombstone?: boolean;
}

/** Only what the rule looks at. */
const shown = ({ version = 2, state = 'live', sequence, follows, name = 'n', tombstone = false }: Shown) =>
  ({
    manifest: { version: versionOf(version), state: tombstone ? 'dead' : state, sequence },
    content: { kind: tombstone ? 'name-tombstone' : 'file', name, follows },
  }) as unknown as OpenedManifest;

const subject = { version: versionOf(1), name: 'n', sequence: 10n };

const cases: readonly (readonly [string, Shown, boolean])[] = [
  ['its own tombstone', { version: 1, state: 'dead', sequence: 11n, follows: 10n }, true],
  ['its own live manifest', { version: 1, sequence: 11n, follows: 9n }, false],
  ['an older tombstone of itself', { version: 1, state: 'dead', sequence: 9n, follows: 8n }, false],
  ['the version that took its place', { sequence: 11n, follows: 10n }, true],
  ['a later one of the same name', { sequence: 20n, follows: 15n }, true],
  ['the tombstone of a later one', { state: 'dead', sequence: 20n, follows: 15n }, true],
  ['a later one that began the name anew', { sequence: 20n, follows: 0n }, false],
  ['a later one that follows something older', { sequence: 20n, follows: 9n }, false],
  ['an earlier one', { sequence: 9n, follows: 10n }, false],
  ['one of another name', { sequence: 20n, follows: 15n, name: 'm' }, false],
  ['the name tombstone of its own rename', { sequence: 11n, follows: 10n, tombstone: true }, false],
  ['the name tombstone of a later version', { sequence: 20n, follows: 15n, tombstone: true }, true],
];

for (const [what, manifest, dead] of cases) {
  test(`${what} is ${dead ? 'evidence' : 'no evidence'} that a version is dead`, () => {
    assert.equal(isDeadBy(subject, shown(manifest)), dead);
  });
}
