// Manifests of many versions from one other node, however many messages that takes. Whoever concludes something from an
// absence must know that the answer was whole: an answer that was full is asked to go on.
import { OperaError } from '../../errors/errors.ts';
import type { KeyHash, VersionId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import type { AnswerOf } from '../../wire/routes.ts';
import { destinationOfNode, type NodeCore } from './core.ts';

type Shown = AnswerOf<'manifest.read'>['manifests'][number];

/** In the order asked, null where the node holds none. Rejects as a call does; nothing is checked but the count. */
export const readManifests = async (
  core: NodeCore,
  from: KeyHash,
  versions: readonly VersionId[],
  signal: AbortSignal = core.context.stopping,
): Promise<Shown[]> => {
  const to = destinationOfNode(core, from);
  const shown: Shown[] = [];
  while (shown.length < versions.length) {
    const asked = versions.slice(shown.length, shown.length + limits.batchEntriesMax);
    const { answer } = await core.context.transport.call(to, 'manifest.read', { versions: asked }, { signal });
    const { manifests, more = false } = answer;
    const isPart = more && manifests.length > 0 && manifests.length < asked.length;
    if (manifests.length !== asked.length && !isPart) {
      throw new OperaError('integrity', 'a node answered another question');
    }
    shown.push(...manifests);
  }
  return shown;
};
