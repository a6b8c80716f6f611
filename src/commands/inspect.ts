// `opera inspect PATH [SQL]`: looks into a node's data on this machine with the member's own keys. Offline and
// read-only: no network is asked, nothing is written. The work is done in a thread (_inspect-service.ts).
import { openHome } from '../client/home.ts';
import { type ErrorCode, isOperaError, OperaError } from '../errors/errors.ts';
import { formatCount } from '../model/units.ts';
import { startWorker } from '../runtime/worker.ts';
import type { IndexLook, StoreLook } from './_inspect-overview.ts';
import type { Batch, Begun, InspectCell, InspectLook, InspectOptions, Told } from './_inspect-service.ts';
import { endBySignal } from './_host.ts';
import type { Fact, Output } from './_output.ts';
import type { Cell, Column } from './_table.ts';
import { defineVerb, type VerbBase } from './_verb.ts';

/** Rows that cross from the thread at once. */
const batchRows = 500;
/** Things that do not open and are named; the last line says how many there are. */
const namedMax = 50;

/** How long the thread has to end when the verb is to end; then the process ends with it. */
const endGraceMs = 2_000;

const hints: Partial<Record<ErrorCode, string>> = {
  'unknown-key': "This member was not told of newer keys yet: run opera keys ls first, or name the node's own --home",
  integrity: 'A running node mends its copies by itself: see opera repair, opera verify and opera index rebuild',
};

/** The calling side of the worker service `inspect`. */
interface Inspection {
  look(): Promise<InspectLook>;
  begin(sql: string): Promise<Begun>;
  next(): Promise<Batch>;
  /** Prints what is to be told now; answers what did not open so far. */
  tell(): Promise<Told>;
}

const withInspection = async <T>(
  { io, signal, config, clock }: Pick<VerbBase, 'io' | 'signal' | 'config' | 'clock'>,
  path: string,
  use: (inspection: Inspection) => Promise<T>,
): Promise<T> => {
  const { keys, rosters } = await openHome(config.home);
  if (!keys.hasKeys) {
    throw new OperaError('unknown-key', 'this member holds no network keys', {
      hint: 'Name the home of a client, an operator, a gateway or the node itself with --home',
    });
  }
  const { keyring } = keys;
  const nodes = rosters.roster.members.filter(({ role }) => role === 'node').map(({ keyHash }) => keyHash);
  const epochs = keyring.epochs.map((epoch) => ({ epoch, key: keyring.key(epoch) }));
  const worker = startWorker('inspect', {
    path,
    network: keyring.network,
    keys: epochs,
    nodes,
  } satisfies InspectOptions);
  const call = async (method: string, ...args: readonly unknown[]): Promise<unknown> => {
    try {
      return await worker.call(method, args);
    } catch (error) {
      signal.throwIfAborted();
      const hint = isOperaError(error) ? hints[error.code] : undefined;
      throw isOperaError(error) && error.hint === undefined && hint !== undefined
        ? new OperaError(error.code, error.message, { cause: error, hint })
        : error;
    }
  };
  let stopEnding = (): void => undefined;
  // A statement may run for hours without an answer. Between rows it is cut off; inside SQLite no thread can be ended,
  // and process.exit would wait for it.
  const end = (): void => {
    void worker.close();
    stopEnding = clock.after(endGraceMs, () => endBySignal(signal.reason));
  };
  signal.addEventListener('abort', end, { once: true });
  let named = 0;
  try {
    return await use({
      look: async () => (await call('look')) as InspectLook,
      begin: async (sql) => (await call('begin', sql)) as Begun,
      next: async () => (await call('next', batchRows)) as Batch,
      tell: async () => {
        const told = (await call('told')) as Told;
        for (const sentence of told.sentences) {
          named += 1;
          if (named <= namedMax) io.warn(sentence);
        }
        return told;
      },
    });
  } finally {
    signal.removeEventListener('abort', end);
    await worker.close();
    stopEnding();
  }
};

/** Exit 7 when something did not open; all of one kind keep their code, which says what to do. */
const endWith = ({ unopened, codes }: Told): void => {
  if (unopened === 0) return;
  const [first] = codes;
  const code = first === 'unknown-key' && codes.length === 1 ? first : 'integrity';
  const hint = hints[code];
  const what = unopened === 1 ? 'one thing does not open' : `${unopened} things do not open`;
  throw new OperaError(code, `${what}; the rest is shown`, hint === undefined ? {} : { hint });
};

type Row = readonly InspectCell[];

/** Integers that a double holds are numbers in JSON, too; larger ones are text there. */
const cellOf = (cell: InspectCell | undefined): Cell => {
  if (typeof cell === 'bigint' && BigInt(Number(cell)) === cell && Number.isSafeInteger(Number(cell)))
    return Number(cell);
  return cell ?? undefined;
};

