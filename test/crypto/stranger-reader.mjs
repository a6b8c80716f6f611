// A reader written from docs/formats.md alone, by someone who has none of our code. Plain JavaScript, node:crypto, noble
// and an SQLite library; it imports nothing of src/ on purpose. It prints what it found as JSON.
//   node stranger-reader.mjs records FILE                  the golden records: key box, key chain, manifests, chunks
//   node stranger-reader.mjs kit FILE FOLDER…              the files in the data folders of nodes, by the recovery kit
//   node stranger-reader.mjs identity FOLDER FOLDER…       the same, by a member's identity folder
import {
  createHmac,
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hkdfSync,
  verify,
  X509Certificate,
} from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chacha20poly1305, xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import Database from 'better-sqlite3';

const text = (s) => Buffer.from(s, 'utf8');
const hex = (s) => Buffer.from(s, 'hex');
const u16 = (n) => {
  const b = Buffer.alloc(2);
  b.writeUInt16BE(n);
  return b;
};
const u32 = (n) => {
  const b = Buffer.alloc(4);
  b.writeUInt32BE(n);
  return b;
};
const cat = (...parts) => Buffer.concat(parts);
const sha256 = (b) => createHash('sha256').update(b).digest();
const hmac = (key, b) => createHmac('sha256', key).update(b).digest();
const hkdf = (key, salt, info, length) => Buffer.from(hkdfSync('sha256', key, salt, info, length));
const open = (key, nonce, sealed, aad) => Buffer.from(xchacha20poly1305(key, nonce, aad).decrypt(sealed));
const base64 = (s) => Buffer.from(s, 'base64');
const must = (ok, what) => {
  if (!ok) throw new Error(`refused: ${what}`);
};

function base32(s) {
  let bits = '';
  for (const c of s) bits += 'abcdefghijklmnopqrstuvwxyz234567'.indexOf(c).toString(2).padStart(5, '0');
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}

// Base mode of RFC 9180, suite 0x0020, 0x0001, 0x0003.
const x25519Spki = (raw) => cat(hex('302a300506032b656e032100'), raw);
const spkiOf = (key) => createPublicKey(key).export({ format: 'der', type: 'spki' });

function x25519Of(privateRaw) {
  const key = cat(hex('302e020100300506032b656e04220420'), privateRaw);
  return createPrivateKey({ key, format: 'der', type: 'pkcs8' });
}

function hpkeOpen(priv, enc, info, aad, sealed) {
  const recipient = spkiOf(priv).subarray(12);
  const peer = createPublicKey({ key: x25519Spki(enc), format: 'der', type: 'spki' });
  const dh = diffieHellman({ privateKey: priv, publicKey: peer });
  const extract = (suite, salt, label, ikm) => hmac(salt, cat(text('HPKE-v1'), suite, text(label), ikm));
  const expand = (suite, prk, label, context, length) =>
    hmac(prk, cat(u16(length), text('HPKE-v1'), suite, text(label), context, hex('01'))).subarray(0, length);
  const none = Buffer.alloc(0);
  const kem = cat(text('KEM'), u16(0x20));
  const suite = cat(text('HPKE'), u16(0x20), u16(1), u16(3));
  const shared = expand(kem, extract(kem, none, 'eae_prk', dh), 'shared_secret', cat(enc, recipient), 32);
  const context = cat(hex('00'), extract(suite, none, 'psk_id_hash', none), extract(suite, none, 'info_hash', info));
  const secret = extract(suite, shared, 'secret', none);
  const key = expand(suite, secret, 'key', context, 32);
  return Buffer.from(chacha20poly1305(key, expand(suite, secret, 'base_nonce', context, 12), aad).decrypt(sealed));
}

function signed(spki, signature, message) {
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  return verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, signature);
}

function openKeyBox(box, network, priv, signerSpki) {
  must(box.length === 214 && box[0] === 1, 'key box');
  must(box.subarray(118, 150).equals(sha256(signerSpki)), 'key box signer');
  const message = cat(text('opera/key-box/v1'), network, box.subarray(0, 150));
  must(signed(signerSpki, box.subarray(150), message), 'key box signature');
  const info = cat(text('opera/key-box/v1'), network);
  const key = hpkeOpen(priv, box.subarray(38, 70), info, box.subarray(0, 38), box.subarray(70, 118));
  return { epoch: box.readUInt32BE(2), key };
}

