// Nothing readable without a member's identity key: a search for contents, keys and join codes over everything that
// the processes of a network wrote, and planted ones that the same search must find.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseJoinCode } from '../../src/identity/join-code.ts';
import { parseRecoveryKit } from '../../src/crypto/recovery-kit.ts';
import { exits, type LocalNet, parseLine } from '../support/local-net.ts';
import { searchSecrets, secretsOf, type Secret } from '../support/secrets.ts';

const text = (what: string, value: string): Secret => ({ what, bytes: Buffer.from(value) });

export const testSecrecy = (
  net: () => LocalNet,
  /** Further folders to search, after the registry wrote everything it holds there. */
  dump: () => Promise<readonly string[]> = () => Promise.resolve([]),
): void => {
  test('no plaintext, key or join code is found outside identity folders, and planted ones are', async () => {
    const { sandbox, dir, home } = net();
    const contents = readFileSync('fixtures/catalogues/oec_1086_systems.csv');
    await net().ok(['put', 'fixtures/catalogues/oec_1086_systems.csv', '--to', 'secret'], { cwd: process.cwd() });
    await net().ok(['put', '-', '--name', 'secret/small'], { input: 'a-small-plaintext-of-this-very-test' });
    await net().ok(['get', 'secret/small', '-o', '-']);

    const code = (await net().ok(['token', 'create', '--role', 'client', '-q'])).trim();
    const guest = sandbox.path('guest');
    exits(await sandbox.opera(['join', code, '--home', guest]), 0);
    const kit = sandbox.path('kit.txt');
    await net().ok(['keys', 'export', kit]);

    const secrets: Secret[] = [
      text('a record of the catalogue', contents.subarray(2_000, 2_060).toString()),
      text('the small file', 'a-small-plaintext-of-this-very-test'),
      { what: 'seed of a join code', bytes: parseJoinCode(code).seed },
      text('join code', code.slice(0, -20)),
      { what: 'recovery key', bytes: parseRecoveryKit(readFileSync(kit, 'utf8')).privateKey },
      ...(await secretsOf(home, join(dir, 'identity'))),
    ];
    assert.ok(secrets.length > 12, `${secrets.length} secrets are searched for`);
    const folders = [dir, guest, ...(await dump())];
    assert.deepEqual(searchSecrets(secrets, folders), []);

    for (const [at, spell] of [
      (secret: Secret) => Buffer.from(secret.bytes),
      (secret: Secret) => Buffer.from(secret.bytes).toString('hex'),
      (secret: Secret) => JSON.stringify({ key: Buffer.from(secret.bytes).toString('base64url') }),
    ].entries()) {
      const planted = join(dir, 'logs', `planted-${at}`);
      for (const secret of secrets) {
        writeFileSync(planted, Buffer.concat([Buffer.from('x: '), Buffer.from(spell(secret))]));
        const found = searchSecrets([secret], [join(dir, 'logs')]);
        assert.deepEqual(found, [{ what: secret.what, where: `planted-${at}` }], `${secret.what} in spelling ${at}`);
      }
      rmSync(planted);
    }
    const kept = parseLine<{ readonly role: string }>(
      exits(await sandbox.opera(['whoami', '--json', '--home', guest]), 0).stdout,
    );
    assert.equal(kept.role, 'client');
    assert.ok(readdirSync(guest).includes('identity'));
  });
};
