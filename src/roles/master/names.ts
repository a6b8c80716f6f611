// Answers about names: manifests of files, pages of listings, the copies of a file. Names are never cached here, and
// a name that is pending is finished first, so that nobody sees what could still be lost.
import { parseManifest, verifyManifest } from '../../crypto/manifest.ts';
import { OperaError } from '../../errors/errors.ts';
import type { KeyHash } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { parseWireName } from '../../model/names.ts';
import { readersOf } from '../../placement/coverage.ts';
import { partitionOf } from '../../placement/partition.ts';
import type { NameRecord } from '../../registry/registry.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { WireNameRecord } from '../../wire/messages-names.ts';
import type { AnswerOf, RequestOf } from '../../wire/routes.ts';
import type { MasterCore, View } from './core.ts';
import type { ManifestWriter } from './durable.ts';
import { listCopies } from './holdings.ts';
import { NamePage, toWireRecord } from './name-page.ts';
import { planPart, ticketFor } from './plans.ts';

/** Upper bounds of the bytes that a chunk, and each of its copies, take in an answer. */
const chunkPlaceBytes = 80;
const copyPlaceBytes = 160;

export class Names {
  readonly #core: MasterCore;
  readonly #writer: ManifestWriter;

  constructor(core: MasterCore, writer: ManifestWriter) {
    this.#core = core;
    this.#writer = writer;
  }

  async get(client: KeyHash, request: RequestOf<'name.get'>): Promise<AnswerOf<'name.get'>> {
    const names = request.names.map((name) => parseWireName(name));
    const [view, life] = await Promise.all([this.#core.view(), this.#core.life()]);
    const page = new NamePage((record) => this.#toWire(view, record));
    const whole = await page.add(await this.#read(names));
    const { records } = page;
    const versions = records.flatMap((record) => (record ? [record.version] : []));
    const at = { layoutNumber: view.newest.number, incarnation: life.incarnation };
    return {
      ...planPart(this.#core, view, life, request.haveLayout),
      records,
      ...(whole ? {} : { more: true }),
      ...(versions.length > 0 ? { ticket: { ...ticketFor(this.#core, 'get', client, versions, at) } } : {}),
    };
  }

  async list(request: RequestOf<'name.list'>): Promise<AnswerOf<'name.list'>> {
    await this.#core.life();
    const { prefix, limit } = request;
    let { after } = request;
    // Without names no layout is needed, and a network without nodes has none.
    let view: View | undefined;
    const answer = new NamePage(async (record) => this.#toWire((view ??= await this.#core.view()), record));
    for (;;) {
      const step = Math.min(limit - answer.records.length, limits.listStepMax);
      const query = { prefix, limit: step, ...(after === undefined ? {} : { after }) };
      const page = await this.#core.registry.listNames(query);
      const pending = page.records.flatMap((record) => (record.pending === undefined ? [] : [record.pending]));
      await this.#writer.finishAll([...new Set(pending)]);
      const whole = await answer.add(page.records);
      const records = answer.records.filter((record) => record !== null);
      after = whole ? page.next : records.at(-1)?.name;
      if (after === undefined) return { records };
      if (!whole || records.length >= limit) return { records, next: after };
    }
  }

  async where(request: RequestOf<'name.where'>): Promise<AnswerOf<'name.where'>> {
    const [view, found] = await Promise.all([this.#core.view(), this.#read([parseWireName(request.name)])]);
    const record = found[0];
    if (!record) throw new OperaError('not-found', 'no file has that name');
    const { version, chunkCount } = record;
    const from = Math.min(request.from, chunkCount);
    const range = { version, from, to: Math.min(chunkCount, from + request.limit) };
    const memberIds = new Map(view.members.map(({ keyHash, memberId }) => [keyHash, memberId]));
    const places = (await listCopies(this.#core, view, range)).map(({ index, partition, copies }) => ({
      index,
      partition,
      copies: copies.flatMap(({ keyHash, owner, state, verifiedMs }) => {
        const memberId = memberIds.get(keyHash);
        return memberId ? [{ memberId, owner, state, ...(verifiedMs > 0 ? { verifiedMs } : {}) }] : [];
      }),
    }));
    let bytes = 0;
    const chunks = places.filter(({ copies }) => {
      bytes += chunkPlaceBytes + copies.length * copyPlaceBytes;
      return bytes <= limits.messageBytesMax / 2;
    });
    return { version, chunkCount, chunks, nodes: this.#core.nodesOf(view), layoutNumber: view.newest.number };
  }

  /**
   * Records in the order asked, as durable as they look: read first, and what is pending then is finished before they
   * are told. The other way round a change that came in between would be seen and could still be lost.
   */
  async #read(names: readonly string[]): Promise<readonly (NameRecord | undefined)[]> {
    const { registry } = this.#core;
    const records = await registry.getNames(names);
    const pending = await registry.listPendingOf(names);
    await this.#writer.finishAll(pending.map(({ sequence }) => sequence));
    return records;
  }

  async #toWire(view: View, record: NameRecord): Promise<WireNameRecord> {
    return toWireRecord(record, record.body ?? (await this.#readBody(view, record)));
  }

  /** A long body from the owners of chunk 0: the manifest of exactly this sequence, rightly signed. */
  async #readBody(view: View, record: NameRecord): Promise<Uint8Array> {
    const { context } = this.#core;
    const newestFirst = view.layouts.map(({ layout }) => layout).reverse();
    for (const owner of readersOf(newestFirst, partitionOf(record.version, 0))) {
      const to = this.#core.destination(view, owner);
      if (!to) continue;
      try {
        const { answer } = await context.transport.call(to, 'manifest.read', { versions: [record.version] });
        const found = answer.manifests[0];
        if (!found) continue;
        const manifest = parseManifest(found.bytes);
        verifyManifest(manifest, found.signerSpki);
        const byMaster = context.rosters.roster.byKeyHash.get(manifest.signer)?.role === 'master';
        if (byMaster && manifest.version === record.version && manifest.sequence === record.sequence) {
          return manifest.body;
        }
      } catch (error) {
        context.log.warn('manifest-unread', { node: owner, ...errorFacts(error) });
      }
    }
    throw new OperaError('unavailable', 'no owner of the manifest answered');
  }
}
