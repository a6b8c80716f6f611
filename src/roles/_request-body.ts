// Reads the body of one request from the raw Node request: bounded, counted, and without trusting a stated length.
// Invariant: never holds more than the route allows, and a listener never more than its budget over all requests.
import type { IncomingMessage } from 'node:http';
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';

/** Bytes of bodies one listener holds now, whoever sent them. */
export class BodyBudget {
  #held = 0;

  /** False when the budget is used up; nothing is taken then. */
  take(bytes: number): boolean {
    if (this.#held + bytes > limits.bodyBytesHeldMax) return false;
    this.#held += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#held -= bytes;
  }
}

/**
 * The whole body, never more than `bytesMax`: a stated length is checked first, an unstated one while it comes. What
 * was taken from the budget is added to `taken.bytes`, also on failure; the caller gives it back.
 */
export const readBody = (
  request: IncomingMessage,
  bytesMax: number,
  budget: BodyBudget,
  taken: { bytes: number },
): Promise<Uint8Array> =>
  new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let length = 0;
    const stop = (error: OperaError): void => {
      request.off('data', take);
      parts.length = 0;
      reject(error);
    };
    const tooLarge = (): OperaError => new OperaError('too-large', `the request exceeds ${bytesMax} bytes`);
    const take = (part: Buffer): void => {
      length += part.length;
      if (length > bytesMax) return stop(tooLarge());
      if (!budget.take(part.length)) return stop(new OperaError('overloaded', 'too many bodies are held'));
      taken.bytes += part.length;
      parts.push(part);
    };
    const stated = Number(request.headers['content-length'] ?? 0);
    if (stated > bytesMax) return reject(tooLarge());
    request.on('data', take);
    request.once('end', () => resolve(parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts)));
    request.once('error', (cause) => stop(new OperaError('aborted', 'the request was cut off', { cause })));
    request.once('close', () => stop(new OperaError('aborted', 'the request was cut off')));
  });