function openChain(record, network, newer) {
  const epoch = record.readUInt32BE(1);
  must(record.length === 77 && record[0] === 1 && epoch === newer.epoch - 1, 'key chain');
  const label = text('opera/key-chain/v1');
  const key = hkdf(newer.key, network, label, 32);
  return { epoch, key: open(key, record.subarray(5, 29), record.subarray(29), cat(label, network, u32(epoch))) };
}

function openWrap(wrap, network, version, keys) {
  const epoch = wrap.readUInt32BE(0);
  must(wrap.length === 76 && keys.has(epoch), 'wrap');
  const key = hkdf(keys.get(epoch), network, text('opera/wrap-key/v1'), 32);
  const aad = cat(text('opera/wrap/v1'), network, version, u32(epoch));
  return open(key, wrap.subarray(4, 28), wrap.subarray(28), aad);
}

function openManifest(record, network, keys, signerSpki) {
  must(record[0] === 1 && (record[1] === 1 || record[1] === 2) && record.readUInt16BE(2) === 0, 'manifest');
  must(record.subarray(4, 20).equals(network), 'network of the manifest');
  const version = record.subarray(20, 36);
  const end = 68 + record.readUInt32BE(64);
  must(record.length === end + 172, 'length of the manifest');
  must(record.subarray(end, end + 32).equals(sha256(signerSpki)), 'signer of the manifest');
  const message = cat(text('opera/manifest/v1'), record.subarray(0, end + 32));
  must(signed(signerSpki, record.subarray(end + 32, end + 96), message), 'signature of the manifest');
  const fileKey = openWrap(record.subarray(end + 96), network, version, keys);
  const body = record.subarray(68, end);
  const key = hkdf(fileKey, version, cat(text('opera/manifest/v1\0'), network), 32);
  const aad = cat(text('opera/manifest/v1'), network, version, record.subarray(1, 2));
  const content = JSON.parse(open(key, body.subarray(0, 24), body.subarray(24), aad).toString('utf8'));
  const epoch = record.readUInt32BE(end + 96);
  return { state: record[1], version, sequence: record.readBigUInt64BE(36), epoch, fileKey, content };
}

/** Plaintext bytes of each chunk. */
function chunkLengths({ size, chunkLengths: listed }) {
  if (listed === undefined) {
    const count = Math.max(1, Math.ceil(size / 4_194_304));
    return Array.from({ length: count }, (_, at) => Math.min(4_194_304, size - at * 4_194_304));
  }
  const bytes = base64(listed);
  return Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readUInt32BE(at * 4));
}

function openChunks({ version, fileKey, content }, network, chunks) {
  const header = base64(content.header);
  const salt = header.subarray(48, 80);
  must(header.length === 112 && header.subarray(0, 8).equals(hex('4f50455241010100')), 'header');
  must(header.subarray(8, 24).equals(network) && header.subarray(24, 40).equals(version), 'owner of the header');
  must(header.readUInt32BE(40) === 65536 && header.readUInt32BE(44) === 0, 'segment size');
  const derived = hkdf(fileKey, salt, cat(text('opera/file/v1\0'), network, version), 64);
  must(derived.subarray(32).equals(header.subarray(80)), 'commitment');
  const out = [];
  const lengths = chunkLengths(content);
  must(lengths.length === chunks.length, 'count of chunks');
  for (const [index, sealed] of chunks.entries()) {
    const segments = Math.max(1, Math.ceil(lengths[index] / 65536));
    must(sealed.length === lengths[index] + 16 * segments, 'length of a chunk');
    for (let segment = 0; segment < segments; segment++) {
      const end = segment === segments - 1;
      const flags = !end ? 0 : index === chunks.length - 1 ? 3 : 1;
      const nonce = cat(salt.subarray(0, 16), u32(index), u16(segment), Buffer.from([0, flags]));
      out.push(
        open(derived.subarray(0, 32), nonce, sealed.subarray(segment * 65552, (segment + 1) * 65552), sha256(header)),
      );
    }
  }
  must(Buffer.concat(out).length === content.size, 'size');
  return Buffer.concat(out);
}

