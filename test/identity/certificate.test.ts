// Certificates and requests: only the key of a request counts, and only our exact form of certificate is a member's.
import assert from 'node:assert/strict';
import { createPublicKey, ECDH, generateKeyPairSync, type KeyObject, webcrypto, X509Certificate } from 'node:crypto';
import { before, test } from 'node:test';
import { createSigner } from '../../src/crypto/signature.ts';
import { isOperaError } from '../../src/errors/errors.ts';
import { importPair, loadX509 } from '../../src/identity/_x509.ts';
import {
  authorityFromPrivate,
  createAuthority,
  exportAuthorityScalar,
  issueCertificate,
} from '../../src/identity/authority.ts';
import { parseCaBundle, pinOf } from '../../src/identity/ca-bundle.ts';
import {
  createCsr,
  createKeyAndCsr,
  parseCsr,
  parsePeerCertificate,
  parseSpki,
  renewalDueMs,
  verifyCertificate,
} from '../../src/identity/certificate.ts';
import { checkPeer } from '../../src/identity/peer-check.ts';
import { parseRoster } from '../../src/identity/roster.ts';
import { nextRoster } from '../../src/identity/roster-rules.ts';
import { limits } from '../../src/model/limits.ts';
import { dateOf } from '../../src/runtime/clock.ts';
import {
  certify,
  createTestMember,
  createTestNetwork,
  FixedClock,
  flipped,
  type TestNetwork,
  testNowMs,
} from '../support/identity-network.ts';
import { refuses, rejects } from '../support/refuses.ts';

let network: TestNetwork;
let foreign: TestNetwork;

before(async () => {
  network = await createTestNetwork();
  foreign = await createTestNetwork();
});

interface Odd {
  readonly names?: readonly { readonly type: 'url' | 'dns'; readonly value: string }[];
  readonly ca?: boolean;
  readonly usages?: readonly string[];
}

/** A certificate as a careless or hostile authority would make it. */
const issueOdd = async (signingKey: KeyObject, publicKey: KeyObject, odd: Odd): Promise<Uint8Array> => {
  const x509 = await loadX509();
  const keys = await importPair(publicKey);
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: '01',
      subject: 'CN=odd',
      issuer: 'CN=odd',
      notBefore: dateOf(testNowMs - 1_000),
      notAfter: dateOf(testNowMs + 3_600_000),
      signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
      publicKey: keys.publicKey,
      signingKey: (await importPair(signingKey)).privateKey,
      extensions: [
        new x509.BasicConstraintsExtension(odd.ca ?? false, undefined, true),
        new x509.ExtendedKeyUsageExtension([...(odd.usages ?? ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'])]),
        new x509.SubjectAlternativeNameExtension([...(odd.names ?? [])]),
      ],
    },
    webcrypto,
  );
  return new Uint8Array(certificate.rawData);
};

test('an issued certificate names network, role and the id of its key, for seven days from an hour ago', async () => {
  const node = network.members.node;
  const claims = verifyCertificate(await certify(network, node), network.authority.bundle, testNowMs);
  assert.equal(claims.networkId, network.networkId);
  assert.equal(claims.role, 'node');
  assert.equal(claims.memberId, node.memberId);
  assert.equal(claims.keyHash, node.signer.keyHash);
  assert.deepEqual(claims.spki, node.signer.spki);
  assert.equal(claims.notBeforeMs, testNowMs - 3_600_000);
  assert.equal(claims.notAfterMs, testNowMs + 7 * 24 * 3_600_000);
});

test('two certificates of one key have different serial numbers of 128 bits', async () => {
  const serials = await Promise.all(
    [1, 2].map(async () => new X509Certificate(await certify(network, network.members.node)).serialNumber),
  );
  assert.notEqual(serials[0], serials[1]);
  for (const serial of serials) assert.match(serial, /^[4-7][0-9A-F]{31}$/);
});

test('a request for an authority, foreign names and other usages yields a plain member certificate', async () => {
  const x509 = await loadX509();
  const { privateKey } = createTestMember('node');
  const request = await x509.Pkcs10CertificateRequestGenerator.create(
    {
      name: 'CN=root',
      keys: await importPair(privateKey),
      signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
      extensions: [
        new x509.BasicConstraintsExtension(true, 5, true),
        new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'gateway.example' }]),
      ],
    },
    webcrypto,
  );
  const spki = await parseCsr(new Uint8Array(request.rawData));
  const der = await issueCertificate(network.authority, { role: 'node', spki, nowMs: testNowMs });
  const certificate = new X509Certificate(der);
  assert.equal(certificate.ca, false);
  // Node takes no certificate for an authority's that may not sign others; the extension itself must say so, too.
  assert.equal(new x509.X509Certificate(der).getExtension(x509.BasicConstraintsExtension)?.ca, false);
  assert.doesNotMatch(`${certificate.subject} ${certificate.subjectAltName}`, /root|gateway\.example/);
  assert.equal(parsePeerCertificate(der).role, 'node');
});

