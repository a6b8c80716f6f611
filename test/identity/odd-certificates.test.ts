// Certificates of our own authority that say something else than a member's does: usage, names, an authority's rights.
import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { after, before, test } from 'node:test';
import type { TlsCredentials } from '../../src/client/http-transport.ts';
import { importPair, importPublic, loadX509 } from '../../src/identity/_x509.ts';
import { certificatePem } from '../../src/identity/ca-bundle.ts';
import { spiffeUri } from '../../src/identity/certificate.ts';
import type { Listener } from '../../src/roles/listener.ts';
import { dateOf } from '../../src/runtime/clock.ts';
import { clock, credentialsOf, failure, Mesh } from '../support/mesh.ts';
import { goodRequest, RawClient } from '../support/raw-client.ts';

const serverAuth = '1.3.6.1.5.5.7.3.1';
const clientAuth = '1.3.6.1.5.5.7.3.2';

let mesh: Mesh;
let listener: Listener;
let handled = 0;

before(async () => {
  mesh = await Mesh.create();
  listener = await mesh.listen('node', {
    ping: async () => {
      handled++;
      return { answer: {} as never };
    },
  });
});
after(() => mesh.close());

interface Odd {
  readonly usages?: readonly string[];
  readonly ca?: boolean;
  readonly names?: readonly string[];
}

/** The operator's certificate as a careless authority would have made it. */
const issue = async (odd: Odd): Promise<TlsCredentials> => {
  const { authority, members, networkId } = mesh.network;
  const { operator } = members;
  const x509 = await loadX509();
  const uri = spiffeUri(networkId, 'operator', operator.memberId);
  const names = (odd.names ?? [uri]).map((value) => ({ type: 'url' as const, value }));
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: '0102',
      subject: `CN=${operator.memberId}`,
      issuer: `CN=Space Opera ${networkId}`,
      notBefore: dateOf(clock.nowMs() - 60_000),
      notAfter: dateOf(clock.nowMs() + 3_600_000),
      signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
      publicKey: await importPublic(operator.signer.spki),
      signingKey: (await importPair(authority.privateKey)).privateKey,
      extensions: [
        new x509.BasicConstraintsExtension(odd.ca ?? false, undefined, true),
        new x509.ExtendedKeyUsageExtension([...(odd.usages ?? [serverAuth, clientAuth])]),
        new x509.SubjectAlternativeNameExtension(names),
      ],
    },
    webcrypto,
  );
  const good = await credentialsOf(mesh.network, operator);
  return { ...good, certificate: certificatePem(new Uint8Array(certificate.rawData)) };
};

/** What a ping with these credentials gets: a status, or 0 for a hang-up. */
const knock = async (tls: TlsCredentials): Promise<number> => {
  const client = await RawClient.open(listener.port, tls);
  client.write(goodRequest());
  const [answer] = await client.waitForAnswers(1, 1_000);
  client.destroy();
  return answer?.status ?? 0;
};

test('the same certificate with nothing odd in it is let in', async () => {
  assert.equal(await knock(await issue({})), 200);
});

test('a certificate that is not for both sides of TLS, of an authority, or with another name is kept out', async () => {
  handled = 0;
  const { networkId, members } = mesh.network;
  const mine = spiffeUri(networkId, 'operator', members.operator.memberId);
  const odd: readonly (readonly [Odd, number])[] = [
    [{ usages: [serverAuth] }, 0],
    [{ usages: ['1.3.6.1.5.5.7.3.3'] }, 0],
    [{ usages: [clientAuth] }, 401],
    [{ ca: true }, 401],
    [{ names: [spiffeUri(networkId, 'gateway', members.operator.memberId)] }, 403],
    [{ names: [spiffeUri(networkId, 'operator', members.gateway.memberId)] }, 401],
    [{ names: [mine, mine] }, 401],
    [{ names: ['https://opera.invalid/'] }, 401],
  ];
  for (const [what, status] of odd) assert.equal(await knock(await issue(what)), status, JSON.stringify(what));
  assert.equal(handled, 0);
});

test('a certificate that is not for dialling is named as the reason when the other side hangs up', async () => {
  const credentials = await issue({ usages: [serverAuth] });
  const transport = await mesh.dial('operator', { credentials: () => credentials });
  const error = await failure(transport.call(mesh.to(listener, 'node'), 'ping', {}));
  assert.equal(error.code, 'unauthenticated');
  assert.match(error.message, /not for dialling/);
});
