// Records of names on their way into one answer: in order, as many as fit, the first one always.
// Invariant: no answer about names is longer than a message may be, however long the bodies are. It reads no registry.
import { limits } from '../../model/limits.ts';
import type { NameRecord } from '../../registry/registry.ts';
import type { WireNameRecord } from '../../wire/messages-names.ts';

/** A record without name and body: two ids, a wrap of 76 bytes in base64, two numbers, and the words around them. */
const restBytes = 400;

/** Upper bound of the bytes a record takes: a name may be escaped character by character. */
const bytesOf = (record: WireNameRecord | null): number =>
  record ? restBytes + 2 * Buffer.byteLength(record.name) + Math.ceil(record.body.length / 3) * 4 : 5;

export const toWireRecord = (record: NameRecord, body: Uint8Array): WireNameRecord => {
  const { name, version, sequence, incarnation, operationId, chunkCount, catalogue, wrap } = record;
  const facts = { name, version, sequence, incarnation, operationId, chunkCount, body, wrap };
  return catalogue ? { ...facts, catalogue } : facts;
};

export class NamePage {
  readonly records: (WireNameRecord | null)[] = [];
  readonly #toWire: (record: NameRecord) => Promise<WireNameRecord>;
  #bytes = 0;

  /** `toWire` may read a body from nodes; it is asked for a few records at once. */
  constructor(toWire: (record: NameRecord) => Promise<WireNameRecord>) {
    this.#toWire = toWire;
  }

  /** Adds records in order; false as soon as one does not fit: that one and all behind it are left out. */
  async add(found: readonly (NameRecord | undefined)[]): Promise<boolean> {
    for (let at = 0; at < found.length; at += limits.bodiesReadAtOnce) {
      const group = found.slice(at, at + limits.bodiesReadAtOnce);
      const wired = await Promise.all(group.map(async (record) => (record ? this.#toWire(record) : null)));
      for (const record of wired) {
        const bytes = bytesOf(record);
        if (this.records.length > 0 && this.#bytes + bytes > limits.namesAnswerBytes) return false;
        this.#bytes += bytes;
        this.records.push(record);
      }
    }
    return true;
  }
}
