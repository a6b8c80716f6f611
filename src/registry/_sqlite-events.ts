// The cluster's timeline in the embedded registry: a bounded list, oldest dropped first.
// Each function runs inside the transaction of its caller. Facts are kept as JSON text that a person can read.
import type { MemberId } from '../model/ids.ts';
import { eventsKept, parseEventId } from './_check.ts';
import type { StepContext } from './_sqlite-database.ts';
import type { ClusterEvent, StoredEvent } from './events.ts';

interface EventRow {
  readonly id: number;
  readonly at_ms: number;
  readonly kind: string;
  readonly cause_id: string;
  readonly member_id: MemberId | null;
  readonly facts: string;
}

export const appendEvent = ({ rows }: StepContext, event: ClusterEvent): void => {
  const { atMs, kind, causeId, memberId = null, facts } = event;
  const sql = 'INSERT INTO events (at_ms, kind, cause_id, member_id, facts) VALUES (?, ?, ?, ?, ?)';
  rows.run(sql, atMs, kind, causeId, memberId, JSON.stringify(facts));
  rows.run('DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?', eventsKept);
};

export const listEvents = ({ rows }: StepContext, after: string | undefined, limit: number): readonly StoredEvent[] => {
  const found = rows.all<EventRow>('SELECT * FROM events WHERE id > ? ORDER BY id LIMIT ?', parseEventId(after), limit);
  return found.map((row) => ({
    id: String(row.id),
    atMs: row.at_ms,
    kind: row.kind,
    causeId: row.cause_id,
    memberId: row.member_id ?? undefined,
    facts: JSON.parse(row.facts) as StoredEvent['facts'],
  }));
};