test('a request with an RSA key is refused', async () => {
  const x509 = await loadX509();
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  for (const modulusLength of [512, 1024, 2048]) {
    const publicExponent = new Uint8Array([1, 0, 1]);
    const key = { ...algorithm, modulusLength, publicExponent };
    const keys = await webcrypto.subtle.generateKey(key, true, ['sign', 'verify']);
    const options = { keys, signingAlgorithm: algorithm };
    const request = await x509.Pkcs10CertificateRequestGenerator.create(options, webcrypto);
    await rejects(parseCsr(new Uint8Array(request.rawData)), 'bad-request');
  }
});

test('a changed request never yields another key, and bytes may not follow it', async () => {
  const { csr, privateKey } = await createKeyAndCsr();
  const { spki } = createSigner(privateKey);
  assert.deepEqual(await parseCsr(csr), spki);
  let refused = 0;
  for (let at = 0; at < csr.length; at += 1) {
    try {
      // Bytes that the signature does not cover (the name of its algorithm) may be read leniently.
      assert.deepEqual(await parseCsr(flipped(csr, at)), spki);
    } catch (error) {
      assert.ok(isOperaError(error, 'bad-request'), `byte ${at}: ${String(error)}`);
      refused += 1;
    }
  }
  assert.ok(refused > csr.length - 20);
  await rejects(parseCsr(Buffer.concat([csr, new Uint8Array(1)])), 'bad-request');
  await rejects(parseCsr(new Uint8Array(0)), 'bad-request');
  await rejects(parseCsr(new Uint8Array(limits.certificateBytesMax + 1)), 'bad-request');
});

test('one key has one hash: its compressed encoding is refused', () => {
  const spki = createSigner(createTestMember('node').privateKey).spki;
  const point = Buffer.from(
    ECDH.convertKey(Buffer.from(spki.slice(26)), 'prime256v1', undefined, undefined, 'compressed') as Buffer,
  );
  const header = Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex');
  const compressed = new Uint8Array(Buffer.concat([header, point]));
  createPublicKey({ key: Buffer.from(compressed), format: 'der', type: 'spki' });
  refuses(() => parseSpki(compressed), 'bad-request');
});

test('certificates that are not exactly of our form are no member certificates', async () => {
  const member = createTestMember('node');
  const key = network.authority.privateKey;
  const good = { type: 'url', value: `spiffe://${network.networkId}/node/${member.memberId}` } as const;
  const other = createTestMember('node');
  const odd: readonly Odd[] = [
    { names: [good, { type: 'dns', value: 'a.example' }] },
    { names: [good, good] },
    { names: [{ type: 'dns', value: 'a.example' }] },
    { names: [{ type: 'url', value: `${good.value}/x` }] },
    { names: [{ type: 'url', value: `spiffe://${network.networkId}/king/${member.memberId}` }] },
    { names: [{ type: 'url', value: `spiffe://${network.networkId}/constructor/${member.memberId}` }] },
    { names: [{ type: 'url', value: `spiffe://${network.networkId}/node/${other.memberId}` }] },
    { names: [{ type: 'url', value: good.value.toUpperCase() }] },
    { names: [good], ca: true },
    { names: [good], usages: ['1.3.6.1.5.5.7.3.1'] },
    { names: [good], usages: ['1.3.6.1.5.5.7.3.3'] },
  ];
  parsePeerCertificate(await issueOdd(key, member.privateKey, { names: [good] }));
  for (const one of odd) {
    const der = await issueOdd(key, member.privateKey, one);
    refuses(() => parsePeerCertificate(der), 'unauthenticated');
  }
  refuses(() => parsePeerCertificate(new Uint8Array(300)), 'unauthenticated');
});

test('a certificate of another authority, an expired one and a future one are refused', async () => {
  const node = network.members.node;
  const { bundle } = network.authority;
  refuses(() => parseCaBundle(new Uint8Array(0)), 'wrong-authority');
  const stranger = await certify(foreign, node);
  refuses(() => verifyCertificate(stranger, bundle, testNowMs), 'wrong-authority');
  const der = await certify(network, node);
  refuses(() => verifyCertificate(der, bundle, testNowMs - 3_600_001), 'unauthenticated');
  refuses(() => verifyCertificate(der, bundle, testNowMs + limits.certificateLifeMs), 'unauthenticated');
  verifyCertificate(der, bundle, testNowMs + limits.certificateLifeMs - 1);
});

