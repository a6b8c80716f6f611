// Notes of catalogues: a holder of the network key opens them; header, wrap and version belong together.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Keyring } from '../../src/crypto/keyring.ts';
import { noteContentBytesMax, openNote, parseNote, replaceNoteWrap, sealNote } from '../../src/crypto/note.ts';
import { createFileKeys, deriveFileKeys } from '../../src/crypto/sealing.ts';
import { openWrap, rewrapFileKey, wrapFileKey } from '../../src/crypto/wrap.ts';
import { altered, labelled, network, otherNetwork, refuses, SeededRandom, versionOf } from './_support.ts';

const random = new SeededRandom('note');
const keys = createFileKeys(random, network, versionOf('note'));
const keyring = new Keyring(network, [{ epoch: 1, key: labelled('epoch-1', 32) }]);
const wrap = wrapFileKey(keyring, network, keys.version, keys.fileKey, random);
const content = { format: 'csv', delimiter: ';', columns: ['ra', 'dec', 'größe'], map: { ra: 'ra' } };
const record = sealNote(keys.fileKey, keys.header, wrap, content, random);

test('whoever can open the wrap reads the note', () => {
  const note = parseNote(record);
  assert.equal(record.length, 233 + note.sealed.length);
  assert.equal(note.wrapEpoch, 1);
  assert.deepEqual(note.header, keys.header);
  const fileKey = openWrap(keyring, network, note.version, note.wrap);
  assert.deepEqual(openNote(fileKey, network, note), content);
});

test('every flipped byte is refused by form, wrap, tag or, in the header, by the sealing', () => {
  for (let at = 0; at < record.length; at++) {
    const read = (): void => {
      const note = parseNote(altered(record, at));
      const fileKey = openWrap(keyring, network, note.version, note.wrap);
      openNote(fileKey, network, note);
      deriveFileKeys(network, note.version, fileKey, note.header);
    };
    refuses(read, 'integrity', 'unknown-key', 'wrong-network');
  }
});

test('a note gets another wrap of its file key, and nothing else of it changes', () => {
  const newer = keyring.with({ epoch: 2, key: labelled('epoch-2', 32) });
  const rewrapped = replaceNoteWrap(record, rewrapFileKey(newer, network, keys.version, wrap));
  const note = parseNote(rewrapped);
  assert.equal(note.wrapEpoch, 2);
  assert.deepEqual(openNote(openWrap(newer, network, note.version, note.wrap), network, note), content);
  assert.deepEqual(replaceNoteWrap(rewrapped, wrap), record);
  refuses(() => replaceNoteWrap(record, wrap.subarray(1)), 'integrity');
});

test('another network or key does not open it', () => {
  refuses(() => openNote(keys.fileKey, otherNetwork, parseNote(record)), 'wrong-network');
  refuses(() => openNote(labelled('x', 32), network, parseNote(record)), 'integrity');
});

test('lengths that cannot be are refused', () => {
  for (let length = 0; length < record.length; length++)
    refuses(() => parseNote(record.subarray(0, length)), 'integrity');
  refuses(() => parseNote(new Uint8Array([...record, 0])), 'integrity');
  for (const value of [0, 15, record.length - 233 - 1, record.length - 233 + 1, 0xffff_ffff]) {
    const bytes = record.slice();
    new DataView(bytes.buffer).setUint32(229, value);
    refuses(() => parseNote(bytes), 'integrity');
  }
  const large = { columns: ['x'.repeat(noteContentBytesMax)] };
  refuses(() => sealNote(keys.fileKey, keys.header, wrap, large, random), 'too-large');
});
