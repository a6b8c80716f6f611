// One chunk of a known hash from another node. What does not match the hash is no answer.
import { equalBytes, sha256 } from '../../crypto/digest.ts';
import { isOperaError } from '../../errors/errors.ts';
import type { KeyHash } from '../../model/ids.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { ChunkAddress } from '../../storage-adapters/storage-adapter.ts';
import { destinationOfNode, type NodeCore } from './core.ts';

/** The sealed bytes with that hash; undefined when the node does not have them or does not answer. */
export const fetchChunk = async (
  core: NodeCore,
  from: KeyHash,
  wanted: ChunkAddress & { readonly hash: Uint8Array },
): Promise<Uint8Array | undefined> => {
  const { context } = core;
  const { version, index, hash } = wanted;
  try {
    const to = destinationOfNode(core, from);
    const request = { chunks: [{ version, index }] };
    const { answer, binary } = await context.transport.call(to, 'chunk.read', request, { signal: context.stopping });
    const found = answer.chunks[0];
    if (!found || found.length === 0 || !equalBytes(sha256(binary), hash)) return undefined;
    return binary;
  } catch (error) {
    if (isOperaError(error, 'aborted')) throw error;
    context.log.debug('chunk-unread', { from, version, index, ...errorFacts(error) });
    return undefined;
  }
};