test('a peer passes only as the valid member, role and network that the caller expects', async () => {
  const { networkId, roster, members } = network;
  const { node, gateway } = members;
  const der = await certify(network, node);
  const check = (expectation: object, certificate = der, now = testNowMs) =>
    checkPeer(certificate, { networkId, ...expectation }, roster, now);
  assert.equal(check({ memberId: node.memberId }).memberId, node.memberId);
  assert.equal(check({ roles: ['gateway', 'node'] }).role, 'node');
  refuses(() => check({ memberId: gateway.memberId }), 'peer-mismatch');
  refuses(() => check({ roles: ['gateway', 'master'] }), 'peer-mismatch');
  refuses(() => check({ networkId: foreign.networkId }), 'peer-mismatch');
  refuses(() => check({}, der, testNowMs - 3_600_001), 'unauthenticated');
  refuses(() => check({}, der, testNowMs + limits.certificateLifeMs), 'unauthenticated');
  const asGateway = await certify(network, node, { role: 'gateway' });
  refuses(() => check({}, asGateway), 'peer-mismatch');
  const unlisted = await certify(network, createTestMember('node'));
  refuses(() => check({}, unlisted), 'unauthenticated');
  const second = nextRoster(roster, { revoke: [node.signer.keyHash] }, gateway.signer);
  refuses(() => checkPeer(der, { networkId }, parseRoster(second.bytes), testNowMs), 'revoked');
});

test('without a roster only a gateway of the network passes', async () => {
  const { networkId, members } = network;
  const gateway = await certify(network, members.gateway);
  const node = await certify(network, members.node);
  assert.equal(checkPeer(gateway, { networkId, roles: ['gateway'] }, undefined, testNowMs).role, 'gateway');
  refuses(() => checkPeer(node, { networkId }, undefined, testNowMs), 'peer-mismatch');
});

test('an authority is the same again from its scalar and bundle, and no other bundle', async () => {
  const scalar = exportAuthorityScalar(network.authority);
  assert.equal(scalar.length, 32);
  const again = authorityFromPrivate(scalar, network.authority.bundle.bytes);
  assert.equal(again.networkId, network.networkId);
  assert.deepEqual(again.signer.spki, network.authority.signer.spki);
  refuses(() => authorityFromPrivate(scalar, foreign.authority.bundle.bytes), 'wrong-authority');
  refuses(() => authorityFromPrivate(new Uint8Array(32), network.authority.bundle.bytes), 'integrity');
  refuses(() => authorityFromPrivate(scalar.slice(1), network.authority.bundle.bytes), 'integrity', 'wrong-authority');
});

test('a bundle with an extra root, another network or loose bytes has another pin or is refused', async () => {
  const mine = network.authority.bundle.bytes;
  const extended = Buffer.concat([mine, foreign.authority.bundle.bytes]);
  assert.notDeepEqual(pinOf(extended), pinOf(mine));
  refuses(() => parseCaBundle(extended), 'wrong-authority');
  refuses(() => parseCaBundle(Buffer.concat([mine, new Uint8Array(1)])), 'wrong-authority');
  const member = await certify(network, network.members.node);
  refuses(() => parseCaBundle(member), 'wrong-authority');
  refuses(() => parseCaBundle(Buffer.concat([mine, mine, mine, mine, mine])), 'wrong-authority');
  const key = network.authority.privateKey;
  const names = [{ type: 'url', value: `spiffe://${network.networkId}` }] as const;
  const powerless = await issueOdd(key, key, { names, ca: false });
  refuses(() => parseCaBundle(powerless), 'wrong-authority');
  assert.equal(parseCaBundle(await issueOdd(key, key, { names, ca: true })).networkId, network.networkId);
  const second = await createAuthority(network.networkId, new FixedClock(testNowMs));
  const both = Buffer.concat([mine, second.bundle.bytes]);
  assert.equal(parseCaBundle(both).certificates.length, 2);
  assert.deepEqual(authorityFromPrivate(second.privateKey, both).certificate.spki, second.signer.spki);
});

test('no byte of a bundle can be changed without it being refused', () => {
  const { bytes } = network.authority.bundle;
  for (let at = 0; at < bytes.length; at += 1) {
    refuses(() => parseCaBundle(flipped(bytes, at)), 'wrong-authority');
  }
});

test('renewal falls between half and four fifths of the life, also of a life of seconds', async () => {
  const der = await certify(network, network.members.node, { lifeMs: 10_000 });
  const claims = parsePeerCertificate(der);
  assert.equal(renewalDueMs(claims, 0), testNowMs + 5_000);
  assert.ok(renewalDueMs(claims, 0.999) <= testNowMs + 8_000);
});

test('only P-256 keys make certificates and requests', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  await assert.rejects(createCsr(privateKey));
  refuses(() => parseSpki(new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }))), 'bad-request');
});