function readRecords(path) {
  const file = JSON.parse(readFileSync(path, 'utf8'));
  const network = base32(file.network);
  const record = (name) => hex(file.records[name]);
  const spki = hex(file.signerSpki);
  const newest = openKeyBox(record('keyBoxNetworkKey'), network, x25519Of(hex(file.memberX25519)), spki);
  const older = openChain(record('keyChain'), network, newest);
  const keys = new Map([newest, older].map(({ epoch, key }) => [epoch, key]));
  const manifests = {};
  for (const name of ['manifestLive', 'manifestRewrapped', 'manifestCatalogue', 'manifestDead', 'nameTombstone']) {
    const { state, sequence, content } = openManifest(record(name), network, keys, spki);
    const { name: called, follows, size } = content;
    manifests[name] = { state, sequence: sequence.toString(), name: called, follows, size };
  }
  const catalogue = openManifest(record('manifestCatalogue'), network, keys, spki);
  const plaintext = openChunks(catalogue, network, [record('chunk0'), record('chunk1')]);
  return { manifests, plaintext: plaintext.toString('hex') };
}

function readKit(path) {
  const [title, ...lines] = readFileSync(path, 'utf8').split('\n');
  must(title === 'Space Opera recovery kit, version 1', 'title of the kit');
  const kit = {};
  for (const line of lines.filter((at) => at.trim() !== '' && !at.startsWith('#'))) {
    const [word, ...value] = line.trim().split(/\s+/);
    kit[word.toLowerCase()] = base32(value.join('').toLowerCase());
  }
  const { network, authority, key, check } = kit;
  const digest = sha256(cat(text('opera/recovery-kit/v1'), network, authority, key));
  must(digest.subarray(0, 5).equals(check), 'check of the kit');
  const priv = x25519Of(key);
  return { network, authority, priv, recipient: sha256(spkiOf(priv)), kind: 3 };
}

