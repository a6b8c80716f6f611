// What must not be readable outside identity folders, and a search for it over everything a network wrote.
// Secrets are taken from the operator's own identity, as an owner could; the search knows the usual spellings.
import { createPrivateKey } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { openProfile } from '../../src/client/connection.ts';
import { openHome } from '../../src/client/home.ts';
import { listFiles, statFile } from '../../src/client/names.ts';
import { createSession } from '../../src/client/session.ts';
import { openWrap } from '../../src/crypto/wrap.ts';

export interface Secret {
  readonly what: string;
  readonly bytes: Uint8Array;
}

const base32 = (bytes: Uint8Array): string => {
  let bits = '';
  for (const byte of bytes) bits += byte.toString(2).padStart(8, '0');
  // The last, incomplete letter depends on what follows: it is left out.
  return (bits.match(/.{5}/g) ?? [])
    .map((five) => 'abcdefghijklmnopqrstuvwxyz234567'[Number.parseInt(five, 2)])
    .join('');
};

/** Base64 of the bytes wherever they stand in a longer text: three shifts, without the letters neighbours change. */
const base64Shifts = (bytes: Uint8Array): string[] =>
  [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    return text.slice(shift === 0 ? 0 : shift + 1, -1);
  });

const spellingsOf = (bytes: Uint8Array): Buffer[] => {
  const buffer = Buffer.from(bytes);
  const base64 = base64Shifts(bytes);
  const texts = [
    buffer.toString('hex'),
    buffer.toString('hex').toUpperCase(),
    base32(bytes),
    ...base64,
    ...base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
  ];
  return [buffer, ...texts.map((text) => Buffer.from(text))];
};

const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return filesBelow(path);
    return entry.isFile() ? [path] : [];
  });

export interface Found {
  readonly what: string;
  readonly where: string;
}

/** Every place below the folders, identity folders apart, that holds a secret in any spelling. */
export const searchSecrets = (secrets: readonly Secret[], folders: readonly string[]): Found[] => {
  const needles = secrets.map(({ what, bytes }) => ({ what, spellings: spellingsOf(bytes) }));
  const found: Found[] = [];
  for (const folder of folders) {
    for (const path of filesBelow(folder)) {
      const where = relative(folder, path);
      if (where.startsWith('identity/')) continue;
      const bytes = readFileSync(path);
      for (const { what, spellings } of needles) {
        if (spellings.some((spelling) => bytes.includes(spelling))) found.push({ what, where });
      }
    }
  }
  return found;
};

/** The private scalar of every PEM key below an identity folder. */
const privateKeysOf = (identities: string): Secret[] =>
  filesBelow(identities)
    .filter((path) => path.endsWith('.pem') && readFileSync(path, 'utf8').includes('PRIVATE KEY'))
    .map((path) => {
      const { d } = createPrivateKey(readFileSync(path)).export({ format: 'jwk' });
      if (d === undefined) throw new Error(`${path} holds no private key`);
      return { what: `private key ${relative(identities, path)}`, bytes: Buffer.from(d, 'base64url') };
    });

/** Network keys, file keys of all files and private keys of all members of a network that runs. */
export const secretsOf = async (home: string, identities: string): Promise<Secret[]> => {
  const { keys } = await openHome(home);
  const { keyring } = keys;
  const secrets: Secret[] = [{ what: 'network key', bytes: keyring.newest.key }, ...privateKeysOf(identities)];
  const connection = await openProfile(home);
  try {
    const session = await createSession(connection);
    for await (const { name } of listFiles(session)) {
      const { record } = await statFile(session, name);
      const bytes = openWrap(keyring, session.networkId, record.version, record.wrap);
      secrets.push({ what: `file key of ${name}`, bytes });
    }
  } finally {
    await connection.close();
  }
  return secrets;
};
