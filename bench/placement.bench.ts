// How evenly, how cheaply and how fast the planner places: a table for 3 to 100 nodes and one row for 1,000.
// Fixed keys, equal weights, R = 3, 4,096 partitions. It judges nothing: limits are tested in test/placement.
import { createHash } from 'node:crypto';
import { cpus } from 'node:os';
import { type KeyHash, parseKeyHash, parseVersionId } from '../src/model/ids.ts';
import { noOwner, type OwnerTable, ownersOf } from '../src/placement/layout.ts';
import { partitionCount, partitionOf } from '../src/placement/partition.ts';
import { type PlacementMember, planLayout } from '../src/placement/plan.ts';
import { formatTime, SystemClock } from '../src/runtime/clock.ts';

const clock = new SystemClock();
const print = (line: string): void => void process.stdout.write(`${line}\n`);

const keyOf = (number: number): KeyHash =>
  parseKeyHash(createHash('sha256').update(`bench node ${number}`).digest('hex'));
const membersOf = (count: number): PlacementMember[] =>
  Array.from({ length: count }, (_, number) => ({ keyHash: keyOf(number), weight: 1e12, zone: '' }));

const settings = { copies: 3, writeCopies: 2, partitions: partitionCount, reason: 'remove' } as const;

const timed = <T>(work: () => T): { value: T; ms: number } => {
  const start = clock.monotonicMs();
  const value = work();
  return { value, ms: clock.monotonicMs() - start };
};

/** Fullest over mean, of copies or of firsts. */
const spreadOf = (table: OwnerTable, firstsOnly: boolean): number => {
  const counts = table.nodes.map(() => 0);
  let total = 0;
  table.owners.forEach((owner, slot) => {
    if (owner === noOwner || (firstsOnly && slot % table.copies !== 0)) return;
    counts[owner] = (counts[owner] ?? 0) + 1;
    total++;
  });
  return (Math.max(...counts) * counts.length) / total;
};

const lookupNs = (table: OwnerTable): number => {
  const rounds = 2_000_000;
  let found = 0;
  const { ms } = timed(() => {
    for (let round = 0; round < rounds; round++) found += ownersOf(table, round & (partitionCount - 1)).length;
  });
  return found > 0 ? (ms * 1e6) / rounds : 0;
};

const rowOf = (count: number): string[] => {
  const members = membersOf(count + 1);
  const first = timed(() => planLayout(undefined, members.slice(0, count), settings));
  const join = timed(() => planLayout(first.value, members, settings));
  const leave = timed(() => planLayout(join.value, members.slice(1), settings));
  const index = join.value.nodes.indexOf(keyOf(0));
  const lost = join.value.owners.reduce((total, owner) => total + (owner === index ? 1 : 0), 0);
  const share = (partitionCount * join.value.copies) / (count + 1);
  // With R nodes left every partition still has its copies, and nothing needs to move.
  const leaveRatio = leave.value.copies < join.value.copies ? 1 : leave.value.moved / lost;
  return [
    String(count),
    spreadOf(first.value, false).toFixed(3),
    spreadOf(leave.value, false).toFixed(3),
    spreadOf(leave.value, true).toFixed(3),
    (join.value.moved / share).toFixed(3),
    leaveRatio.toFixed(3),
    first.ms.toFixed(0),
    join.ms.toFixed(0),
    leave.ms.toFixed(0),
    lookupNs(first.value).toFixed(0),
  ];
};

const table = (rows: readonly (readonly string[])[]): void => {
  for (const [index, row] of rows.entries()) {
    print(`| ${row.join(' | ')} |`);
    if (index === 0) print(`|${row.map(() => '---:').join('|')}|`);
  }
};

print(`machine: ${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} cores, node ${process.version}`);
print(`date: ${formatTime(clock.nowMs()).slice(0, 10)}`);
print('');
planLayout(undefined, membersOf(20), settings);
table([
  [
    'nodes',
    'fullest/mean',
    'after join and leave',
    'firsts',
    'join: moved/least',
    'leave: moved/least',
    'plan ms',
    'join ms',
    'leave ms',
    'lookup ns',
  ],
  ...[3, 4, 5, 8, 10, 16, 32, 50, 64, 100, 1000].map(rowOf),
]);
const version = parseVersionId('000102030405060708090a0b0c0d0e0f');
const hashing = timed(() => {
  for (let chunk = 0; chunk < 100_000; chunk++) partitionOf(version, chunk);
});
print('');
print(`chunk address to partition (one SHA-256): ${((hashing.ms * 1e6) / 100_000).toFixed(0)} ns`);
