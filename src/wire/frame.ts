// One message on the wire: u32 length of the JSON ‖ JSON (UTF-8) ‖ binary part to the end.
// Requests and answers share the form (media type application/x-opera), so that sealed bytes never pass through
// base64 and names and queries never stand in a URL.
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import { formatJson, parseJson } from './json.ts';

export const frameMediaType = 'application/x-opera';

/** Header of an answer: the newest roster its sender knows. Callers that know an older one fetch it. */
export const rosterHeader = 'opera-roster';

export interface Frame {
  /** A JSON object; which one is the schemas' business. */
  readonly message: object;
  /** Empty when the message has no binary part. A view of the received buffer. */
  readonly binary: Uint8Array;
}

const decoder = new TextDecoder('utf-8', { fatal: true });

/** The parts of an encoded frame, to be written one after the other without joining the large ones. */
export const encodeFrame = (message: unknown, binary: readonly Uint8Array[] = []): Uint8Array[] => {
  const json = Buffer.from(formatJson(message), 'utf8');
  const head = Buffer.allocUnsafe(4 + json.length);
  head.writeUInt32BE(json.length, 0);
  json.copy(head, 4);
  return [head, ...binary];
};

export const frameLength = (parts: readonly Uint8Array[]): number =>
  parts.reduce((total, part) => total + part.length, 0);

/** Parses a received frame; `bad-request` or `too-large` for anything that is not one. */
export const decodeFrame = (bytes: Uint8Array, messageBytesMax: number = limits.messageBytesMax): Frame => {
  if (bytes.length < 4) throw new OperaError('bad-request', 'the message is shorter than its length field');
  const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0);
  if (length > messageBytesMax) throw new OperaError('too-large', `the message exceeds ${messageBytesMax} bytes`);
  if (4 + length > bytes.length) throw new OperaError('bad-request', 'the message is shorter than it says');
  let text: string;
  try {
    text = decoder.decode(bytes.subarray(4, 4 + length));
  } catch (cause) {
    throw new OperaError('bad-request', 'the message is not UTF-8', { cause });
  }
  const message = parseJson(text);
  // Arrays are objects to the schemas: an empty one would pass where a message without members is expected.
  if (typeof message !== 'object' || message === null || Array.isArray(message)) {
    throw new OperaError('bad-request', 'the message is not an object');
  }
  return { message, binary: bytes.subarray(4 + length) };
};
