// What has to be true once nothing is broken any more, after a bounded time: one layout of all nodes, nothing pending,
// enough copies of everything that lives, and public keys and listings that say exactly what is there.
import { parseNote } from '../../src/crypto/note.ts';
import { wrapEpochOf } from '../../src/crypto/wrap.ts';
import { nodesOfFile } from '../../src/placement/movement.ts';
import { limits } from '../../src/model/limits.ts';
import { type Layout, ownersOf } from '../../src/placement/layout.ts';
import { ownerNodes } from '../support/cluster-client.ts';
import type { Watch } from './_watch.ts';
import type { World } from './_world.ts';

/** Simulated time until all is well again after healing, ms. */
export const convergesWithinMs = 240_000;
/** Simulated time of one pass over a store, ms. */
const passMsMax = 120_000;

const layoutReason = async ({ cluster, joined, gone }: World, layout: Layout | undefined, layouts: number) => {
  if (cluster.store.raisedUnder !== cluster.store.lifeId) return 'the database is not compared with the nodes yet';
  if (layouts !== 1 || !layout) return `${layouts} layouts are unretired`;
  // Who went and came too often waits for hours, in the layout if it cannot do without them; everyone else is in.
  const states = new Map([...cluster.store.members.values()].map(({ keyHash, state }) => [keyHash, state]));
  const present = [...joined].filter((node) => !gone.has(node));
  const named = present.filter(({ member }) => layout.nodes.includes(member.signer.keyHash)).length;
  if (named < layout.nodes.length) return 'the layout names a node that is gone for good';
  const expected = present.filter(({ member }) => states.get(member.signer.keyHash) !== 'quarantine').length;
  const most = expected < layout.writeCopies ? present.length : expected;
  const count = layout.nodes.length;
  if (count < expected || count > most) return `the layout has ${count} nodes of ${expected}`;
  if (cluster.store.pending.size > 0) return `${cluster.store.pending.size} changes are pending`;
  const placed = await cluster.registry().placementsLayout();
  return placed === layout.number ? undefined : `the public keys follow layout ${placed}, not ${layout.number}`;
};

const copiesReason = async ({ cluster }: World, layout: Layout) => {
  for (const [name, { record }] of cluster.store.names) {
    for (let index = 0; index < record.chunkCount; index++) {
      let [chunks, manifests] = [0, 0];
      for (const { storage } of ownerNodes(cluster, layout, record.version, index)) {
        // An altered copy counts until somebody reads it: that is what notTidy is about.
        if ((await storage.listVersion(record.version, index, index + 1)).length > 0) chunks++;
        if (await storage.getManifest(record.version)) manifests++;
      }
      if (chunks < layout.writeCopies) return `${name} has ${chunks} copies`;
      if (index === 0 && manifests < layout.writeCopies) return `${name} has ${manifests} manifests`;
    }
  }
  return undefined;
};

const sorted = (keys: ReadonlyMap<string, readonly string[]>): string =>
  JSON.stringify([...keys].map(([key, values]) => [key, [...values].sort()]).sort());

const keysReason = async ({ cluster, joined, gone }: World, layout: Layout) => {
  const expected = new Map<string, string[]>();
  const add = (key: string, value: string): void => {
    expected.set(key, [...(expected.get(key) ?? []), value]);
  };
  const addresses = new Map(cluster.nodes.map(({ member, address }) => [member.signer.keyHash, address]));
  for (const node of joined) if (!gone.has(node)) add('network:nodes', node.address);
  for (const [name, { record }] of cluster.store.names) {
    add('network:data', name);
    for (const node of nodesOfFile(layout, record.version, record.chunkCount)) {
      const address = addresses.get(node) ?? '';
      add(`network:data:node:${address}`, name);
      add(`network:data:file:${name}`, address);
    }
  }
  const told = await cluster.registry().readPublicKeys();
  const [have, want] = [sorted(told), sorted(expected)];
  return have === want ? undefined : `the public keys are ${have}, not ${want}`;
};

