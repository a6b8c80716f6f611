// What `index ls` and `index rebuild` share: how far the nodes' indexes of star systems are, and waiting until they are
// whole. The nodes build by themselves; nothing here keeps them from it, and ending the verb ends no rebuild.
import type { Connection } from '../client/connection.ts';
import { OperaError } from '../errors/errors.ts';
import type { MemberId } from '../model/ids.ts';
import { formatCount } from '../model/units.ts';
import type { AnswerOf } from '../wire/routes.ts';
import type { Column } from './_table.ts';
import type { VerbBase } from './_verb.ts';

/** A node as the gateway asked it; without `index` it did not answer. */
export type IndexRow = AnswerOf<'index.list'>['nodes'][number];

/** The nodes are asked so often how far they are. */
const pollMs = 500;
/** A node that misses so many answers in a row (5 s) is not waited for; it goes on when it is back. */
const missesMax = 10;

export const indexColumns: readonly Column<IndexRow>[] = [
  { key: 'id', id: true, value: ({ memberId }) => memberId },
  { key: 'address', value: ({ address }) => address },
  { key: 'mode', value: ({ index }) => index?.mode },
  { key: 'chunks', kind: 'number', value: ({ index }) => index?.chunks },
  { key: 'indexed', kind: 'number', value: ({ index }) => index?.indexed },
  { key: 'flagged', kind: 'number', value: ({ index }) => index?.flagged },
  { key: 'rejected', kind: 'number', value: ({ index }) => index?.rejected },
  {
    key: 'waiting',
    kind: 'number',
    value: ({ index }) => index?.waiting,
    style: ({ index }) => (index?.waiting ? 'warn' : undefined),
  },
  {
    key: 'failed',
    kind: 'number',
    value: ({ index }) => index?.failed,
    style: ({ index }) => (index?.failed ? 'bad' : undefined),
  },
  { key: 'size', kind: 'bytes', value: ({ index }) => index?.bytes },
  { key: 'failure', value: ({ index }) => index?.failure, style: () => 'bad' },
];

const waitingOf = (rows: readonly IndexRow[]): number =>
  rows.reduce((sum, { index }) => sum + (index?.waiting ?? 0), 0);

/**
 * Asks until no node among `rows` has a chunk waiting, and answers what they said last. Nodes that stopped answering
 * are given up after some seconds: their row has no `index`. `onWaiting` is told how many chunks wait.
 */
const waitForIndexes = async (
  { clock, signal }: Pick<VerbBase, 'clock' | 'signal'>,
  connection: Connection,
  rows: readonly IndexRow[],
  onWaiting: (chunks: number) => void,
): Promise<readonly IndexRow[]> => {
  let last = rows;
  const misses = new Map<string, number>();
  for (;;) {
    const isOpen = ({ memberId, index }: IndexRow): boolean =>
      index ? index.waiting > 0 : (misses.get(memberId) ?? 0) < missesMax;
    onWaiting(waitingOf(last));
    if (!last.some(isOpen)) return last;
    await clock.sleep(pollMs, { signal });
    const { nodes } = await connection.call('index.list', {}, { signal });
    const said = new Map(nodes.map(({ memberId, index }) => [memberId, index]));
    last = last.map(({ memberId, address }) => {
      const index = said.get(memberId);
      misses.set(memberId, index ? 0 : (misses.get(memberId) ?? 0) + 1);
      return { memberId, address, ...(index && { index }) };
    });
  }
};

/**
 * Has one node, or all, drop its index and build it anew; with `wait` until they have. Answers the nodes as they are
 * then. Throws `unavailable` when no node took the order.
 */
export const rebuildIndexes = async (
  { io, clock, signal }: Pick<VerbBase, 'io' | 'clock' | 'signal'>,
  connection: Connection,
  { memberId, wait }: { readonly memberId: MemberId | undefined; readonly wait: boolean },
): Promise<readonly IndexRow[]> => {
  const { nodes } = await connection.call('index.rebuild', memberId === undefined ? {} : { memberId }, { signal });
  const taken = nodes.filter(({ index }) => index !== undefined);
  if (nodes.length > 0 && taken.length === 0) {
    throw new OperaError('unavailable', memberId === undefined ? 'no node answered' : `${memberId} did not answer`, {
      hint: 'See opera nodes ls; what a node has of its index stays as it was',
    });
  }
  if (!wait) return nodes;
  const progress = io.progress({ label: 'index', unit: 'chunks' });
  let total = 0;
  try {
    const built = await waitForIndexes({ clock, signal }, connection, taken, (waiting) => {
      total = Math.max(total, waiting);
      progress.set(total - waiting, total);
    });
    return [...built, ...nodes.filter(({ index }) => index === undefined)];
  } finally {
    progress.end();
  }
};

/** What is not as it should be, for the exit code and the line on standard error; undefined when all is well. */
export const indexTrouble = (rows: readonly IndexRow[]): string | undefined => {
  const silent = rows.filter(({ index }) => index === undefined).map(({ memberId }) => memberId);
  const failed = rows.reduce((sum, { index }) => sum + (index?.failed ?? 0), 0);
  const reasons = [
    ...(silent.length > 0 ? [`no answer from ${silent.join(', ')}`] : []),
    ...(failed > 0 ? [`${formatCount(failed, 'chunk')} could not be indexed`] : []),
  ];
  return reasons.length > 0 ? reasons.join('; ') : undefined;
};
