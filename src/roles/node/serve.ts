// Giving: sealed chunks to clients with a ticket and to nodes that pull copies, bitmaps to masters that commit,
// listings to nodes that gained partitions, manifests both ways. A whole chunk is hashed before it leaves.
import type { Handler, Handlers, IncomingCall, Reply } from '../../client/transport.ts';
import { equalBytes, sha256 } from '../../crypto/digest.ts';
import { parseManifest, verifyManifest } from '../../crypto/manifest.ts';
import { keyHashOfSpki } from '../../crypto/signature.ts';
import { isOperaError, OperaError } from '../../errors/errors.ts';
import { setBit } from '../../model/bits.ts';
import { limits } from '../../model/limits.ts';
import { partitionOf } from '../../placement/partition.ts';
import type { ChunkInfo, ManifestWrite, StoredManifest } from '../../storage-adapters/storage-adapter.ts';
import type { AnswerOf } from '../../wire/routes.ts';
import { acknowledgedLayout, type NodeCore, requirePeer, requireTicket } from './core.ts';
import { admitWrite, followIncarnation } from './state.ts';

type ReadChunk = AnswerOf<'chunk.read'>['chunks'][number];
type ManifestRecord = NonNullable<AnswerOf<'manifest.read'>['manifests'][number]>;

const readHandler =
  (core: NodeCore): Handler<'chunk.read'> =>
  async (call) => {
    const peer = requirePeer(call.peer);
    const { request } = call;
    const isClient = peer.role !== 'node' || request.ticket !== undefined;
    if (isClient) {
      const { ticket, versions } = request;
      if (!ticket || !versions) throw new OperaError('ticket-invalid', 'a ticket is needed');
      const allowed = new Set(versions);
      if (request.chunks.some(({ version }) => !allowed.has(version))) throw new OperaError('ticket-invalid');
      const chunkIndex = Math.max(...request.chunks.map(({ index }) => index));
      requireTicket(core, peer, 'get', { ticket, versions, chunkIndex });
    }
    if (isClient) return core.throttle.serve(() => readChunks(core, call, async () => undefined));
    // Copies for other nodes are background work of this one as well: its own clients come first.
    return readChunks(core, call, (bytes) => core.throttle.take(bytes, call.signal));
  };

/** Reads what the request lists, as much as fits one answer; `pay` is called with the bytes of each chunk. */
const readChunks = async (
  core: NodeCore,
  { request }: IncomingCall<'chunk.read'>,
  pay: (bytes: number) => Promise<void>,
): Promise<Reply<'chunk.read'>> => {
  const chunks: ReadChunk[] = [];
  const binary: Uint8Array[] = [];
  let bytes = 0;
  for (const { version, index, from, to } of request.chunks) {
    const range = from === undefined && to === undefined ? undefined : { from: from ?? 0, to: to ?? 2 ** 32 };
    let unreadable = false;
    const found = await core.storage.getChunk({ version, index }, range).catch((error: unknown) => {
      // One chunk that cannot be read back must not hide the others of the request.
      if (!isOperaError(error, 'integrity')) throw error;
      unreadable = true;
      return undefined;
    });
    if (found && bytes + found.body.length > limits.binaryBytesMax) {
      return { answer: { chunks, more: true }, binary };
    }
    const { info, body } = found ?? {};
    if (unreadable || (info && body && !range && !equalBytes(sha256(body), info.hash))) {
      // Told apart from absence: when every copy is altered the reader must hear of it, and not wait for one.
      core.context.log.error('chunk-altered', { version, index });
      core.copies.report({ version, index });
      chunks.push({ length: 0, hash: info?.hash ?? new Uint8Array(32), totalLength: info?.length ?? 0 });
      continue;
    }
    if (!info || !body) {
      chunks.push(null);
      continue;
    }
    await pay(body.length);
    bytes += body.length;
    binary.push(body);
    chunks.push({ length: body.length, hash: info.hash, totalLength: info.length });
  }
  return { answer: { chunks, more: false }, binary };
};

