// The bytes of an answer, on their way out. TLS copies and seals what it is given in one go: a long answer would hold
// everybody else's up for its whole length, and lie in memory three times.
import type { ServerResponse } from 'node:http';

/** Longer parts leave in pieces of this size, each when the socket took the one before. */
const pieceBytes = 256 * 1024;

/** Until the socket takes more, or is gone. */
const drained = (response: ServerResponse): Promise<void> =>
  new Promise((resolve) => {
    const end = (): void => {
      response.off('drain', end).off('close', end);
      resolve();
    };
    response.on('drain', end).on('close', end);
  });

/** Writes the parts behind the head that was written, and ends the answer; stops when the caller is gone. */
export const sendParts = async (response: ServerResponse, parts: readonly Uint8Array[]): Promise<void> => {
  for (const part of parts) {
    for (let at = 0; at < part.length; at += pieceBytes) {
      const taken = response.write(part.subarray(at, at + pieceBytes));
      if (taken || part.length <= pieceBytes) continue;
      if (!response.destroyed) await drained(response);
      if (response.destroyed) return;
    }
  }
  response.end();
};