/** Whatever a node holds is under the newest network key. */
const wrapsReason = async ({ cluster, joined, gone }: World): Promise<string | undefined> => {
  const epoch = cluster.keyring.newestEpoch;
  for (const node of joined) {
    if (gone.has(node)) continue;
    const { storage, address } = node;
    const manifests = await storage.countManifestsBelow(epoch);
    if (manifests > 0) return `${address} has ${manifests} manifests under older keys`;
    for (const version of (await storage.listNotes(undefined, limits.batchEntriesMax)).items) {
      const note = await storage.getNote(version);
      if (note && wrapEpochOf(parseNote(note).wrap) < epoch)
        return `${address} has the note of ${version} under an older key`;
    }
  }
  return undefined;
};

/** Names are where the steps of the database had moved them, whatever happened to the database since. */
const namesReason = ({ cluster }: World, watch: Watch): string | undefined => {
  const list = (names: Iterable<readonly [string, string]>): string => JSON.stringify([...names].sort());
  const now = list([...cluster.store.names].map(([name, { record }]) => [name, record.version] as const));
  if (now !== list(watch.current)) return `the names are ${now}, not ${list(watch.current)}`;
  const lost = [...cluster.store.names.values()].find(
    ({ record }) => record.catalogue !== watch.isCatalogue(record.version),
  );
  return lost && `the database ${lost.record.catalogue ? 'has' : 'lost'} ${lost.record.name} as a catalogue`;
};

/** Nodes look at their stores, as they do by themselves within hours; comparing ignores the last minute. */
export const tidy = async ({ cluster }: World): Promise<void> => {
  await cluster.clock.advance(limits.settleMs + 1_000);
  const passes = cluster.nodes.flatMap(({ runs, running }) => (runs && running ? [running.hygiene] : []));
  // Twice: what a node takes back in the first pass is compared in the second.
  for (const round of [1, 2]) {
    for (const { antiEntropy, scrub } of passes) {
      if (round === 1) await cluster.during(scrub.pass(), passMsMax);
      await cluster.during(antiEntropy.pass(), passMsMax);
    }
  }
};

/**
 * Every owner holds a good copy of everything that lives, and owners agree on every manifest; `aged` when hours passed:
 * then each may have let go by itself of manifests that nobody needs.
 */
export const notTidy = async ({ cluster }: World, watch: Watch, aged: boolean): Promise<string | undefined> => {
  const layout = watch.layouts().at(-1);
  if (!layout) return 'there is no layout';
  for (const [name, { record }] of cluster.store.names) {
    for (let index = 0; index < record.chunkCount; index++) {
      for (const { storage, disk, address } of ownerNodes(cluster, layout, record.version, index)) {
        const [held] = await storage.listVersion(record.version, index, index + 1);
        if (!held) return `${address} lacks chunk ${index} of ${name}`;
        if (disk.isRotten(held)) return `${address} holds an altered chunk ${index} of ${name}`;
        if (index > 0) continue;
        const manifest = await storage.getManifest(record.version);
        if (manifest?.sequence !== record.sequence) return `${address} lacks the manifest of ${name}`;
      }
    }
  }
  if (aged) return undefined;
  for (const partition of new Set(cluster.nodes.flatMap(({ disk }) => [...disk.partitions]))) {
    const owners = cluster.nodes.filter(({ member }) => ownersOf(layout, partition).includes(member.signer.keyHash));
    const digests = await Promise.all(owners.map(({ storage }) => storage.digests(partition)));
    const told = new Set(digests.map(({ manifests }) => Buffer.from(manifests).toString('hex')));
    if (told.size > 1) return `owners of partition ${partition} hold different manifests`;
  }
  return undefined;
};

/** Why all is not well; undefined when it is. */
export const notConverged = async (world: World, watch: Watch): Promise<string | undefined> => {
  const layouts = watch.layouts();
  const newest = layouts.at(-1);
  const reason = await layoutReason(world, newest, layouts.length);
  if (reason !== undefined || !newest) return reason;
  const reasons = (await copiesReason(world, newest)) ?? (await keysReason(world, newest)) ?? namesReason(world, watch);
  return reasons ?? (await wrapsReason(world));
};
