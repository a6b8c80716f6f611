// The snapshot that a query about star systems is made on: every live catalogue as of one step of the registry, the
// plan to reach its chunks, and tickets. Invariant: what it names is durable; a pending name is finished before it is
// told, as in every answer about names. It reads no chunk and knows nothing of indexes.
import { OperaError } from '../../errors/errors.ts';
import type { KeyHash } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import type { AnswerOf, RequestOf } from '../../wire/routes.ts';
import type { MasterCore } from './core.ts';
import type { ManifestWriter } from './durable.ts';
import { planPart, ticketFor } from './plans.ts';

type Answer = AnswerOf<'catalogue.list'>;

/** What stands in an answer of one catalogue besides its name: a version, two numbers, and the words around them. */
const restBytes = 120;

/** One answer carries the whole snapshot: in pages it would be of several instants. */
const checkLength = (catalogues: Answer['catalogues']): void => {
  const bytes = catalogues.reduce((sum, { name }) => sum + restBytes + Buffer.byteLength(JSON.stringify(name)), 0);
  if (bytes <= limits.catalogueListBytes) return;
  const many = `the names of ${catalogues.length} catalogues do not fit one answer`;
  throw new OperaError('too-large', `${many}; restrict the query to a part of them`);
};

const inGroups = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size));

/** `too-large` when there are more than limits.cataloguesMax, or their names are longer than one answer. */
export const listCatalogues = async (
  core: MasterCore,
  writer: ManifestWriter,
  client: KeyHash,
  { haveLayout, prefix = '' }: RequestOf<'catalogue.list'>,
): Promise<Answer> => {
  // Layouts only say whom to ask first: they need not be of the same instant as the names, and are long to read.
  const [view, life, found] = await Promise.all([
    core.recentView(),
    core.life(),
    core.registry.listCatalogues({ prefix, max: limits.cataloguesMax }),
  ]);
  const catalogues = found.map(({ name, version, sequence, chunkCount }) => ({ name, version, sequence, chunkCount }));
  checkLength(catalogues);
  const pending = new Set(found.flatMap((entry) => entry.pending ?? []));
  for (const group of inGroups([...pending], limits.stepChangesMax)) await writer.finishAll(group);
  const at = { layoutNumber: view.newest.number, incarnation: life.incarnation };
  const tickets = inGroups(catalogues, limits.ticketVersionsMax).map((group) => {
    const versions = group.map(({ version }) => version);
    return { ...ticketFor(core, 'query', client, versions, at) };
  });
  return { ...planPart(core, view, life, haveLayout), catalogues, goodForMs: limits.snapshotGoodMs, tickets };
};
