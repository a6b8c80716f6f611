// Puts that were cut off and go on: nothing durable is sent again, nothing is sealed twice, and a source that is not
// what it was gets another version and another file key.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openJournal } from '../../src/client/journal.ts';
import { lockFile } from '../../src/client/lock-file.ts';
import { putFile } from '../../src/client/put.ts';
import { openWrap } from '../../src/crypto/wrap.ts';
import { OperaError } from '../../src/errors/errors.ts';
import { FakeCluster } from '../support/fake-cluster.ts';
import { rejects } from '../support/refuses.ts';
import { searchSecrets } from '../support/secrets.ts';
import { content, mebibyte, newFolder, read, stamped } from '../support/client-files.ts';

const size = 20 * mebibyte + 5;
const bytes = content(size);
const request = { name: 'f', resumeKey: '/data/f' };

/** A put that is killed when a chunk of this index arrives. */
const cutOff = async (cluster: FakeCluster, home: string, index: number): Promise<void> => {
  cluster.onStore = (_, { chunks }) => {
    if (chunks.some((chunk) => chunk.index >= index)) throw new OperaError('forbidden', 'killed');
  };
  await rejects(putFile(await cluster.session(home), stamped(bytes), request), 'forbidden');
  cluster.onStore = () => undefined;
};

const journalsOf = (home: string): string[] => readdirSync(join(home, 'journal'));
const journalPath = (home: string): string => {
  const [file] = journalsOf(home).filter((name) => name.endsWith('.jsonl'));
  assert.ok(file);
  return join(home, 'journal', file);
};

const versionsSent = (cluster: FakeCluster): Set<string> => new Set(cluster.sent.map(({ key }) => key.slice(0, 32)));

/** No address was ever sent with two contents. */
const assertSealedOnce = (cluster: FakeCluster): void => {
  const seen = new Map<string, Uint8Array>();
  for (const { key, body } of cluster.sent) {
    const before = seen.get(key);
    assert.ok(!before || Buffer.from(before).equals(body), `${key} was sealed twice`);
    seen.set(key, body);
  }
};

test('a put that was killed goes on with the same version and sends only what is missing', async () => {
  for (const index of [1, 3, 5]) {
    const cluster = await FakeCluster.create();
    const home = newFolder();
    await cutOff(cluster, home, index);
    assert.equal(cluster.names.size, 0);
    const durable = new Set(cluster.nodes.flatMap(({ chunks }) => [...chunks.keys()]));
    const before = cluster.sent.length;
    const result = await putFile(await cluster.session(home), stamped(bytes), request);
    assert.equal(result.resumedChunks, durable.size);
    const again = cluster.sent.slice(before).map(({ key }) => key);
    assert.ok(again.every((key) => !durable.has(key)));
    assert.equal(versionsSent(cluster).size, 1);
    assertSealedOnce(cluster);
    assert.ok((await read(await cluster.session(), 'f')).equals(bytes));
    assert.deepEqual(journalsOf(home), [], 'nothing is left behind');
  }
});

test('a put that was killed between the last chunk and the commit commits once', async () => {
  const cluster = await FakeCluster.create();
  const home = newFolder();
  cluster.net.answerFault = ({ route }) => {
    if (route === 'name.commit') throw new OperaError('forbidden', 'killed');
  };
  await rejects(putFile(await cluster.session(home), stamped(bytes), request), 'forbidden');
  cluster.net.answerFault = () => undefined;
  const committed = cluster.names.get('f');
  assert.ok(committed);
  assert.equal(cluster.uploads.size, 0, 'a commit closes its upload');
  const before = cluster.sent.length;
  const result = await putFile(await cluster.session(home), stamped(bytes), request);
  assert.equal(result.sequence, committed.sequence);
  assert.equal(cluster.sent.length, before);
});

test('an upload that was forgotten with all its chunks stored and no commit is put anew', async () => {
  const cluster = await FakeCluster.create();
  const home = newFolder();
  cluster.net.fault = ({ route }) => {
    if (route === 'name.commit') throw new OperaError('forbidden', 'killed');
  };
  await rejects(putFile(await cluster.session(home), stamped(bytes), request), 'forbidden');
  cluster.net.fault = () => undefined;
  cluster.uploads.clear();
  assert.equal((await putFile(await cluster.session(home), stamped(bytes), request)).resumedChunks, 0);
  assert.ok((await read(await cluster.session(), 'f')).equals(bytes));
  assertSealedOnce(cluster);
});

test('the journal is readable by its owner alone and holds no key in clear', async () => {
  const cluster = await FakeCluster.create();
  const home = newFolder();
  await cutOff(cluster, home, 2);
  assert.equal(statSync(journalPath(home)).mode & 0o777, 0o600);
  assert.equal(statSync(join(home, 'journal')).mode & 0o777, 0o700);
  const kept = newFolder();
  writeFileSync(join(kept, 'journal'), readFileSync(journalPath(home)));
  const session = await cluster.session(home);
  await putFile(session, stamped(bytes), request);
  const record = cluster.names.get('f');
  assert.ok(record && readFileSync(join(kept, 'journal'), 'utf8').includes(record.version), 'it went on from there');
  const { keyring } = session.connection.keys;
  const fileKey = openWrap(keyring, session.networkId, record.version, record.wrap);
  const secrets = [
    { what: 'file key', bytes: fileKey },
    { what: 'network key', bytes: keyring.newest.key },
  ];
  assert.deepEqual(searchSecrets(secrets, [kept]), []);
});

