// Checking copies: every owner is asked for every chunk, and what is altered, missing or silent is told apart.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CopyVerdict, verifyFiles } from '../../src/client/verify.ts';
import { sha256 } from '../../src/crypto/digest.ts';
import type { OperaError } from '../../src/errors/errors.ts';
import type { Session } from '../../src/client/session.ts';
import { content, mebibyte, put } from '../support/client-files.ts';
import { FakeCluster } from '../support/fake-cluster.ts';
import { flipped } from '../support/identity-network.ts';

const verify = async (session: Session, names: readonly string[], sample = 1) => {
  const copies: CopyVerdict[] = [];
  const refused: [string, OperaError][] = [];
  await verifyFiles(session, names, {
    sample,
    signal: new AbortController().signal,
    onCopy: (verdict) => copies.push(verdict),
    onName: (name, error) => refused.push([name, error]),
  });
  return { copies, refused, bad: copies.filter(({ state }) => state !== 'good') };
};

const placesOf = (verdicts: readonly CopyVerdict[]): string[] =>
  verdicts.map(({ name, index, memberId, state }) => `${name} ${index} ${memberId} ${state}`).sort();

test('every copy of every chunk is read once, and good ones are called good', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  await put(session, 'large', content(9 * mebibyte));
  await put(session, 'small', content(100));
  await put(session, 'empty', content(0));
  const { copies, bad, refused } = await verify(session, ['large', 'small', 'empty']);
  assert.deepEqual([bad, refused], [[], []]);
  assert.equal(copies.length, (3 + 1 + 1) * 3);
  assert.equal(new Set(placesOf(copies)).size, copies.length);
});

test('an altered copy, an absent one and a silent node are told apart, each at its place', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  await put(session, 'f', content(9 * mebibyte));
  const [first, second, third] = cluster.nodes;
  assert.ok(first && second && third);
  const chunkOf = (node: typeof first, index: number): string => {
    const key = [...node.chunks.keys()].find((at) => at.endsWith(`/${index}`));
    assert.ok(key !== undefined);
    return key;
  };
  const key = chunkOf(first, 1);
  const stored = first.chunks.get(key);
  assert.ok(stored);
  // The node's own hash fits the altered bytes: only the seal and the other copies tell.
  stored.body = flipped(stored.body, 20);
  stored.hash = sha256(stored.body);
  second.chunks.delete(chunkOf(second, 2));
  cluster.net.fault = ({ to, route }) => {
    if (route === 'chunk.read' && to.address === third.address) throw new Error('the line is cut');
  };
  const { bad, copies } = await verify(session, ['f']);
  assert.equal(copies.length, 9);
  assert.deepEqual(
    placesOf(bad),
    [
      `f 1 ${first.member.memberId} altered`,
      `f 2 ${second.member.memberId} missing`,
      ...[0, 1, 2].map((index) => `f ${index} ${third.member.memberId} unreachable`),
    ].sort(),
  );
});

test('a sample reads about that share of the chunks, and all copies of what it draws', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const names = Array.from({ length: 200 }, (_, at) => `f${at}`);
  for (const name of names) await put(session, name, content(10));
  const { copies } = await verify(session, names, 0.2);
  const drawn = new Set(copies.map(({ name }) => name)).size;
  assert.ok(drawn > 10 && drawn < 80, `${drawn} of 200`);
  assert.equal(copies.length, drawn * 3);
});

test('names that are gone are told, and the others are checked all the same', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  await put(session, 'here', content(10));
  const { copies, refused } = await verify(session, ['gone', 'here']);
  assert.equal(copies.length, 3);
  assert.deepEqual(
    refused.map(([name, { code }]) => [name, code]),
    [['gone', 'not-found']],
  );
});
