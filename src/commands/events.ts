// `opera events`: what happened in the network, oldest first: members, layouts, failures, repairs. Events of one
// failure, from its detection to the end of its repair, carry the same cause id. `--follow` goes on until it is
// interrupted.
import type { Connection } from '../client/connection.ts';
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import { formatDuration } from '../model/units.ts';
import { formatTime } from '../runtime/clock.ts';
import type { Clock } from '../runtime/clock.ts';
import type { AnswerOf } from '../wire/routes.ts';
import { withConnection } from './_connection.ts';
import type { Style } from './_table.ts';
import { defineVerb } from './_verb.ts';

type NetworkEvent = AnswerOf<'event.list'>['events'][number];

/** Events of one request. */
const pageSize = 1_000;

/** Characters of a cause id that are shown: enough to tell ten thousand apart. */
const shownCause = 8;

/** What an operator should look at is coloured; the rest is history. */
const styleOf = (kind: string): Style | undefined => {
  if (/^alarm-|-down$|-out$|-quarantined$|^registry-made-again$/.test(kind)) return 'bad';
  return /-complete$|-settled$|-up$|-released$|^back-to-normal$/.test(kind) ? 'good' : undefined;
};

const factsOf = ({ facts }: NetworkEvent): string =>
  Object.entries(facts)
    .map(([key, value]) =>
      key.endsWith('Ms') ? `${key.slice(0, -2)}=${formatDuration(Number(value))}` : `${key}=${value}`,
    )
    .join(' ');

interface Wanted {
  readonly follow: boolean;
  readonly sinceMs: number;
  readonly cause: string | undefined;
  readonly kinds: ReadonlySet<string>;
}

const read = async function* (
  connection: Connection,
  wanted: Wanted,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<NetworkEvent, void, void> {
  for (let after: string | undefined; ; ) {
    const request = { limit: pageSize, ...(after === undefined ? {} : { after }) };
    const { events } = await connection.call('event.list', request, { signal });
    for (const event of events) {
      after = event.id;
      if (event.atMs < wanted.sinceMs) continue;
      if (wanted.cause !== undefined && !event.causeId.startsWith(wanted.cause)) continue;
      if (wanted.kinds.size > 0 && !wanted.kinds.has(event.kind)) continue;
      yield event;
    }
    if (events.length === pageSize) continue;
    if (!wanted.follow) return;
    await clock.sleep(limits.probeIntervalMs, { signal });
  }
};

export const command = defineVerb({
  examples: [
    'opera events --since 1h',
    'opera events --follow',
    'opera events --cause 5f2a',
    'opera events --kind layout-made --json',
  ],
  details:
    'A failure and all that follows from it, until every copy is back, have one cause id. At least the newest 10,000 ' +
    'events are kept; they are lost with the registry.',
  flags: {
    follow: { type: 'boolean', short: 'f', summary: 'go on with what happens from now on' },
    since: { type: 'duration', summary: 'only what happened so long ago or later' },
    cause: { type: 'string', placeholder: 'ID', summary: 'only events of this cause; its first characters suffice' },
    kind: { type: 'string', placeholder: 'KIND', repeatable: true, summary: 'only events of this kind' },
  },
  run: async (context) => {
    const { flags, io, clock, signal } = context;
    if (flags.cause !== undefined && !/^[0-9a-f]{1,32}$/.test(flags.cause)) {
      throw new OperaError('usage', `--cause takes hexadecimal characters, not ${JSON.stringify(flags.cause)}`);
    }
    const wanted: Wanted = {
      follow: flags.follow,
      sinceMs: flags.since === undefined ? 0 : clock.nowMs() - flags.since,
      cause: flags.cause,
      kinds: new Set(flags.kind),
    };
    await withConnection(context, async (connection) => {
      const events = read(connection, wanted, clock, signal);
      if (io.json) {
        for await (const { atMs, id, kind, causeId, memberId, facts } of events) {
          const value = { id, at: formatTime(atMs), kind, causeId, memberId: memberId ?? null, facts };
          await io.record(value, kind, id);
        }
        return;
      }
      // A table shows its first page when it is full: who follows wants each event at once.
      if (flags.follow && io.isTerminal && !io.quiet) {
        for await (const event of events) {
          const { atMs, causeId, kind, memberId } = event;
          const style = styleOf(kind) ?? 'bold';
          const rest = `  ${memberId ?? '-'}  ${factsOf(event)}`;
          await io.line(`${formatTime(atMs)}  ${causeId.slice(0, shownCause)}  `, [style, kind], rest);
        }
        return;
      }
      await io.table(
        [
          { key: 'at', kind: 'time', value: ({ atMs }: NetworkEvent) => atMs },
          { key: 'cause', id: true, value: ({ causeId }) => causeId.slice(0, shownCause) },
          { key: 'kind', value: ({ kind }) => kind, style: ({ kind }) => styleOf(kind) },
          { key: 'member', value: ({ memberId }) => memberId },
          { key: 'facts', value: factsOf },
        ],
        events,
      );
    });
  },
});
