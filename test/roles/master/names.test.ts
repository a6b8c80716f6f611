// Answers about names over real masters and nodes, with bodies as long as those of large catalogues: no answer is
// longer than a message, and clients get everything all the same.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { getMany, type GetResult } from '../../../src/client/get-many.ts';
import { listFiles, renameFile, statFile } from '../../../src/client/names.ts';
import { findFiles } from '../../../src/client/open-file.ts';
import { removeMany } from '../../../src/client/remove-many.ts';
import type { Session } from '../../../src/client/session.ts';
import { openUploads } from '../../../src/client/upload.ts';
import { sealManifestBody } from '../../../src/crypto/manifest-body.ts';
import { wrapFileKey } from '../../../src/crypto/wrap.ts';
import { OperaError } from '../../../src/errors/errors.ts';
import { limits } from '../../../src/model/limits.ts';
import type { WireNameChange } from '../../../src/wire/messages-names.ts';
import type { RouteName } from '../../../src/wire/routes.ts';
import { formatJson } from '../../../src/wire/json.ts';
import { MemoryCluster } from '../../support/memory-cluster.ts';

/** A catalogue's body has 8 bytes a chunk, once more in base64: 107 KiB, and a little below the 4 KiB that stay. */
const long = { names: Array.from({ length: 12 }, (_, at) => `long/${at}`), chunks: 10_000 };
const short = { names: Array.from({ length: 300 }, (_, at) => `short/${at}`), chunks: 340 };

let folder = '';
let cluster: MemoryCluster;
let session: Session;
/** Bytes of the longest message since it was last read, and how many there were. */
let longest = 0;
let calls = 0;

const watched = (on: Session): Session => {
  const { connection } = on;
  const call = async (route: RouteName, request: object, options?: object): Promise<object> => {
    const answer = await connection.call(route, request as never, options);
    calls++;
    longest = Math.max(longest, Buffer.byteLength(formatJson(answer)), Buffer.byteLength(formatJson(request)));
    return answer;
  };
  // Nobody stored a chunk: a get ends there, at once.
  const transport = { call: () => Promise.reject(new OperaError('hash-conflict')), close: async () => undefined };
  return { ...on, connection: { ...connection, call, transport } as unknown as Session['connection'] };
};

/** Commits catalogues whose chunks nobody stored: what matters here is how long their bodies are. */
const commitCatalogues = async ({ names, chunks }: typeof long): Promise<void> => {
  const { networkId, connection } = session;
  const { uploads, plan } = await openUploads(session, names, undefined);
  const lengths = new Array<number>(chunks).fill(1);
  const changes = uploads.map(({ name, version, keys, operationId, follows }): WireNameChange => {
    const content = {
      kind: 'file' as const,
      name,
      follows,
      size: chunks,
      header: keys.header,
      created: '2026-01-01T00:00:00Z',
      chunkLengths: lengths,
      chunkRecords: lengths,
    };
    const body = sealManifestBody(keys.fileKey, networkId, version, 'live', content, connection.random);
    const wrap = wrapFileKey(cluster.keyring, networkId, version, keys.fileKey, connection.random);
    return { kind: 'put', operationId, name, sealed: { version, body, wrap, follows }, chunkCount: chunks };
  });
  const batch = chunks > 1_000 ? 4 : 100;
  for (let from = 0; from < changes.length; from += batch) {
    const part = changes.slice(from, from + batch);
    const { outcomes } = await connection.call('name.commit', { changes: part, ...plan.last });
    assert.ok(outcomes.every(({ done }) => done));
  }
};

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'opera-names-'));
  cluster = await MemoryCluster.start({ isDurable: () => true });
  session = watched(await cluster.session());
  await cluster.during(commitCatalogues(long));
  await cluster.during(commitCatalogues(short));
  const first = (await cluster.registry().getNames(['long/0', 'short/0'])).map((record) => record?.body?.length);
  assert.deepEqual([first[0], (first[1] ?? 0) > 3_800], [undefined, true], 'the bodies are as long as is meant');
});
after(async () => {
  cluster.stopAll();
  await rm(folder, { recursive: true });
});

const within = async <T>(work: Promise<T>): Promise<T> => {
  [longest, calls] = [0, 0];
  const result = await cluster.during(work, 3_600_000);
  assert.ok(longest <= limits.messageBytesMax, `a message has ${longest} bytes`);
  assert.ok(longest > limits.messageBytesMax / 4, 'it was put to the test');
  assert.ok(calls > 1, 'in several answers');
  return result;
};

test('a listing of long bodies comes in pages that fit a message, each name once and in order', async () => {
  const listed = await within(
    (async () => {
      const names: string[] = [];
      for await (const { name, content, error } of listFiles(session)) {
        assert.equal(error, undefined);
        assert.ok(content?.chunkLengths);
        names.push(name);
      }
      return names;
    })(),
  );
  assert.deepEqual(listed, [...long.names, ...short.names].sort());
});

test('many names looked up at once come in as many answers as they need, in the order asked', async () => {
  const asked = [...short.names, 'none', ...long.names].reverse();
  const found = await within(findFiles(session, asked));
  assert.deepEqual(
    found.map((file) => (file instanceof OperaError ? file.code : file?.name)),
    asked.map((name) => (name === 'none' ? undefined : name)),
  );
});

test('many files are got under the tickets of several answers', async () => {
  const results = new Map<string, GetResult | OperaError>();
  const onResult = (name: string, result: GetResult | OperaError): void => void results.set(name, result);
  const asked = [...long.names, ...short.names.slice(0, 100), 'none'];
  const request = { folder, force: false, onResult };
  await within(getMany(session, asked, request));
  const fates = asked.map((name) => results.get(name)).map((fate) => (fate instanceof OperaError ? fate.code : 'got'));
  assert.deepEqual(fates, [...asked.slice(1).map(() => 'hash-conflict'), 'not-found']);
});

test('one file of a long body is renamed onto another, and many are removed', async () => {
  await cluster.during(renameFile(session, { from: 'long/0', to: 'long/1', replace: true }));
  const { content } = await cluster.during(statFile(session, 'long/1'));
  assert.equal(content.chunkLengths?.length, long.chunks);
  const removed: string[] = [];
  const onResult = (name: string, error: OperaError | undefined): void => void (error ?? removed.push(name));
  const rest = [...long.names.slice(1), ...short.names];
  await within(removeMany(session, rest, { onResult }));
  assert.deepEqual(removed.sort(), rest.sort());
  assert.equal(cluster.store.names.size, 0);
});
