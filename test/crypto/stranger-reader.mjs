// A reader written from docs/formats.md alone, by someone who has none of our code: from a member's X25519 key, its
// key box, the key chain, a manifest and sealed chunks to the plaintext. Plain JavaScript, node:crypto and noble.
// It imports nothing of src/ on purpose. Usage: node stranger-reader.mjs records.json; prints what it found as JSON.
import {
  createHmac,
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hkdfSync,
  verify,
} from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chacha20poly1305, xchacha20poly1305 } from '@noble/ciphers/chacha.js';

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
const must = (ok, what) => {
  if (!ok) throw new Error(`refused: ${what}`);
};

function base32(s) {
  let bits = '';
  for (const c of s) bits += 'abcdefghijklmnopqrstuvwxyz234567'.indexOf(c).toString(2).padStart(5, '0');
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}

// Base mode of RFC 9180, suite 0x0020, 0x0001, 0x0003.
function hpkeOpen(privateRaw, enc, info, aad, sealed) {
  const priv = createPrivateKey({
    key: cat(hex('302e020100300506032b656e04220420'), privateRaw),
    format: 'der',
    type: 'pkcs8',
  });
  const spki = (raw) => cat(hex('302a300506032b656e032100'), raw);
  const recipient = createPublicKey(priv).export({ format: 'der', type: 'spki' }).subarray(12);
  const peer = createPublicKey({ key: spki(enc), format: 'der', type: 'spki' });
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

function openKeyBox(box, network, privateRaw, signerSpki) {
  must(box.length === 214 && box[0] === 1, 'key box');
  must(box.subarray(118, 150).equals(sha256(signerSpki)), 'key box signer');
  const message = cat(text('opera/key-box/v1'), network, box.subarray(0, 150));
  must(signed(signerSpki, box.subarray(150), message), 'key box signature');
  const info = cat(text('opera/key-box/v1'), network);
  const key = hpkeOpen(privateRaw, box.subarray(38, 70), info, box.subarray(0, 38), box.subarray(70, 118));
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
  return { state: record[1], version, sequence: record.readBigUInt64BE(36).toString(), fileKey, content };
}

function u32List(base64) {
  const bytes = Buffer.from(base64, 'base64');
  return Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readUInt32BE(at * 4));
}

function openChunks({ version, fileKey, content }, network, chunks) {
  const header = Buffer.from(content.header, 'base64');
  const salt = header.subarray(48, 80);
  must(header.length === 112 && header.subarray(0, 8).equals(hex('4f50455241010100')), 'header');
  must(header.subarray(8, 24).equals(network) && header.subarray(24, 40).equals(version), 'owner of the header');
  must(header.readUInt32BE(40) === 65536 && header.readUInt32BE(44) === 0, 'segment size');
  const derived = hkdf(fileKey, salt, cat(text('opera/file/v1\0'), network, version), 64);
  must(derived.subarray(32).equals(header.subarray(80)), 'commitment');
  const out = [];
  const lengths = u32List(content.chunkLengths);
  for (const [index, sealed] of chunks.entries()) {
    const segments = Math.ceil(sealed.length / 65552);
    for (let segment = 0; segment < segments; segment++) {
      const end = segment === segments - 1;
      const flags = !end ? 0 : index === chunks.length - 1 ? 3 : 1;
      const nonce = cat(salt.subarray(0, 16), u32(index), u16(segment), Buffer.from([0, flags]));
      out.push(
        open(derived.subarray(0, 32), nonce, sealed.subarray(segment * 65552, (segment + 1) * 65552), sha256(header)),
      );
    }
    must(sealed.length === lengths[index] + 16 * segments, 'length of a chunk');
  }
  must(Buffer.concat(out).length === content.size, 'size');
  return Buffer.concat(out);
}

const file = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const network = base32(file.network);
const record = (name) => hex(file.records[name]);
const spki = hex(file.signerSpki);
const newest = openKeyBox(record('keyBoxNetworkKey'), network, hex(file.memberX25519), spki);
const older = openChain(record('keyChain'), network, newest);
const keys = new Map([newest, older].map(({ epoch, key }) => [epoch, key]));
const manifests = {};
for (const name of ['manifestLive', 'manifestRewrapped', 'manifestCatalogue', 'manifestDead', 'nameTombstone']) {
  const { state, sequence, content } = openManifest(record(name), network, keys, spki);
  manifests[name] = { state, sequence, name: content.name, follows: content.follows, size: content.size };
}
const catalogue = openManifest(record('manifestCatalogue'), network, keys, spki);
const plaintext = openChunks(catalogue, network, [record('chunk0'), record('chunk1')]);
process.stdout.write(`${JSON.stringify({ manifests, plaintext: plaintext.toString('hex') })}\n`);