/** Bitmap of the indices in [from, to) that are among `chunks`. */
const bitmapOf = (chunks: readonly ChunkInfo[], from: number, to: number): Uint8Array => {
  const bits = new Uint8Array(Math.ceil((to - from) / 8));
  for (const { index } of chunks) setBit(bits, index - from);
  return bits;
};

const holdHandler =
  (core: NodeCore): Handler<'chunk.hold'> =>
  async ({ request }) => {
    const layoutNumber = acknowledgedLayout(core);
    const held: Uint8Array[] = [];
    const verified: number[][] = [];
    for (const { version, from, to } of request.versions) {
      if (to < from || to - from > 65_536) throw new OperaError('bad-request', 'a range of at most 65,536 chunks');
      const chunks = await core.storage.listVersion(version, from, to);
      const taken = chunks.filter((chunk) => chunk.layoutNumber <= request.layoutNumber);
      held.push(bitmapOf(taken, from, to));
      if (!request.verified) continue;
      const times = new Array<number>(to - from).fill(0);
      for (const info of taken) times[info.index - from] = await core.copies.verifiedMs(info);
      verified.push(times);
    }
    return { answer: { held, layoutNumber, ...(request.verified ? { verified } : {}) } };
  };

/** The partitions still to be listed when a page ended in `after`, without those that never held anything. */
const partitionsFrom = async (
  { storage }: NodeCore,
  partitions: readonly number[],
  after: number | undefined,
): Promise<readonly number[]> => {
  const at = after === undefined ? 0 : partitions.indexOf(after);
  if (at < 0) throw new OperaError('bad-request', 'the page before ended in a partition that is not asked for');
  // One question instead of thousands to a store that holds little.
  const used = new Set(await storage.listPartitions());
  return partitions.slice(at).filter((partition) => used.has(partition));
};

/** A listing says what was acknowledged before it began: of writes under lower layouts nothing is missing in it. */
const chunkListHandler =
  (core: NodeCore): Handler<'chunk.list'> =>
  async ({ request }) => {
    const { partitions, limit } = request;
    const layoutNumber = acknowledgedLayout(core);
    const { sound } = core.soundness;
    const chunks: AnswerOf<'chunk.list'>['chunks'] = [];
    let { after } = request;
    for (const partition of await partitionsFrom(core, partitions, after?.partition)) {
      const page = await core.storage.listChunks(partition, after, limit - chunks.length);
      for (const { version, index, length, hash, servedHour } of page.items) {
        chunks.push({ partition, version, index, length, hash, servedHour });
      }
      if (chunks.length >= limit) return { answer: { chunks, more: true, layoutNumber, sound } };
      after = undefined;
    }
    return { answer: { chunks, more: false, layoutNumber, sound } };
  };

const signed = ({ record, signerSpki }: StoredManifest): ManifestRecord => ({ bytes: record, signerSpki });

const manifestListHandler =
  (core: NodeCore): Handler<'manifest.list'> =>
  async ({ request }) => {
    const { partitions, limit } = request;
    const layoutNumber = acknowledgedLayout(core);
    const { sound } = core.soundness;
    const manifests: AnswerOf<'manifest.list'>['manifests'] = [];
    let { after } = request;
    let bytes = 0;
    for (const partition of await partitionsFrom(core, partitions, after?.partition)) {
      // A page of bodies must fit one answer; the first manifest always does.
      const page = await core.storage.listManifests(partition, after?.version, limit - manifests.length);
      for (const item of page.items) {
        bytes += item.record.length * 1.4;
        if (manifests.length > 0 && bytes > limits.messageBytesMax / 2) {
          return { answer: { manifests, more: true, layoutNumber, sound } };
        }
        manifests.push({ partition, record: signed(item) });
      }
      if (manifests.length >= limit) return { answer: { manifests, more: true, layoutNumber, sound } };
      after = undefined;
    }
    return { answer: { manifests, more: false, layoutNumber, sound } };
  };

