// `opera repair`: what is to be copied, what nodes found damaged, and what waits for what. Nodes repair by themselves;
// `--start` makes them compare and read back everything now instead of when their timers say so, and watches them.
import type { Connection } from '../client/connection.ts';
import { judge, type NetworkStatus } from '../client/verdict.ts';
import { OperaError } from '../errors/errors.ts';
import type { AnswerOf } from '../wire/routes.ts';
import { withConnection } from './_connection.ts';
import type { Column } from './_table.ts';
import { defineVerb } from './_verb.ts';

type Check = AnswerOf<'node.check'>['nodes'][number];

interface Row {
  readonly member: NetworkStatus['members'][number];
  readonly facts: NetworkStatus['nodes'][number] | undefined;
  readonly check: Check['check'];
}

/** The nodes are asked so often how far they are. */
const pollMs = 500;
const partitionsOfNode = 4_096;

const bad = (count: number | undefined): 'bad' | undefined => (count ? 'bad' : undefined);

const columns: readonly Column<Row>[] = [
  { key: 'id', id: true, value: ({ member }) => member.memberId },
  { key: 'state', value: ({ member }) => member.state },
  { key: 'toCopy', title: 'TO COPY', kind: 'number', value: ({ facts }) => facts?.repair.chunks },
  { key: 'toCopyBytes', title: 'BYTES', kind: 'bytes', value: ({ facts }) => facts?.repair.bytes },
  { key: 'verified', kind: 'number', value: ({ check }) => check?.verified },
  { key: 'altered', kind: 'number', value: ({ check }) => check?.altered, style: ({ check }) => bad(check?.altered) },
  { key: 'repaired', kind: 'number', value: ({ check }) => check?.repaired },
  { key: 'fetched', kind: 'number', value: ({ check }) => check?.pulled },
  { key: 'aside', kind: 'number', value: ({ check }) => check?.aside, style: ({ check }) => bad(check?.aside) },
  { key: 'conflicts', kind: 'number', value: ({ check }) => check?.conflicts },
  { key: 'unknown', kind: 'number', value: ({ check }) => check?.unknown },
  { key: 'damage', value: ({ check }) => check?.damage[0], style: () => 'bad' },
];

const look = async (connection: Connection, start: boolean, signal: AbortSignal) => {
  const { nodes } = await connection.call('node.check', { start }, { signal });
  const status = await connection.call('network.status', {}, { signal });
  const rows = status.members
    .filter(({ role, revoked, state }) => role === 'node' && !revoked && state !== 'removed')
    .map((member): Row => {
      const check = nodes.find(({ memberId }) => memberId === member.memberId)?.check;
      const facts = status.nodes.find(({ memberId }) => memberId === member.memberId);
      return { member, facts, check };
    });
  return { status, rows };
};

/** Partitions that are still to be compared or read back, of all nodes that answer. */
const leftOf = (rows: readonly Row[]): number =>
  rows.reduce((left, { check }) => {
    if (!check?.running) return left;
    return left + 2 * partitionsOfNode - check.compared - check.readBack;
  }, 0);

export const command = defineVerb({
  examples: ['opera repair', 'opera repair --start', 'opera repair --start --no-wait'],
  details:
    'Without flags it only shows. Missing copies are restored by themselves; nodes compare what they hold and read ' +
    'it back all the time at a low rate. With --start they do both now, as fast as their clients let them, and it ' +
    'ends when all have. Exit 8 when something is still to be copied. Exit 7 when an altered copy has no good one.',
  flags: {
    start: { type: 'boolean', summary: 'compare and read back everything now' },
    wait: { type: 'boolean', default: true, summary: 'wait until the nodes are done (with --start)' },
  },
  run: async (context) => {
    const { flags, io, clock, signal } = context;
    await withConnection(context, async (connection) => {
      let { status, rows } = await look(connection, flags.start, signal);
      const progress = io.progress({ label: 'check', unit: 'partitions' });
      try {
        const total = leftOf(rows);
        while (flags.start && flags.wait && rows.some(({ check }) => check?.running)) {
          progress.set(Math.max(0, total - leftOf(rows)), total);
          await clock.sleep(pollMs, { signal });
          ({ status, rows } = await look(connection, false, signal));
        }
      } finally {
        progress.end();
      }
      await io.table(columns, rows);
      const { reasons } = judge(status);
      if (status.wanted?.blocked !== undefined) io.note(`the next layout waits: ${status.wanted.blocked}`);
      const without = rows.reduce((sum, { check }) => sum + (check?.aside ?? 0), 0);
      if (without > 0) {
        throw new OperaError('integrity', `${without} altered copies are kept aside until a good copy is found`, {
          hint: 'See opera verify for the files, and bring nodes back that hold the other copies',
        });
      }
      if (reasons.length > 0) throw new OperaError('degraded', reasons.join('; '));
    });
  },
});
