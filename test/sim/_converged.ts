// What has to be true once nothing is broken any more, after a bounded time: one layout of all nodes, nothing pending,
// enough copies of everything that lives, and public keys and listings that say exactly what is there.
import { nodesOfFile } from '../../src/placement/movement.ts';
import type { Layout } from '../../src/placement/layout.ts';
import { ownerNodes } from '../support/cluster-client.ts';
import type { Watch } from './_watch.ts';
import type { World } from './_world.ts';

/** Simulated time until all is well again after healing, ms. */
export const convergesWithinMs = 240_000;

const layoutReason = async ({ cluster, joined }: World, layout: Layout | undefined, count: number) => {
  if (count !== 1 || !layout) return `${count} layouts are unretired`;
  if (layout.nodes.length !== joined.size) return `the layout has ${layout.nodes.length} nodes of ${joined.size}`;
  if (cluster.store.pending.size > 0) return `${cluster.store.pending.size} changes are pending`;
  const placed = await cluster.registry().placementsLayout();
  return placed === layout.number ? undefined : `the public keys follow layout ${placed}, not ${layout.number}`;
};

const copiesReason = async ({ cluster }: World, layout: Layout) => {
  for (const [name, { record }] of cluster.store.names) {
    for (let index = 0; index < record.chunkCount; index++) {
      let [chunks, manifests] = [0, 0];
      for (const { storage, disk } of ownerNodes(cluster, layout, record.version, index)) {
        const [held] = await storage.listVersion(record.version, index, index + 1);
        if (held && !disk.isRotten(held)) chunks++;
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

const keysReason = async ({ cluster, joined }: World, layout: Layout) => {
  const expected = new Map<string, string[]>();
  const add = (key: string, value: string): void => {
    expected.set(key, [...(expected.get(key) ?? []), value]);
  };
  const addresses = new Map(cluster.nodes.map(({ member, address }) => [member.signer.keyHash, address]));
  for (const { address } of joined) add('network:nodes', address);
  for (const [name, { record }] of cluster.store.names) {
    add('network:data', name);
    for (const node of nodesOfFile(layout, record.version, record.chunkCount)) {
      const address = addresses.get(node) ?? '';
      add(`network:data:node:${address}`, name);
      add(`network:data:file:${name}`, address);
    }
  }
  const told = await cluster.registry().readPublicKeys();
  return sorted(told) === sorted(expected) ? undefined : `the public keys are ${sorted(told)}, not ${sorted(expected)}`;
};

/** Names are where the steps of the database had moved them, whatever happened to the database since. */
const namesReason = ({ cluster }: World, watch: Watch): string | undefined => {
  const list = (names: Iterable<readonly [string, string]>): string => JSON.stringify([...names].sort());
  const now = list([...cluster.store.names].map(([name, { record }]) => [name, record.version] as const));
  return now === list(watch.current) ? undefined : `the names are ${now}, not ${list(watch.current)}`;
};

/** Why all is not well; undefined when it is. */
export const notConverged = async (world: World, watch: Watch): Promise<string | undefined> => {
  const layouts = watch.layouts();
  const newest = layouts.at(-1);
  const reason = await layoutReason(world, newest, layouts.length);
  if (reason !== undefined || !newest) return reason;
  return (await copiesReason(world, newest)) ?? (await keysReason(world, newest)) ?? namesReason(world, watch);
};