/** As a listing, without the records: enough to know what is missing. */
const manifestIndexHandler =
  (core: NodeCore): Handler<'manifest.index'> =>
  async ({ request }) => {
    const { partitions, limit } = request;
    const layoutNumber = acknowledgedLayout(core);
    const { sound } = core.soundness;
    const manifests: AnswerOf<'manifest.index'>['manifests'] = [];
    let { after } = request;
    for (const partition of await partitionsFrom(core, partitions, after?.partition)) {
      const page = await core.storage.listManifests(partition, after?.version, limit - manifests.length);
      for (const { version, sequence, wrapEpoch, record } of page.items) {
        manifests.push({ partition, version, sequence, wrapEpoch, length: record.length });
      }
      if (manifests.length >= limit) return { answer: { manifests, more: true, layoutNumber, sound } };
      after = undefined;
    }
    return { answer: { manifests, more: false, layoutNumber, sound } };
  };

const manifestReadHandler =
  (core: NodeCore): Handler<'manifest.read'> =>
  async ({ request }) => {
    const manifests: (ManifestRecord | null)[] = [];
    let bytes = 0;
    for (const version of request.versions) {
      const found = await core.storage.getManifest(version);
      bytes += (found?.record.length ?? 0) * 1.4 + 200;
      // Bodies of catalogues are long: the first manifest always fits an answer, the others as far as they do.
      if (manifests.length > 0 && bytes > limits.messageBytesMax / 2) return { answer: { manifests, more: true } };
      manifests.push(found ? signed(found) : null);
    }
    return { answer: { manifests } };
  };

/** A manifest as the store keeps it; `integrity` unless it is whole, of this network and signed by `signerSpki`. */
export const manifestToStore = (core: NodeCore, record: Uint8Array, signerSpki: Uint8Array): ManifestWrite => {
  const manifest = parseManifest(record);
  if (manifest.network !== core.context.networkId) throw new OperaError('wrong-network');
  verifyManifest(manifest, signerSpki);
  const { version, sequence, wrapEpoch, state, signer } = manifest;
  const { servedHour } = core;
  return {
    version,
    partition: partitionOf(version, 0),
    sequence,
    wrapEpoch,
    state,
    record,
    signer,
    signerSpki,
    servedHour,
  };
};

const manifestStoreHandler =
  (core: NodeCore): Handler<'manifest.store'> =>
  async (call) => {
    const { request } = call;
    const peer = requirePeer(call.peer);
    const writes = request.manifests.map((record) => manifestToStore(core, record, peer.spki));
    if (writes.some(({ signer }) => signer !== keyHashOfSpki(peer.spki))) {
      throw new OperaError('forbidden', 'a master stores manifests that it signed itself');
    }
    await core.memory.change((before) => followIncarnation(before, request.incarnation));
    const { state } = core.memory;
    // Looked at again in the tick in which the write enters: a higher one may have come meanwhile.
    followIncarnation(state, request.incarnation);
    for (const { partition } of writes) admitWrite(state, core.self, request.layoutNumber, partition);
    const outcomes = await core.incarnations.run(request.incarnation, () =>
      core.barrier.run(request.layoutNumber, () => core.storage.putManifests(writes)),
    );
    // Another master may have signed the same step anew: an equal order is the same fact, whoever signed it.
    const equal = await Promise.all(
      outcomes.map(async (outcome, at) => {
        const write = writes[at];
        if (outcome !== 'stale' || !write) return outcome;
        const kept = await core.storage.getManifest(write.version);
        return kept?.sequence === write.sequence && kept.wrapEpoch === write.wrapEpoch ? 'present' : outcome;
      }),
    );
    return { answer: { outcomes: equal } };
  };

export const servingHandlers = (core: NodeCore): Handlers => ({
  'chunk.read': readHandler(core),
  'chunk.hold': holdHandler(core),
  'chunk.list': chunkListHandler(core),
  'manifest.store': manifestStoreHandler(core),
  'manifest.read': manifestReadHandler(core),
  'manifest.list': manifestListHandler(core),
  'manifest.index': manifestIndexHandler(core),
});
