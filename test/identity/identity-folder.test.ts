// The identity on disk: private, whole, and the same after every interruption.
import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { issueCertificate } from '../../src/identity/authority.ts';
import { certificatePem } from '../../src/identity/ca-bundle.ts';
import {
  agreementKeyOf,
  completeIdentity,
  type IdentityKeys,
  prepareIdentity,
  readIdentity,
  replaceCertificate,
  storeAuthority,
} from '../../src/identity/identity-folder.ts';
import type { Role } from '../../src/model/roles.ts';
import { certify, createTestNetwork, type TestNetwork, testNowMs } from '../support/identity-network.ts';
import { rejects } from '../support/refuses.ts';

let network: TestNetwork;
let root: string;
let count = 0;

before(async () => {
  network = await createTestNetwork();
  root = await mkdtemp(join(tmpdir(), 'opera-identity-'));
});

after(() => rm(root, { recursive: true, force: true }));

const freshFolder = (): string => join(root, `parent-${(count += 1)}`, 'identity');

const certificateFor = (keys: IdentityKeys, role: Role = 'gateway', of: TestNetwork = network): Promise<Uint8Array> =>
  issueCertificate(of.authority, { role, spki: keys.signer.spki, nowMs: testNowMs });

const joined = async (folder: string) => {
  const keys = await prepareIdentity(folder);
  const certificate = await certificateFor(keys);
  return completeIdentity(folder, { certificate, bundle: network.authority.bundle.bytes });
};

test('a new identity is private and the same when read again', async () => {
  const folder = freshFolder();
  assert.equal(await readIdentity(folder), undefined);
  const made = await joined(folder);
  assert.equal((await stat(folder)).mode & 0o777, 0o700);
  const names = (await readdir(folder)).sort();
  assert.deepEqual(names, ['ca.der', 'certificate.pem', 'key.pem', 'member.json', 'x25519.pem']);
  for (const name of names) assert.equal((await stat(join(folder, name))).mode & 0o777, 0o600);
  const read = await readIdentity(folder);
  assert.ok(read);
  assert.equal(read.networkId, network.networkId);
  assert.equal(read.role, 'gateway');
  assert.equal(read.memberId, made.memberId);
  assert.deepEqual(read.certificate, made.certificate);
  assert.deepEqual(read.bundle.bytes, network.authority.bundle.bytes);
  assert.deepEqual(read.x25519, made.x25519);
  assert.equal(read.authority, undefined);
  assert.deepEqual(agreementKeyOf(read, 'node'), read.x25519.publicKey);
  assert.deepEqual(agreementKeyOf(read, 'master'), new Uint8Array(32));
});

test('an interrupted join goes on with the same keys and counts as not joined', async () => {
  const folder = freshFolder();
  const keys = await prepareIdentity(folder);
  assert.equal(await readIdentity(folder), undefined);
  const again = await prepareIdentity(folder);
  assert.equal(again.memberId, keys.memberId);
  assert.deepEqual(again.x25519, keys.x25519);
  await rm(join(folder, 'key.pem'));
  const third = await prepareIdentity(folder);
  assert.notEqual(third.memberId, keys.memberId);
  await rm(join(folder, 'x25519.pem'));
  await rejects(prepareIdentity(folder), 'config');
});

test('keys that others can read are refused, with the chmod that helps', async () => {
  const folder = freshFolder();
  await joined(folder);
  for (const name of ['key.pem', 'x25519.pem', 'member.json']) {
    await chmod(join(folder, name), 0o640);
    const error = await rejects(readIdentity(folder), 'config');
    assert.equal(error.hint, `Close it: chmod 600 ${join(folder, name)}`);
    await chmod(join(folder, name), 0o600);
  }
  await chmod(folder, 0o750);
  const error = await rejects(readIdentity(folder), 'config');
  assert.equal(error.hint, `Close it: chmod 700 ${folder}`);
  await rejects(prepareIdentity(folder), 'config');
  await chmod(folder, 0o700);
  assert.ok(await readIdentity(folder));
});

test('a missing, damaged, linked or exchanged file is refused by name', async () => {
  const other = freshFolder();
  await joined(other);
  for (const name of ['key.pem', 'x25519.pem', 'certificate.pem', 'ca.der', 'member.json']) {
    const folder = freshFolder();
    await joined(folder);
    const path = join(folder, name);
    await writeFile(path, 'damaged');
    const error = await rejects(readIdentity(folder), 'config');
    assert.match(error.message, new RegExp(name.replace('.', '\\.')));
    await rm(path);
    if (name === 'member.json') assert.equal(await readIdentity(folder), undefined);
    else await rejects(readIdentity(folder), 'config');
    await symlink(join(other, name), path);
    await rejects(readIdentity(folder), 'config');
    await rm(path);
    await writeFile(path, new Uint8Array(64 * 1024 + 1), { mode: 0o600 });
    await rejects(readIdentity(folder), 'config');
  }
});

test('a certificate of another key, laid into the folder from outside, is refused', async () => {
  const folder = freshFolder();
  await joined(folder);
  await writeFile(join(folder, 'certificate.pem'), certificatePem(await certify(network, network.members.gateway)));
  await rejects(readIdentity(folder), 'config');
});

test('a certificate for another key, network or role never enters the folder', async () => {
  const folder = freshFolder();
  const identity = await joined(folder);
  const bundle = network.authority.bundle.bytes;
  const foreign = await createTestNetwork();
  const stranger = await certify(network, network.members.node);
  await rejects(completeIdentity(folder, { certificate: stranger, bundle }), 'unauthenticated');
  const asNode = await certificateFor(identity, 'node');
  await rejects(completeIdentity(folder, { certificate: asNode, bundle }), 'exists');
  await rejects(replaceCertificate(folder, identity, asNode), 'peer-mismatch');
  await rejects(replaceCertificate(folder, identity, stranger), 'unauthenticated');
  const abroad = await certificateFor(identity, 'gateway', foreign);
  await rejects(replaceCertificate(folder, identity, abroad), 'peer-mismatch');
  const fresh = freshFolder();
  const keys = await prepareIdentity(fresh);
  const mixed = { certificate: await certificateFor(keys), bundle: foreign.authority.bundle.bytes };
  await rejects(completeIdentity(fresh, mixed), 'wrong-authority');
  assert.equal(await readIdentity(fresh), undefined);
  const renewed = await certificateFor(identity);
  const after = await replaceCertificate(folder, identity, renewed);
  assert.deepEqual(after.certificate, renewed);
  assert.deepEqual((await readIdentity(folder))?.certificate, renewed);
});

test('the authority is kept where it is given, and only that of the own network is read', async () => {
  const folder = freshFolder();
  await joined(folder);
  await storeAuthority(folder, network.authority);
  const read = await readIdentity(folder);
  assert.deepEqual(read?.authority?.signer.spki, network.authority.signer.spki);
  const foreign = await createTestNetwork();
  await storeAuthority(folder, foreign.authority);
  await rejects(readIdentity(folder), 'config');
});
