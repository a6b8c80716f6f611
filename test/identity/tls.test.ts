// The certificates in real TLS 1.3 handshakes on loopback: who gets through, in both directions.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { connect, createServer, type PeerCertificate, type Server, type TLSSocket } from 'node:tls';
import type { Authority } from '../../src/identity/authority.ts';
import { bundlePem, certificatePem } from '../../src/identity/ca-bundle.ts';
import { checkPeer, type PeerExpectation } from '../../src/identity/peer-check.ts';
import { isOperaError, type OperaError } from '../../src/errors/errors.ts';
import { SystemClock } from '../../src/runtime/clock.ts';
import { certify, createTestNetwork, type TestMember, type TestNetwork } from '../support/identity-network.ts';

const nowMs = new SystemClock().nowMs();
const day = 24 * 3_600_000;
let network: TestNetwork;
let foreign: TestNetwork;
const servers: Server[] = [];

interface Material {
  readonly key: string;
  readonly cert: string;
}

const materialOf = async (of: TestNetwork, member: TestMember, atMs = nowMs): Promise<Material> => ({
  key: member.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  cert: certificatePem(await certify(of, member, { nowMs: atMs })),
});

const trusting = (authority: Authority) => ({ ca: bundlePem(authority.bundle), minVersion: 'TLSv1.3' as const });

before(async () => {
  network = await createTestNetwork(nowMs - 30 * day);
  foreign = await createTestNetwork(nowMs - 30 * day);
});

after(() => {
  for (const server of servers) server.close();
});

const serve = async (material: Material): Promise<Server> => {
  const options = { ...material, ...trusting(network.authority), requestCert: true, rejectUnauthorized: true };
  const server = createServer(options, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.end('served');
  });
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  servers.push(server.listen(0, '127.0.0.1'));
  await once(server, 'listening');
  return server;
};

/** 'served' when bytes came through both checks, otherwise the error of the client's side. */
const dial = async (server: Server, material: Material | undefined, expectation: PeerExpectation): Promise<unknown> => {
  const socket: TLSSocket = connect({
    ...material,
    ...trusting(network.authority),
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    servername: 'opera.invalid',
    checkServerIdentity: (_host: string, certificate: PeerCertificate) => {
      try {
        checkPeer(certificate.raw, expectation, network.roster, nowMs);
        return undefined;
      } catch (error) {
        return error as OperaError;
      }
    },
  });
  try {
    let text = '';
    for await (const part of socket) text += String(part);
    return text === '' ? 'closed' : text;
  } catch (error) {
    return error;
  } finally {
    socket.destroy();
  }
};

const codeOf = (outcome: unknown): unknown => (outcome instanceof Error && 'code' in outcome ? outcome.code : outcome);

test('members of one network reach each other over TLS 1.3 without names or addresses in certificates', async () => {
  const { gateway, client } = network.members;
  const server = await serve(await materialOf(network, gateway));
  const expectation = { networkId: network.networkId, memberId: gateway.memberId };
  assert.equal(await dial(server, await materialOf(network, client), expectation), 'served');
});

test('the dial ends before a byte is sent when the server is not the member that was expected', async () => {
  const { gateway, client, node } = network.members;
  const server = await serve(await materialOf(network, gateway));
  const mine = await materialOf(network, client);
  const asNode = await dial(server, mine, { networkId: network.networkId, memberId: node.memberId });
  assert.ok(isOperaError(asNode, 'peer-mismatch'));
  const asMaster = await dial(server, mine, { networkId: network.networkId, roles: ['master'] });
  assert.ok(isOperaError(asMaster, 'peer-mismatch'));
});

test('a client refuses a server of another authority, with an expired or with a future certificate', async () => {
  const { gateway, client } = network.members;
  const mine = await materialOf(network, client);
  const expectation = { networkId: network.networkId };
  const outcome = async (material: Material) => codeOf(await dial(await serve(material), mine, expectation));
  assert.match(String(await outcome(await materialOf(foreign, gateway))), /SIGNATURE|ISSUER|SELF_SIGNED/);
  assert.equal(await outcome(await materialOf(network, gateway, nowMs - 8 * day)), 'CERT_HAS_EXPIRED');
  assert.equal(await outcome(await materialOf(network, gateway, nowMs + day)), 'CERT_NOT_YET_VALID');
});

test('a client with no, a foreign, an expired or a future certificate is refused by the server', async () => {
  const { gateway, client } = network.members;
  const server = await serve(await materialOf(network, gateway));
  const expectation = { networkId: network.networkId };
  const refused: readonly (Material | undefined)[] = [
    undefined,
    await materialOf(foreign, client),
    await materialOf(network, client, nowMs - 8 * day),
    await materialOf(network, client, nowMs + day),
  ];
  for (const material of refused) assert.notEqual(await dial(server, material, expectation), 'served');
  assert.equal(await dial(server, await materialOf(network, client), expectation), 'served');
});