test('each chunk is in the journal before its first byte leaves', async () => {
  const cluster = await FakeCluster.create();
  const home = newFolder();
  let checked = 0;
  cluster.onStore = (_, { chunks }) => {
    const lines = readFileSync(journalPath(home), 'utf8').trim().split('\n');
    for (const { index, hash } of chunks) {
      checked++;
      assert.ok(lines.some((line) => line === JSON.stringify({ i: index, h: Buffer.from(hash).toString('base64') })));
    }
  };
  await putFile(await cluster.session(home), stamped(bytes), request);
  assert.equal(checked, 6);
});

test('a changed stamp or changed content gets another version, and no key seals two plaintexts', async () => {
  const other = content(size, 2);
  for (const source of [stamped(bytes, 'later'), stamped(other)]) {
    const cluster = await FakeCluster.create();
    const home = newFolder();
    await cutOff(cluster, home, 3);
    const result = await putFile(await cluster.session(home), source, request);
    assert.equal(result.resumedChunks, 0);
    assert.equal(versionsSent(cluster).size, 2);
    assertSealedOnce(cluster);
  }
});

test('a change behind what was sealed before is met, too: the journal compares chunk by chunk', async () => {
  const cluster = await FakeCluster.create();
  const home = newFolder();
  await cutOff(cluster, home, 3);
  const changed = Buffer.from(bytes);
  changed[9 * mebibyte] = 255 - (changed[9 * mebibyte] ?? 0);
  await putFile(await cluster.session(home), stamped(changed), request);
  assert.equal(versionsSent(cluster).size, 2);
  assertSealedOnce(cluster);
  assert.ok((await read(await cluster.session(), 'f')).equals(changed));
});

test('a torn last line counts as absent; any other damage begins anew', async () => {
  const cluster = await FakeCluster.create();
  const home = newFolder();
  await cutOff(cluster, home, 4);
  const whole = readFileSync(journalPath(home), 'utf8').split('\n').slice(0, 3);
  writeFileSync(journalPath(home), `${whole.join('\n')}\n{"i":2,"h":"AAAA`);
  await cutOff(cluster, home, 5);
  const { resumedChunks } = await putFile(await cluster.session(home), stamped(bytes), request);
  assert.ok(resumedChunks > 0);
  await cutOff(cluster, home, 4);
  const path = journalPath(home);
  const lines = readFileSync(path, 'utf8').split('\n');
  lines[2] = '{"i":1,"h":"x"}';
  writeFileSync(path, lines.join('\n'));
  assert.equal((await putFile(await cluster.session(home), stamped(bytes), request)).resumedChunks, 0);
  await cutOff(cluster, home, 4);
  truncateSync(journalPath(home), 0);
  assert.equal((await putFile(await cluster.session(home), stamped(bytes), request)).resumedChunks, 0);
  assertSealedOnce(cluster);
});

test('a put goes on two days later: its upload is open for three', async () => {
  const cluster = await FakeCluster.create();
  const home = newFolder();
  await cutOff(cluster, home, 3);
  cluster.clock.advance(48 * 3_600_000);
  const { resumedChunks } = await putFile(await cluster.session(home), stamped(bytes), request);
  assert.ok(resumedChunks > 0);
  assertSealedOnce(cluster);
});

test('an upload that the network forgot, or one that is too old, begins anew', async () => {
  const forget = [
    (cluster: FakeCluster) => cluster.uploads.clear(),
    (cluster: FakeCluster) => cluster.clock.advance(80 * 3_600_000),
  ];
  for (const by of forget) {
    const cluster = await FakeCluster.create();
    const home = newFolder();
    await cutOff(cluster, home, 3);
    by(cluster);
    const { resumedChunks } = await putFile(await cluster.session(home), stamped(bytes), request);
    assert.equal(resumedChunks, 0);
    assert.ok((await read(await cluster.session(), 'f')).equals(bytes));
  }
});

test('a put goes on after the network key was rotated', async () => {
  const cluster = await FakeCluster.create();
  const home = newFolder();
  await cutOff(cluster, home, 3);
  cluster.rotate();
  const { resumedChunks } = await putFile(await cluster.session(home), stamped(bytes), request);
  assert.ok(resumedChunks > 0);
  assert.ok((await read(await cluster.session(), 'f')).equals(bytes));
});

test('two puts of one source at once do not share a journal', async () => {
  const cluster = await FakeCluster.create();
  const home = newFolder();
  const session = await cluster.session(home);
  const { stamp } = stamped(bytes);
  assert.ok(stamp);
  const first = await openJournal(home, { source: '/data/g', name: 'g' }, stamp, 0);
  assert.equal(await openJournal(home, { source: '/data/g', name: 'g' }, stamp, 0), undefined);
  await first?.release();
  await Promise.all([putFile(session, stamped(bytes), request), putFile(session, stamped(bytes), request)]);
  assert.equal(versionsSent(cluster).size, 2);
  assertSealedOnce(cluster);
  assert.deepEqual(journalsOf(home), []);
});

test('a lock is held by the living and taken from the dead', async () => {
  const path = join(newFolder(), 'lock');
  const unlock = await lockFile(path);
  assert.ok(unlock);
  assert.equal(await lockFile(path), undefined);
  await unlock();
  for (const dead of ['999999999 1\n', `${process.pid} 1\n`, 'nonsense\n']) {
    writeFileSync(path, dead);
    const taken = await lockFile(path);
    assert.ok(taken, dead);
    await taken();
  }
  writeFileSync(path, '');
  assert.equal(await lockFile(path), undefined, 'it is being written just now');
});
