// Names while the registry cannot say them: asked of all nodes after the request came in. The answer is given only when
// every acknowledged write must be in some node's answer, or when the reader said that an older one will do.
// Fewer than W′ nodes may be silent altogether: a write under a layout that nobody told this master of is on W′ nodes,
// so one of them answered and told of that layout. What too few nodes hold is written to W′ before it is told.
// It lists no names: nodes find a name, they do not order them.
import { OperaError } from '../../errors/errors.ts';
import type { KeyHash } from '../../model/ids.ts';
import { parseWireName } from '../../model/names.ts';
import { hasWriteQuorum, isCovered } from '../../placement/coverage.ts';
import { partitionCount, partitionOf } from '../../placement/partition.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { NameRecord } from '../../registry/registry.ts';
import type { AnswerOf, RequestOf } from '../../wire/routes.ts';
import { askNodes, type KnownLayouts, layoutsOf, type NodesView, soundOnes, type Witness } from './complete-view.ts';
import type { MasterCore, View } from './core.ts';
import type { ManifestWriter } from './durable.ts';
import { type FoundManifest, type ReadEvidence, readFound } from './evidence-pages.ts';
import { NamePage, toWireRecord } from './name-page.ts';
import { planPart, ticketFor } from './plans.ts';

interface Ground {
  readonly view: View;
  readonly nodes: NodesView;
  readonly layouts: KnownLayouts;
  readonly witnesses: readonly Witness[];
}

const away = (why: string): OperaError =>
  new OperaError('registry-unavailable', `the registry is out of reach, and the nodes cannot say it: ${why}`);

export class ViewNames {
  readonly #core: MasterCore;
  readonly #writer: ManifestWriter;
  readonly #needsComplete: boolean;

  /** Without `needsComplete` any view will do: for tests that must notice. */
  constructor(core: MasterCore, writer: ManifestWriter, needsComplete = true) {
    this.#core = core;
    this.#writer = writer;
    this.#needsComplete = needsComplete;
  }

