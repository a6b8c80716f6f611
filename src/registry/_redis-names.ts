// Arguments of the scripts about names, in the order their headers state, and the public keys as others read them.
// Pure but for readPublicKeys and placementWork, which get their commands handed in.
import { limits } from '../model/limits.ts';
import { parseVersionId } from '../model/ids.ts';
import { wrapEpoch } from './_check.ts';
import type { PlaceableFile, PlacementWork } from './_rebuild.ts';
import { listOf, numberOf, packRecord, textOf } from './_redis-codec.ts';
import type { Argument } from './_redis-connection.ts';
import { publicDataPattern, publicKeys } from './keys.ts';
import type { NameChange, NameQuery, SealedBody } from './registry.ts';
import type { RestoreStep } from './restore.ts';

/** Names moved in one script: it blocks every other client of Redis for a few milliseconds. */
const pageNames = 200;
const scanCount = 1000;

const unique = (nodes: readonly string[]): readonly string[] => [...new Set(nodes)];

/** True as the scripts and hashes have it; anything else is false. */
const flag = (value: boolean | undefined): string => (value ? '1' : '');

const withNodes = (nodes: readonly string[]): readonly Argument[] => {
  const owners = unique(nodes);
  return [owners.length, ...owners];
};

const encodeSealed = ({ version, follows, body, wrap }: SealedBody): readonly Argument[] => {
  return [version, follows, wrapEpoch(wrap), body, wrap];
};

/** See commit.lua. */
export const encodeChange = (change: NameChange): readonly Argument[] => {
  const { kind, operationId, name, condition, sealed } = change;
  const to = change.kind === 'rename' ? change.to : '';
  const head = [kind, operationId, name, to, condition?.ifAbsent ? '1' : '', condition?.ifVersion ?? ''];
  const tail =
    change.kind === 'put'
      ? [change.chunkCount, flag(change.catalogue), ...withNodes(change.nodes)]
      : change.kind === 'rename'
        ? encodeSealed(change.tombstone)
        : [];
  return [...head, ...encodeSealed(sealed), ...tail];
};

/** See restore.lua; without the run id. */
export const encodeRestore = (step: RestoreStep): readonly Argument[] => {
  const { incarnation, sequence = 0n, leaseEpoch = 0n, retiredUpTo = 0, epoch = '' } = step;
  const { layouts = [], dead = [], operations = [], names = [] } = step;
  return [
    ...[incarnation, sequence, leaseEpoch, retiredUpTo, epoch, limits.outcomeKeptMs / 1_000],
    ...[layouts.length, ...layouts.flatMap(({ number, layout }) => [number, packRecord(layout)])],
    ...[dead.length, ...dead.flatMap((entry) => [entry.name, entry.sequence])],
    ...[operations.length, ...operations.flatMap((entry) => [entry.operationId, entry.sequence, entry.incarnation])],
    ...names.flatMap((entry) => [
      ...[entry.name, entry.version, entry.sequence, entry.incarnation, entry.operationId, entry.chunkCount],
      ...[flag(entry.catalogue), entry.body, entry.body.length > limits.manifestBodyBytesKept ? '' : '1', entry.wrap],
      ...withNodes(entry.nodes),
    ]),
  ];
};

const bound = (sign: '[' | '(', text: string, end: readonly number[] = []): Uint8Array =>
  Buffer.concat([Buffer.from(sign), Buffer.from(text), Buffer.from(end)]);

/** The range of a page for ZRANGEBYLEX. No UTF-8 holds the byte FF: prefix ‖ FF is above all names of a prefix. */
export const pageBounds = ({
  prefix,
  after = '',
}: Pick<NameQuery, 'prefix' | 'after'>): readonly [Uint8Array, Uint8Array] => {
  const isAfter = Buffer.compare(Buffer.from(after), Buffer.from(prefix)) >= 0 && after !== '';
  return [isAfter ? bound('(', after) : bound('[', prefix), bound('(', prefix, [0xff])];
};

const filesOf = (reply: unknown): readonly PlaceableFile[] =>
  listOf(reply).map((file) => {
    const [name, version, chunks] = listOf(file);
    return { name: textOf(name), version: parseVersionId(textOf(version)), chunkCount: numberOf(chunks) };
  });

/** See placements.lua; `run` adds the layout number. */
export const placementWork = (run: (...args: readonly Argument[]) => Promise<unknown>): PlacementWork => ({
  begin: async () => numberOf(await run('begin')),
  page: async (cursor) => {
    const from = cursor === undefined ? '-' : bound('(', cursor);
    const files = filesOf(await run('page', from, pageNames));
    return { cursor: files.at(-1)?.name ?? '', files };
  },
  place: async (token, files) => {
    await run('place', token, ...files.flatMap(({ name, version, nodes }) => [name, version, ...withNodes(nodes)]));
  },
  finish: async (token) => filesOf(await run('finish', token, pageNames)),
});

/** Not one snapshot: keys are found by a scan with a constant pattern and read one by one. */
export const readPublicKeys = async (
  command: (name: string, ...args: readonly Argument[]) => Promise<unknown>,
): Promise<ReadonlyMap<string, readonly string[]>> => {
  const keys = new Set<string>([publicKeys.nodes]);
  let cursor = '0';
  do {
    const [next, found] = listOf(await command('SCAN', cursor, 'MATCH', publicDataPattern, 'COUNT', scanCount));
    for (const key of listOf(found)) keys.add(textOf(key));
    cursor = textOf(next);
  } while (cursor !== '0');
  const lists = new Map<string, readonly string[]>();
  for (const key of keys) {
    const entries = listOf(await command('LRANGE', key, 0, -1)).map(textOf);
    if (entries.length > 0) lists.set(key, entries);
  }
  return lists;
};
