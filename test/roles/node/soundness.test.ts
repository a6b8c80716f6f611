// Which stores are believed: a table of openings, and what a witness remembers over crashes.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  formatWitness,
  judgeOpening,
  newWitness,
  parseWitness,
  type StoreWitness,
} from '../../../src/roles/node/soundness.ts';
import { OperaError } from '../../../src/errors/errors.ts';

const used: StoreWitness = { ...newWitness('b'), previousStoreId: 'a', placed: true, writeCounter: 100 };
const opening = (previousStoreId: string | undefined, writeCounter: number) => ({
  ...{ previousStoreId, writeCounter },
  highestSequence: 70n,
});
const judge = (before: StoreWitness | undefined, ...of: Parameters<typeof opening>) =>
  judgeOpening(before, opening(...of), 'c');

describe('the witness of a store', () => {
  test('believes a new store of a new node, and the store that the node had', () => {
    for (const { witness, distrust } of [
      judge(undefined, undefined, 0),
      judge({ ...used, placed: false }, undefined, 0),
      judge(used, 'b', 100),
      // Killed after the witness was written and before the store took its new id.
      judge(used, 'a', 100),
    ]) {
      assert.deepEqual([distrust, witness.sound, witness.distrustedUpTo, witness.storeId], [undefined, true, 0n, 'c']);
    }
  });

  test('does not believe a blank store, a foreign one, and one that went back', () => {
    assert.deepEqual(judge(used, undefined, 0).distrust, 'store-id');
    assert.deepEqual(judge(used, 'z', 500).distrust, 'store-id');
    assert.deepEqual(judge(undefined, 'z', 500).distrust, 'store-id');
    assert.deepEqual(judge(used, 'b', 99).distrust, 'write-counter');
    const { witness } = judge(used, 'z', 5);
    assert.deepEqual([witness.sound, witness.distrustedUpTo], [false, 70n]);
  });

  test('stays doubtful over restarts until it is believed again, also when killed in between', () => {
    const { witness } = judge(used, undefined, 0);
    for (const previous of ['c', undefined]) {
      const next = judgeOpening(witness, opening(previous, witness.writeCounter), 'd');
      assert.equal(next.witness.sound, false);
    }
  });

  test('reports a counter above what the lost store had reached, and notices when that one goes back', () => {
    const { witness } = judge(used, undefined, 3);
    assert.ok(3 + witness.counterOffset > used.writeCounter);
    const later = { ...witness, writeCounter: 50 + witness.counterOffset, sound: true };
    assert.equal(judgeOpening(later, opening('c', 50), 'd').distrust, undefined);
    assert.equal(judgeOpening(later, opening('c', 49), 'd').distrust, 'write-counter');
  });

  test('is read back as it was written, as older programs wrote it, or refused', () => {
    const { witness } = judge(used, 'z', 5);
    assert.deepEqual(parseWitness(formatWitness(witness)), witness);
    const old = parseWitness('{"storeId":"b","previousStoreId":"a"}\n');
    assert.deepEqual([old.sound, old.placed, old.writeCounter], [true, true, 0]);
    for (const text of ['', 'null', '{}', '{"storeId":"b","distrustedUpTo":"x"}']) {
      assert.throws(() => parseWitness(text), OperaError);
    }
  });
});