  async get(client: KeyHash, request: RequestOf<'name.get'>): Promise<AnswerOf<'name.get'>> {
    const names = request.names.map((name) => parseWireName(name));
    const { view: last, life } = this.#core.last;
    if (!last || !life) throw away('this master never reached it');
    const ground = await this.#ground(last);
    const stale = request.staleOk === true || !this.#needsComplete;
    const found = await this.#find(ground, names, stale);
    const read = await this.#read(ground, names, found, stale);
    const page = new NamePage(async (record) => {
      if (!record.body) throw new OperaError('internal', 'a manifest without its body');
      return toWireRecord(record, record.body);
    });
    const whole = await page.add(read);
    const versions = page.records.flatMap((record) => (record ? [record.version] : []));
    const incarnation = Math.max(life.incarnation, ground.nodes.incarnation);
    const at = { layoutNumber: ground.view.newest.number, incarnation };
    return {
      ...planPart(this.#core, ground.view, { ...life, incarnation }, request.haveLayout),
      records: page.records,
      ...(whole ? {} : { more: true }),
      ...(versions.length > 0 ? { ticket: { ...ticketFor(this.#core, 'get', client, versions, at) } } : {}),
    };
  }

  /** Who answers now, and the layouts they know: this master's own may be old. */
  async #ground(last: View): Promise<Ground> {
    const nodes = await askNodes(this.#core, last.members, 0);
    const unretired = last.layouts.map(({ stored }) => stored);
    const layouts = layoutsOf(this.#core, nodes.witnesses, { unretired, retiredUpTo: last.retiredUpTo });
    const held = layouts.stored.flatMap((stored, at) => {
      const layout = layouts.tables[at];
      return layout ? [{ stored, layout }] : [];
    });
    const newest = layouts.tables.at(-1);
    if (!newest) throw away('no layout is known');
    const { retiredUpTo } = layouts;
    const view = { layouts: held, newest, retiredUpTo, members: last.members };
    return { view, nodes, layouts, witnesses: soundOnes(nodes.witnesses) };
  }

  /** Of each name the manifest with the highest sequence, and who holds it. */
  async #find(ground: Ground, names: readonly string[], stale: boolean): Promise<(FoundManifest | undefined)[]> {
    const { transport, log } = this.#core.context;
    const answered = new Set<KeyHash>();
    const found = names.map((): FoundManifest | undefined => undefined);
    await Promise.all(
      ground.witnesses.map(async ({ keyHash, to }) => {
        try {
          const { answer } = await transport.call(to, 'evidence.find', { names: [...names] });
          for (const [at, entry] of answer.found.entries()) {
            if (!entry || at >= names.length) continue;
            const { version, sequence } = entry;
            const best = found[at];
            if (!best || sequence > best.sequence) {
              found[at] = { version, partition: partitionOf(version, 0), sequence, holders: new Set([keyHash]) };
            } else if (sequence === best.sequence && version === best.version) {
              best.holders.add(keyHash);
            }
          }
          if (answer.whole) answered.add(keyHash);
        } catch (error) {
          log.debug('name-unfound', { node: keyHash, ...errorFacts(error) });
        }
      }),
    );
    if (!stale) this.#requireComplete(ground, answered);
    else if (answered.size === 0) throw away('no node answers');
    return found;
  }

  #requireComplete({ nodes, layouts: { tables } }: Ground, answered: ReadonlySet<KeyHash>): void {
    const asked = nodes.witnesses.length + nodes.silent.length;
    const silent = asked - answered.size;
    const least = Math.min(...tables.map(({ writeCopies }) => writeCopies));
    if (silent >= least) throw away(`${silent} of ${asked} nodes are silent`);
    if (this.#core.known.layoutNumber > (tables.at(-1)?.number ?? 0)) throw away('no node knows the newest layout');
    for (let partition = 0; partition < partitionCount; partition++) {
      if (!isCovered(tables, partition, answered))
        throw away('some of the data is not covered by the nodes that answer');
    }
  }

  async #read(
    ground: Ground,
    names: readonly string[],
    found: readonly (FoundManifest | undefined)[],
    stale: boolean,
  ): Promise<(NameRecord | undefined)[]> {
    const some = found.filter((entry): entry is FoundManifest => entry !== undefined);
    const read = new Map<FoundManifest, ReadEvidence>();
    for (const entry of await readFound(this.#core, ground.witnesses, some)) read.set(entry.found, entry);
    if (!stale) await this.#makeDurable(ground, [...read.values()]);
    return names.map((name, at): NameRecord | undefined => {
      const entry = found[at];
      if (!entry) return undefined;
      const evidence = read.get(entry);
      if (evidence?.name !== name) throw away('a manifest moved on meanwhile');
      const { manifest, chunkCount, catalogue = false } = evidence;
      if (manifest.state === 'dead') return undefined;
      const { version, sequence, incarnation, operationId, body, wrap } = manifest;
      const facts = { name, version, sequence, incarnation, operationId, chunkCount, catalogue };
      return { ...facts, body, wrap, pending: undefined };
    });
  }

  async #makeDurable({ view, nodes, layouts: { tables } }: Ground, read: readonly ReadEvidence[]): Promise<void> {
    const weak = read.filter(({ found }) => !hasWriteQuorum(tables, found.partition, found.holders));
    if (weak.length === 0) return;
    const manifests = weak.map(({ manifest }) => manifest);
    const written = await this.#writer.spread(view, nodes.incarnation, manifests);
    // A rename that was begun: the version has a newer name already, which others may have seen.
    if (written.some(({ overtaken }) => overtaken)) throw away('a name moves just now');
    if (written.some(({ durable }) => !durable))
      throw new OperaError('write-quorum', 'too few nodes have the name yet');
  }
}