/** Columns of an answer: each key once, numbers aligned as numbers when the first row has them. */
const columnsOf = (names: readonly string[], first: Row | undefined): Column<Row>[] => {
  const used = new Set<string>();
  return names.map((name, at) => {
    let key = name;
    for (let next = 2; used.has(key); next++) key = `${name}_${next}`;
    used.add(key);
    const kind = typeof first?.[at] === 'number' || typeof first?.[at] === 'bigint' ? 'number' : 'text';
    return { key, title: key, kind, value: (row) => cellOf(row[at]) };
  });
};

const runSql = async (io: Output, inspection: Inspection, sql: string): Promise<void> => {
  const { columns, catalogues, catalogueChunks } = await inspection.begin(sql);
  if (/star_systems_open/i.test(sql)) {
    const chunks = formatCount(catalogueChunks, 'chunk');
    io.note(`opening ${chunks} of ${formatCount(catalogues, 'catalogue')}, as far as they are asked for`);
  } else if (/files_open/i.test(sql)) io.note('opening the manifests that are here');
  let batch = await inspection.next();
  const [first] = batch.rows;
  const rows = async function* (): AsyncGenerator<Row, void, void> {
    for (;;) {
      yield* batch.rows;
      await inspection.tell();
      if (batch.done) return;
      batch = await inspection.next();
    }
  };
  await io.table(columnsOf(columns, first), rows());
};

const storeFacts = (store: StoreLook): Fact[] => [
  ['node.db', store.path],
  ['store id', store.storeId],
  ['chunks', store.chunks, 'number'],
  ['chunk bytes', store.chunkBytes, 'bytes'],
  store.aside > 0 ? ['set aside', store.aside, 'number', 'warn'] : ['set aside', store.aside, 'number'],
  ['partitions', store.partitions, 'number'],
  ['manifests', `${store.live} live, ${store.dead} dead`],
  ['key epochs', store.wraps.map(({ epoch, manifests }) => `${epoch} (${formatCount(manifests, 'manifest')})`)],
  ['files', `${store.files} open, ${store.removed} removed, ${store.renamed} renamed`],
  ...unopenedFact('manifests that do not open', store.filesUnopened),
  ['catalogues', `${store.catalogues} open, in ${formatCount(store.catalogueChunks, 'chunk')}`],
  ...unopenedFact('notes that do not open', store.cataloguesUnopened),
];

const unopenedFact = (label: string, count: number): Fact[] => (count > 0 ? [[label, count, 'number', 'bad']] : []);

const indexFacts = (index: IndexLook): Fact[] => [
  ['index.db', index.path],
  ['mode', index.mode],
  ['field table', index.fields, 'number'],
  [
    'index key',
    index.mode === 'plain' ? 'none' : index.keyOpens ? `opens, of node ${index.node ?? ''}` : 'does not open',
  ],
  ['indexed chunks', index.runs, 'number'],
  ...unopenedFact('that do not open', index.runsUnopened),
  ['of chunks held here', index.vouched, 'number'],
  ['records', `${index.indexed} indexed, ${index.flagged} flagged, ${index.rejected} rejected`],
  ['pages', index.pages, 'number'],
  ['page bytes', index.pageBytes, 'bytes'],
];

export const command = defineVerb({
  examples: [
    'opera inspect DIR/node-1  # what is there, and whether it opens',
    'opera inspect DIR/node-1 "select name, size, state from files_open"',
    'opera inspect DIR/node-1/node.db "select * from star_systems_open limit 9"',
    "opera inspect DIR/index.db 'select version, indexed from runs'",
  ],
  arguments: [
    { name: 'path', summary: "a node's data folder, its node.db or its index.db" },
    { name: 'sql', summary: 'one SQLite statement that only reads', optional: true },
  ],
  details:
    'Opens the files with the keys of the home in use, on this machine: no network is asked, nothing is written, and ' +
    'the node may be running. node.db is attached as node, index.db as idx; their tables need no prefix.\n' +
    'files_open has a row for each manifest of the node, of older versions and removed files, too: ' +
    'name, version, state, kind, size, type, created, modified, sequence, written, follows, incarnation, catalogue, ' +
    'chunks, chunks_here, records, key_epoch, signer.\n' +
    'star_systems_open has a row for each star system in the chunks that the node holds: file, version, chunk_index, ' +
    'ordinal, the fields of docs/catalogues.md, aliases. With an argument it reads one file, by name or version: ' +
    "star_systems_open('near.csv').\n" +
    'What does not open is named on standard error, the rest is shown, and the exit code is 7.',
  run: async (context) => {
    const { io, args } = context;
    await withInspection(context, args.path, async (inspection) => {
      if (args.sql === undefined) {
        const look = await inspection.look();
        const facts = [...(look.store ? storeFacts(look.store) : []), ...(look.index ? indexFacts(look.index) : [])];
        await io.document({ store: look.store ?? null, index: look.index ?? null }, { facts });
      } else await runSql(io, inspection, args.sql);
      endWith(await inspection.tell());
    });
  },
});
