// Sets of chunks in messages: what goes in comes out, whatever the order, and one set stays within its bytes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseVersionId } from '../../src/model/ids.ts';
import { chunkSetsOf, chunksOf } from '../../src/wire/chunk-sets.ts';
import { chunkSet } from '../../src/wire/messages-index.ts';
import { formatJson, parseJson } from '../../src/wire/json.ts';
import { parseWith } from '../../src/wire/schema.ts';

const versions = ['00', '11', 'ff'].map((byte) => parseVersionId(byte.repeat(16)));

test('sets name exactly the chunks they were made of, and pass the schema', () => {
  const index = fc.oneof(
    fc.constantFrom(0, 7, 8, 65_535, 65_536, 131_072, 2 ** 31 - 1),
    fc.integer({ min: 0, max: 200 }),
    fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  );
  const chunks = fc.array(fc.record({ version: fc.constantFrom(...versions), index }), { maxLength: 60 });
  fc.assert(
    fc.property(chunks, (asked) => {
      const sets = chunkSetsOf(asked).map((set) => parseWith(chunkSet, parseJson(formatJson(set))));
      const named = [...chunksOf(sets)].map((chunk) => `${chunk.version}/${chunk.index}`);
      const wanted = new Set(asked.map((chunk) => `${chunk.version}/${chunk.index}`));
      assert.equal(named.length, wanted.size);
      assert.deepEqual(new Set(named), wanted);
      for (const { bits } of sets) assert.ok(bits.length >= 1 && bits.length <= 8_192);
    }),
    { numRuns: 300 },
  );
});
