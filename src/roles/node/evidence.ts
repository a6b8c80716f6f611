// What a node tells masters when the registry was lost, went back, or is out of reach: evidence, never a judgement.
// Invariant: once a node has answered for an incarnation it takes no manifest under a lower one, and none is under way,
// so what it lists afterwards is all of what was acknowledged with its help. Names are told to masters alone.
import type { Handler, Handlers } from '../../client/transport.ts';
import { createGeometry } from '../../crypto/geometry.ts';
import { type Manifest, parseManifest } from '../../crypto/manifest.ts';
import { type ManifestContent, openManifestBody } from '../../crypto/manifest-body.ts';
import { openWrap } from '../../crypto/wrap.ts';
import { OperaError } from '../../errors/errors.ts';
import type { VersionId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import type { StoredManifest } from '../../storage-adapters/storage-adapter.ts';
import type { AnswerOf } from '../../wire/routes.ts';
import type { NodeCore } from './core.ts';
import type { NameIndex } from './name-index.ts';

type ReadManifest = AnswerOf<'evidence.read'>['manifests'][number];
type ReadContent = NonNullable<ReadManifest>['content'];

const stateHandler =
  (core: NodeCore): Handler<'evidence.state'> =>
  async ({ request }) => {
    const state = await core.memory.change((before) =>
      request.incarnation > before.incarnation ? { ...before, incarnation: request.incarnation } : before,
    );
    await core.incarnations.drained(state.incarnation);
    const { incarnation, promisedEpoch, retiredUpTo, layouts } = state;
    return {
      answer: {
        ...{ incarnation, promisedEpoch, retiredUpTo },
        sound: core.soundness.sound,
        highestSequence: await core.storage.highestSequence(),
        layouts: layouts.map(({ record }) => ({ ...record })),
      },
    };
  };

const listHandler =
  (core: NodeCore): Handler<'evidence.list'> =>
  async ({ request }) => {
    const { partitions, above, limit, incarnation } = request;
    if (incarnation !== core.memory.state.incarnation) throw new OperaError('stale-incarnation');
    const manifests: AnswerOf<'evidence.list'>['manifests'] = [];
    let { after } = request;
    const from = after === undefined ? 0 : partitions.indexOf(after.partition);
    if (from < 0) throw new OperaError('bad-request', 'the page before ended in a partition that is not asked for');
    for (const partition of partitions.slice(from)) {
      let version: VersionId | undefined = after?.version;
      after = undefined;
      do {
        if (manifests.length + limits.evidencePageManifests > limit) {
          // A whole page must fit, so that no listing of the store is cut in two.
          const last = manifests.at(-1);
          const next = version === undefined ? last : { partition, version };
          if (next) return { answer: { manifests, next: { partition: next.partition, version: next.version } } };
        }
        const page = await core.storage.listManifests(partition, version, limits.evidencePageManifests);
        for (const { version: listed, sequence } of page.items) {
          if (sequence > above) manifests.push({ partition, version: listed, sequence });
        }
        version = page.next;
      } while (version !== undefined);
    }
    return { answer: { manifests } };
  };

const chunkCountOf = (content: ManifestContent): number =>
  content.kind === 'file' ? createGeometry(content.size, content.chunkLengths).chunkCount : 0;

/** What the body of a kept manifest says; undefined when its key is not held or it does not open. */
const contentOf = (core: NodeCore, stored: StoredManifest): ReadContent | undefined => {
  try {
    const { network, version, state, body, wrap } = parseManifest(stored.record);
    const fileKey = openWrap(core.keys.keyring, network, version, wrap);
    const content = openManifestBody(fileKey, network, version, state, body);
    const facts = { name: content.name, chunkCount: chunkCountOf(content) };
    const isCatalogue = content.kind === 'file' && content.chunkRecords !== undefined;
    return isCatalogue ? { ...facts, catalogue: true } : facts;
  } catch {
    return undefined;
  }
};

const readHandler =
  (core: NodeCore): Handler<'evidence.read'> =>
  async ({ request }) => {
    const manifests: ReadManifest[] = [];
    let bytes = 0;
    for (const version of request.versions) {
      const stored = await core.storage.getManifest(version);
      bytes += stored ? stored.record.length * 1.4 + 2_600 : 5;
      if (manifests.length > 0 && bytes > limits.messageBytesMax / 2) break;
      if (!stored) {
        manifests.push(null);
        continue;
      }
      const content = contentOf(core, stored);
      const record = { bytes: stored.record, signerSpki: stored.signerSpki };
      manifests.push({ record, ...(content ? { content } : {}) });
    }
    return { answer: { manifests } };
  };

const findHandler =
  (names: NameIndex): Handler<'evidence.find'> =>
  async ({ request }) => {
    const found: AnswerOf<'evidence.find'>['found'] = [];
    let whole = true;
    for (const name of request.names) {
      const known = await names.find(name);
      whole &&= known.whole;
      const newest = known.found
        .map(({ manifest }) => manifest)
        .reduce((a, b) => (a && a.sequence > b.sequence ? a : b), undefined as Manifest | undefined);
      found.push(newest ? { version: newest.version, sequence: newest.sequence } : null);
    }
    return { answer: { found, whole } };
  };

export const evidenceHandlers = (core: NodeCore, names: NameIndex): Handlers => ({
  'evidence.find': findHandler(names),
  'evidence.state': stateHandler(core),
  'evidence.list': listHandler(core),
  'evidence.read': readHandler(core),
});