function readIdentity(folder) {
  const file = (name) => readFileSync(join(folder, name));
  const certificate = new X509Certificate(file('certificate.pem'));
  const spki = certificate.publicKey.export({ format: 'der', type: 'spki' });
  const network = base32(/^URI:spiffe:\/\/([a-z2-7]{26})\//.exec(certificate.subjectAltName)[1]);
  must(certificate.verify(new X509Certificate(file('ca.der')).publicKey), 'certificate');
  must(spkiOf(createPrivateKey(file('key.pem'))).equals(spki), 'key of the certificate');
  const recipient = sha256(spki);
  return { network, authority: sha256(file('ca.der')), priv: createPrivateKey(file('x25519.pem')), recipient, kind: 1 };
}

/** The newest roster of the folders; each file is the record and the 91 bytes of its signer's key. */
function readRosters(folders, network) {
  const paths = folders.flatMap((folder) => [
    join(folder, 'roster'),
    ...readdirSync(join(folder, 'rosters')).map((name) => join(folder, 'rosters', name)),
  ]);
  const rosters = paths.map((path) => {
    const file = readFileSync(path);
    const [record, spki] = [file.subarray(0, -91), file.subarray(-91)];
    const settings = record.readUInt32BE(93);
    const count = record.readUInt32BE(97 + settings);
    must(record[0] === 1 && record.length === 197 + settings + 66 * count, 'roster');
    must(record.subarray(1, 17).equals(network), 'network of the roster');
    must(record.subarray(-96, -64).equals(sha256(spki)), 'signer of the roster');
    const message = cat(text('opera/roster/v1'), record.subarray(0, -64));
    must(signed(spki, record.subarray(-64), message), 'signature of the roster');
    const members = new Map();
    for (let at = 101 + settings; at < record.length - 96; at += 66) {
      members.set(record.toString('hex', at, at + 32), { role: record[at + 32], state: record[at + 33] });
    }
    const epoch = record.readUInt32BE(57);
    return { number: Number(record.readBigUInt64BE(17)), epoch, check: record.subarray(61, 93), members };
  });
  return rosters.reduce((best, roster) => (roster.number > best.number ? roster : best));
}

/** Every network key: the newest from the recipient's box, the older ones by the chain. */
function readKeys(folders, { network, priv, recipient, kind }, roster) {
  const stored = folders.map((folder) => JSON.parse(readFileSync(join(folder, 'keys.json'), 'utf8')));
  const boxes = stored.flatMap(({ keyBoxes }) => keyBoxes).map((at) => [base64(at.bytes), base64(at.signerSpki)]);
  const own = boxes.find(
    ([box]) => box[1] === kind && box.readUInt32BE(2) === roster.epoch && box.subarray(6, 38).equals(recipient),
  );
  must(own !== undefined, 'no box for this key');
  // The first boxes are the authority's, later ones a gateway's.
  const signer = roster.members.get(own[0].toString('hex', 118, 150));
  must(signer?.role === 1 || roster.epoch === 1, 'signer of the key box');
  const newest = openKeyBox(own[0], network, priv, own[1]);
  must(sha256(cat(text('opera/key-check/v1'), network, newest.key)).equals(roster.check), 'key check');
  const chain = new Map(stored.flatMap(({ keyChain }) => keyChain.map(base64)).map((at) => [at.readUInt32BE(1), at]));
  const keys = new Map();
  for (let at = newest; at; ) {
    keys.set(at.epoch, at.key);
    at = at.epoch > 1 ? openChain(chain.get(at.epoch - 1), network, at) : undefined;
  }
  return keys;
}

/** The newest manifest of each version, then of each name. */
function readNames(stores, network, keys, roster) {
  const versions = new Map();
  const names = new Map();
  const isNewer = (a, b) => !b || a.sequence > b.sequence || (a.sequence === b.sequence && a.epoch > b.epoch);
  for (const { database } of stores) {
    for (const row of database.prepare('SELECT version, record, signer_spki FROM manifests').all()) {
      must(roster.members.get(sha256(row.signer_spki).toString('hex'))?.role === 2, 'signer is no master');
      const manifest = openManifest(row.record, network, keys, row.signer_spki);
      must(manifest.version.toString('hex') === row.version, 'version of the row');
      if (isNewer(manifest, versions.get(row.version))) versions.set(row.version, manifest);
    }
  }
  for (const manifest of versions.values()) {
    if (isNewer(manifest, names.get(manifest.content.name))) names.set(manifest.content.name, manifest);
  }
  return names;
}

function sealedChunk(stores, version, index) {
  const sql =
    'SELECT sha256, body, file FROM chunks LEFT JOIN bodies USING (body_id) WHERE version = ? AND chunk_index = ?';
  for (const { database, folder } of stores) {
    const row = database.prepare(sql).get(version.toString('hex'), index);
    const sealed = row && (row.body ?? readFileSync(join(folder, 'chunks', row.file)));
    if (sealed && sha256(sealed).equals(row.sha256)) return sealed;
  }
  throw new Error(`refused: no copy of chunk ${index}`);
}

function readNetwork(keyHolder, folders) {
  const { network } = keyHolder;
  const roster = readRosters(folders, network);
  const keys = readKeys(folders, keyHolder, roster);
  const stores = folders.map((folder) => {
    must(existsSync(join(folder, 'node.db')), 'node.db');
    const database = new Database(join(folder, 'node.db'), { readonly: true });
    must(database.pragma('application_id', { simple: true }) === 0x4f505241, 'application id');
    must(database.pragma('user_version', { simple: true }) === 1, 'user version');
    return { folder, database };
  });
  const found = { authority: keyHolder.authority.toString('hex'), roster: roster.number, epochs: keys.size };
  const [files, dead] = [{}, []];
  for (const [name, manifest] of readNames(stores, network, keys, roster)) {
    if (manifest.state === 2) dead.push(name);
    else {
      const { version, content } = manifest;
      const chunks = chunkLengths(content).map((_, index) => sealedChunk(stores, version, index));
      const plaintext = openChunks(manifest, network, chunks);
      files[name] = { size: plaintext.length, sha256: sha256(plaintext).toString('hex') };
    }
  }
  for (const { database } of stores) database.close();
  return { ...found, files, dead: dead.sort() };
}

const [mode, path, ...folders] = process.argv.slice(2);
const read = {
  records: () => readRecords(path),
  kit: () => readNetwork(readKit(path), folders),
  identity: () => readNetwork(readIdentity(path), folders),
};
process.stdout.write(`${JSON.stringify(read[mode]())}\n`);
