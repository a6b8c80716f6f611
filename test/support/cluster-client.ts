// What a client of the network in memory does, in one line each, over the library that the command line uses.
import { sourceOfBytes } from '../../src/client/byte-source.ts';
import { fetchFile } from '../../src/client/get.ts';
import { resolveName } from '../../src/client/open-file.ts';
import { putFile, type PutRequest, type PutResult } from '../../src/client/put.ts';
import type { Session } from '../../src/client/session.ts';
import { isOperaError } from '../../src/errors/errors.ts';
import type { VersionId } from '../../src/model/ids.ts';
import { type Layout, ownersOf, parseLayout } from '../../src/placement/layout.ts';
import { partitionOf } from '../../src/placement/partition.ts';
import type { ClusterNode, MemoryCluster } from './memory-cluster.ts';

export const put = (
  session: Session,
  name: string,
  bytes: Uint8Array,
  options: Omit<PutRequest, 'name'> = {},
): Promise<PutResult> => putFile(session, sourceOfBytes(bytes), { name, ...options });

/** The bytes of a file; undefined when there is none. */
export const get = async (session: Session, name: string): Promise<Uint8Array | undefined> => {
  try {
    const { file, plan } = await resolveName(session, name);
    const parts: Uint8Array[] = [];
    for await (const part of fetchFile(session, plan, file, undefined)) parts.push(part);
    return new Uint8Array(Buffer.concat(parts));
  } catch (error) {
    if (isOperaError(error, 'not-found')) return undefined;
    throw error;
  }
};

/** Unretired layouts, ascending. */
export const layoutsOf = async (cluster: MemoryCluster): Promise<Layout[]> =>
  (await cluster.registry().readLayouts()).unretired.map(({ layout }) => parseLayout(layout.bytes));

export const newestLayoutOf = async (cluster: MemoryCluster): Promise<Layout> => {
  const newest = (await layoutsOf(cluster)).at(-1);
  if (!newest) throw new Error('there is no layout yet');
  return newest;
};

/** Owners of a chunk in a layout, as nodes of the cluster, in order. */
export const ownerNodes = (cluster: MemoryCluster, layout: Layout, version: VersionId, index: number): ClusterNode[] =>
  ownersOf(layout, partitionOf(version, index)).flatMap((key) =>
    cluster.nodes.filter(({ member }) => member.signer.keyHash === key),
  );

/** How many owners in the newest layout hold a chunk, and how many hold the manifest when it is chunk 0. */
export const copiesOf = async (cluster: MemoryCluster, version: VersionId, index = 0) => {
  const owners = ownerNodes(cluster, await newestLayoutOf(cluster), version, index);
  let [chunks, manifests] = [0, 0];
  for (const { storage } of owners) {
    if ((await storage.listVersion(version, index, index + 1)).length > 0) chunks++;
    if (await storage.getManifest(version)) manifests++;
  }
  return { owners: owners.length, chunks, manifests };
};
