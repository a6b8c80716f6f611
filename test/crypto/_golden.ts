// One record of every format of src/crypto, made from fixed inputs: what fixtures/formats/v1/sealing.json holds.
// Everything but the signatures depends on these lines only; ECDSA draws a nonce, so the file keeps its signatures.
import { sealChainRecord } from '../../src/crypto/key-chain.ts';
import { keyBoxKinds, sealKeyBox } from '../../src/crypto/key-box.ts';
import { Keyring } from '../../src/crypto/keyring.ts';
import { encodeManifest, type ManifestFields, replaceWrap } from '../../src/crypto/manifest.ts';
import { type FileContent, type ManifestContent, sealManifestBody } from '../../src/crypto/manifest-body.ts';
import { sealNote } from '../../src/crypto/note.ts';
import { encodeRecoveryKit } from '../../src/crypto/recovery-kit.ts';
import { createFileKeys, sealChunk } from '../../src/crypto/sealing.ts';
import type { Signer } from '../../src/crypto/signature.ts';
import { rewrapFileKey, wrapFileKey } from '../../src/crypto/wrap.ts';
import { createX25519, recoveryKeyHashOf, type X25519KeyPair } from '../../src/crypto/x25519.ts';
import { labelled, network, operationOf, SeededRandom, toHex, versionOf } from './_support.ts';

export const epochKeys = [1, 2].map((epoch) => ({ epoch, key: labelled(`golden/epoch-${epoch}`, 32) }));
const [epoch1, epoch2] = epochKeys as [(typeof epochKeys)[number], (typeof epochKeys)[number]];
const keyringAt1 = new Keyring(network, [epoch1]);
const keyringAt2 = new Keyring(network, [epoch1, epoch2]);

const seeded = (name: string): SeededRandom => new SeededRandom(`golden/${name}`);
export const memberKey: X25519KeyPair = createX25519(seeded('member'));
export const recoveryKey: X25519KeyPair = createX25519(seeded('recovery'));
export const caScalar = labelled('golden/ca-scalar', 32);
export const kit = { network, caPin: labelled('golden/ca-pin', 32), privateKey: recoveryKey.privateKey };

export const version = versionOf('golden');
export const keys = createFileKeys(seeded('file-keys'), network, version);
export const tombstoneVersion = versionOf('golden/tombstone');
export const tombstoneFileKey = labelled('golden/tombstone/file-key', 32);

const chunkLengths = [100, 40];
export const plaintext = labelled('golden/data', 140);

export const plainContent: FileContent = {
  kind: 'file',
  name: 'surveys/Größe/α Centauri.csv',
  follows: 0n,
  size: 140,
  header: keys.header,
  created: '2026-11-22T00:00:00.000Z',
};
export const catalogueContent: FileContent = {
  ...plainContent,
  follows: 1_795_000_000_000_000n,
  type: 'text/csv',
  modified: '2026-01-31T23:59:59.123Z',
  chunkLengths,
  chunkRecords: [3, 1],
};
export const tombstoneContent: ManifestContent = { kind: 'name-tombstone', name: 'old name', follows: 7n };
export const noteContent = { format: 'csv', delimiter: ',', columns: ['name', 'ra', 'dec'], map: { ra: 'ra' } };

const wrap = wrapFileKey(keyringAt1, network, version, keys.fileKey, seeded('wrap'));

const manifest = (
  signer: Signer,
  name: string,
  state: 'live' | 'dead',
  content: ManifestContent,
  sequence: bigint,
): Uint8Array => {
  const isTombstone = content.kind === 'name-tombstone';
  const of = isTombstone ? tombstoneVersion : version;
  const fileKey = isTombstone ? tombstoneFileKey : keys.fileKey;
  const body = sealManifestBody(fileKey, network, of, state, content, seeded(`${name}/body`));
  const fields: ManifestFields = {
    state,
    network,
    version: of,
    sequence,
    incarnation: 3,
    operationId: operationOf(`golden/${name}`),
    body,
    wrap: isTombstone ? wrapFileKey(keyringAt1, network, of, fileKey, seeded(`${name}/wrap`)) : wrap,
  };
  return encodeManifest(fields, signer);
};

const keyBox = (signer: Signer, name: keyof typeof keyBoxKinds): Uint8Array => {
  const toRecovery = name === 'recovery';
  const fields = {
    kind: keyBoxKinds[name],
    epoch: name === 'caKeyPart' ? 1 : 2,
    recipient: toRecovery ? recoveryKeyHashOf(recoveryKey.publicKey) : signer.keyHash,
    recipientKey: toRecovery ? recoveryKey.publicKey : memberKey.publicKey,
    secret: name === 'caKeyPart' ? caScalar : epoch2.key,
  };
  return sealKeyBox(network, fields, signer, seeded(`box/${name}`));
};

/** Name of the record → its bytes in hex, or text. */
export const makeGolden = (signer: Signer): Record<string, string> => {
  const live = manifest(signer, 'live', 'live', plainContent, 1_795_000_000_000_001n);
  const records = {
    header: keys.header,
    wrap,
    rewrap: rewrapFileKey(keyringAt2, network, version, wrap),
    chunk0: sealChunk(keys, 0, plaintext.subarray(0, 100), { last: false }),
    chunk1: sealChunk(keys, 1, plaintext.subarray(100), { last: true }),
    manifestLive: live,
    manifestRewrapped: replaceWrap(live, rewrapFileKey(keyringAt2, network, version, wrap)),
    manifestCatalogue: manifest(signer, 'catalogue', 'live', catalogueContent, 1_795_000_000_000_002n),
    manifestDead: manifest(signer, 'dead', 'dead', plainContent, 1_795_000_000_000_003n),
    nameTombstone: manifest(signer, 'tombstone', 'dead', tombstoneContent, 1_795_000_000_000_004n),
    note: sealNote(keys.fileKey, keys.header, wrap, noteContent, seeded('note')),
    keyBoxNetworkKey: keyBox(signer, 'networkKey'),
    keyBoxCaKeyPart: keyBox(signer, 'caKeyPart'),
    keyBoxRecovery: keyBox(signer, 'recovery'),
    keyChain: sealChainRecord(network, epoch1, epoch2, seeded('chain')),
  };
  const inHex = Object.entries(records).map(([name, bytes]): [string, string] => [name, toHex(bytes)]);
  return { ...Object.fromEntries(inHex), recoveryKit: encodeRecoveryKit(kit, '2026-11-22T00:00:00.000Z') };
};
