// Writes fixtures/formats/v1/sealing.json once; golden files are never edited, so it refuses to write over one.
//   npx esbuild test/crypto/make-golden.ts --bundle --platform=node --format=esm --packages=external \
//     --outfile=dist/make-golden.mjs && node dist/make-golden.mjs
import { createHash, generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createSigner } from '../../src/crypto/signature.ts';
import * as golden from './_golden.ts';
import { network, toHex } from './_support.ts';

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const signer = createSigner(privateKey);
const file = {
  about:
    'One record of every sealed format, version 1; hex, big-endian, see docs/formats.md. Never edited: new formats ' +
    'get a folder of their own. Keys are for tests only.',
  network,
  networkKeys: Object.fromEntries(golden.epochKeys.map(({ epoch, key }) => [epoch, toHex(key)])),
  version: golden.version,
  fileKey: toHex(golden.keys.fileKey),
  plaintext: toHex(golden.plaintext),
  plaintextSha256: createHash('sha256').update(golden.plaintext).digest('hex'),
  tombstoneVersion: golden.tombstoneVersion,
  tombstoneFileKey: toHex(golden.tombstoneFileKey),
  memberX25519: toHex(golden.memberKey.privateKey),
  recoveryX25519: toHex(golden.recoveryKey.privateKey),
  caScalar: toHex(golden.caScalar),
  signerSpki: toHex(signer.spki),
  records: golden.makeGolden(signer),
};
writeFileSync('fixtures/formats/v1/sealing.json', `${JSON.stringify(file, undefined, 1)}\n`, { flag: 'wx' });
