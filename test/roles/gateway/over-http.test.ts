// The gateway over real sockets: joining, renewing and revoking through TLS, against a gateway that is none of ours.
import assert from 'node:assert/strict';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { openProfile } from '../../../src/client/connection.ts';
import { enterHome, openHome, type OpenHome } from '../../../src/client/home.ts';
import { HttpTransport } from '../../../src/client/http-transport.ts';
import { HttpJoinLink } from '../../../src/client/join-link.ts';
import { joinNetwork } from '../../../src/client/join-network.ts';
import { keepRenewal, renewCertificate, runRenewal } from '../../../src/client/renewal.ts';
import { createInvitation } from '../../../src/client/invite.ts';
import { writeProfile } from '../../../src/client/profile.ts';
import { createAuthority, issueCertificate } from '../../../src/identity/authority.ts';
import { certificatePem } from '../../../src/identity/ca-bundle.ts';
import {
  type Identity,
  prepareIdentity,
  replaceCertificate,
  tlsMaterial,
} from '../../../src/identity/identity-folder.ts';
import { encodeJoinCode, parseJoinCode } from '../../../src/identity/join-code.ts';
import type { OperationId } from '../../../src/model/ids.ts';
import { limits } from '../../../src/model/limits.ts';
import { createGateway } from '../../../src/roles/gateway/app.ts';
import { Listener } from '../../../src/roles/listener.ts';
import { encodeFrame, frameMediaType } from '../../../src/wire/frame.ts';
import { routesOf } from '../../../src/wire/routes.ts';
import { GatewayWorld, random } from '../../support/gateway-world.ts';
import { createTestMember } from '../../support/identity-network.ts';
import { rejects } from '../../support/refuses.ts';

const operationId = '00'.repeat(16) as OperationId;
const ends: (() => Promise<unknown>)[] = [];
after(async () => {
  for (const end of ends.reverse()) await end();
});

/** A gateway of a fresh world, listening on loopback; its operator's profile knows where. */
const serve = async (certificateLifeMs?: number) => {
  const { world, first } = await GatewayWorld.create();
  ends.push(() => world.close());
  const { open, context } = first;
  const { rosters, identity } = open;
  let own = identity;
  const addresses = { mesh: '', join: '' };
  const transport = new HttpTransport({
    networkId: identity.networkId,
    credentials: () => tlsMaterial(identity),
    roster: () => rosters.roster,
    nowMs: () => world.clock.nowMs(),
  });
  const gateway = createGateway(
    { ...context, transport },
    {
      registry: world.registry(),
      keys: open.keys,
      joinAddresses: () => [addresses.join],
      meshAddresses: () => [addresses.mesh],
      ...(certificateLifeMs === undefined ? {} : { certificateLifeMs }),
    },
  );
  const listen = (kind: 'mesh' | 'join'): Promise<Listener> =>
    Listener.start({
      ...{ kind, role: 'gateway', networkId: identity.networkId, listen: { host: '127.0.0.1', port: 0 } },
      credentials: () => tlsMaterial(own),
      roster: () => rosters.roster,
      handlers: kind === 'mesh' ? gateway.meshHandlers : gateway.joinHandlers,
      notReady: () => gateway.notReady(),
      ...{ metrics: context.metrics, clock: world.clock, random, log: context.log },
    });
  const [mesh, joining] = [await listen('mesh'), await listen('join')];
  addresses.mesh = `127.0.0.1:${mesh.port}`;
  addresses.join = `127.0.0.1:${joining.port}`;
  rosters.onChange(() => mesh.dropRevoked());
  ends.push(async () => {
    await transport.close();
    await Promise.all([mesh.close(0), joining.close(0)]);
  });
  const { home } = world.homeOf('operator');
  const { profile } = await openHome(home);
  await writeProfile(home, { ...profile, gateways: [addresses.mesh], joinAddresses: [addresses.join] });
  const operator = await openProfile(home, { clock: world.clock });
  ends.push(() => operator.close());
  /** The gateway's own certificate is renewed, as its loop does it. */
  const renewOwn = async (): Promise<number> => {
    own = await replaceCertificate(open.identityFolder, own, await gateway.issueOwn());
    for (const listener of [mesh, joining]) listener.updateCredentials();
    return own.claims.notAfterMs;
  };
  return { world, gateway, operator, addresses, mesh, renewOwn };
};

type Served = Awaited<ReturnType<typeof serve>>;

const joinOver = async ({ world, operator }: Served, name: string): Promise<OpenHome> => {
  const { code } = await createInvitation(operator, { role: 'client', lifeMs: 60_000, uses: 1 });
  const { home, identityFolder } = world.homeOf(name);
  const keys = await prepareIdentity(identityFolder);
  const joined = await joinNetwork({ code, role: 'client', keys, addresses: [], clock: world.clock });
  return enterHome({ home, identityFolder, keys, joined });
};

test('every route the table gives the gateway has a handler', async () => {
  const { gateway } = await serve();
  assert.deepEqual(
    routesOf('gateway', 'mesh').filter((route) => !gateway.meshHandlers[route]),
    [],
  );
  assert.deepEqual(
    routesOf('gateway', 'join').filter((route) => !gateway.joinHandlers[route]),
    [],
  );
});

test('each answer on the mesh says which roster the gateway knows', async () => {
  const { operator, addresses } = await serve();
  await operator.refresh();
  const to = { address: addresses.mesh, expect: { role: 'gateway' } } as const;
  const { rosterNumber } = await operator.transport.call(to, 'ping', {});
  assert.equal(rosterNumber, operator.rosters.roster.number);
});

test('a client joins over HTTPS, works, and is cut off on its open connection when it is revoked', async () => {
  const served = await serve();
  const { world, operator } = served;
  const open = await joinOver(served, 'alice');
  const alice = await openProfile(open.home, { clock: world.clock });
  ends.push(() => alice.close());
  const { members } = await alice.call('member.list', {});
  assert.equal(members.length, 3);
  await rejects(alice.call('token.list', {}), 'forbidden');
  const answer = await operator.call('member.revoke', { memberId: open.identity.memberId, operationId });
  assert.deepEqual(answer.unconfirmed, []);
  await rejects(alice.call('member.list', {}), 'revoked');
});

test('a gateway with an authority of its own sees a request for the bundle and nothing else', async () => {
  const { world, operator } = await serve();
  const { code: text } = await createInvitation(operator, { role: 'client', lifeMs: 60_000, uses: 1 });
  const code = parseJoinCode(text);
  const authority = await createAuthority(code.networkId, world.clock);
  const member = createTestMember('gateway');
  const nowMs = world.clock.nowMs();
  const certificate = await issueCertificate(authority, { role: 'gateway', spki: member.signer.spki, nowMs });
  const seen: Buffer[] = [];
  const answerWith = (bundle: Uint8Array) => {
    const server = createServer(
      {
        key: member.privateKey.export({ format: 'pem', type: 'pkcs8' }),
        cert: certificatePem(certificate),
        minVersion: 'TLSv1.3',
      },
      (request, response) => {
        seen.push(Buffer.from(request.url ?? ''));
        request.on('data', (part: Buffer) => seen.push(part));
        request.on('end', () => {
          response.writeHead(200, { 'content-type': frameMediaType });
          response.end(Buffer.concat(encodeFrame({ bundle })));
        });
      },
    );
    ends.push(
      () =>
        new Promise((resolve) => {
          server.close(resolve);
          server.closeAllConnections();
        }),
    );
    return new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
    });
  };
  const ours = operator.identity().bundle.bytes;
  const theirs = authority.bundle.bytes;
  const keys = await prepareIdentity(world.homeOf('victim').identityFolder);
  const expected = [
    [theirs, 'wrong-authority'],
    [Buffer.concat([ours, theirs]), 'wrong-authority'],
    // The right bundle, which everybody can fetch, does not help: the second connection verifies against it.
    [ours, 'unauthenticated'],
  ] as const;
  for (const [bundle, refusal] of expected) {
    const gateway = { host: '127.0.0.1', port: await answerWith(bundle) };
    const options = { code: encodeJoinCode({ ...code, gateway }), role: 'client', keys, addresses: [] } as const;
    await rejects(joinNetwork({ ...options, clock: world.clock }), refusal);
  }
  const everything = Buffer.concat(seen);
  assert.equal(everything.toString('latin1').split('/v1/join/bundle').length - 1, 3);
  assert.ok(!everything.includes(Buffer.from('join/nonce')) && !everything.includes(Buffer.from('join/join')));
  for (const encoding of ['base64', 'hex', 'latin1'] as const) {
    assert.ok(!everything.toString('latin1').includes(Buffer.from(code.seed).toString(encoding)));
  }
  await joinNetwork({ code: text, role: 'client', keys, addresses: [], clock: world.clock });
});

test('whoever guesses codes is slowed down, and members are not locked out by it', async () => {
  const { world, operator, addresses } = await serve();
  const { networkId, bundle } = operator.identity();
  const { transport } = new HttpJoinLink(world.clock).connect(bundle);
  ends.push(() => transport.close());
  const to = { address: addresses.join, expect: { role: 'gateway' } } as const;
  const guess = async (): Promise<string> => {
    const request = {
      ...{ networkId, tokenKey: random.bytes(32), role: 'operator' as const, agreementKey: random.bytes(32) },
      ...{ addresses: [], csr: random.bytes(300), nonce: random.bytes(40), signature: random.bytes(64) },
    };
    const error = await rejects(transport.call(to, 'join.join', request), 'token-unknown', 'rate-limited');
    return error.code;
  };
  const burst = limits.joinRequestsPerSecond * 10;
  // Nothing is refilled, however long it takes.
  const now = world.clock.monotonicMs();
  Object.assign(world.clock, { monotonicMs: () => now });
  const codes = await Promise.all(Array.from({ length: burst + 50 }, guess));
  assert.ok(codes.filter((code) => code === 'rate-limited').length >= 50);
  await operator.call('member.list', {});
});

/** Members and gateway with certificates of so long, until those they began with are out of date. */
const playRenewals = async (lifeMs: number): Promise<void> => {
  const served = await serve(lifeMs);
  const { world } = served;
  const open = await joinOver(served, 'short');
  let identity: Identity = open.identity;
  const stop = new AbortController();
  const transport = new HttpTransport({
    networkId: identity.networkId,
    credentials: () => tlsMaterial(identity),
    roster: () => open.rosters.roster,
    nowMs: () => world.clock.nowMs(),
  });
  ends.push(() => transport.close());
  let renewals = 0;
  const renewing = runRenewal({
    identity: () => identity,
    renew: async () => {
      const { joinAddresses } = open.profile;
      return keepRenewal(open, identity, await renewCertificate({ identity, joinAddresses, clock: world.clock }));
    },
    onRenewed: async (next) => {
      identity = next;
      renewals += 1;
      await transport.reconnect();
    },
    clock: world.clock,
    random,
    signal: stop.signal,
  });
  const to = { address: served.addresses.mesh, expect: { role: 'gateway' } } as const;
  const first = identity.claims.notAfterMs;
  const firstOwn = await served.renewOwn();
  const load = async (): Promise<void> => {
    while (world.clock.nowMs() <= Math.max(first, firstOwn) + 500) {
      await transport.call(to, 'ping', {});
      await world.clock.sleep(500);
    }
  };
  const workers = Promise.all([load(), load(), load()]);
  workers.catch(() => undefined);
  while (world.clock.nowMs() <= first) {
    await served.renewOwn();
    await world.clock.sleep(20_000);
  }
  try {
    await workers;
    const lastOwn = await served.renewOwn();
    assert.ok(lastOwn > firstOwn);
  } finally {
    stop.abort();
    await renewing;
  }
  assert.ok(renewals >= 1);
  assert.ok(identity.claims.notAfterMs > first);
};

test('certificates of seconds are renewed under load without a failed call', async () => {
  // A machine that stands still for the last third of so short a life fails, and is given longer ones.
  const lives = [4_000, 16_000, 48_000];
  for (const lifeMs of lives) {
    try {
      return await playRenewals(lifeMs);
    } catch (error) {
      if (lifeMs === lives.at(-1)) throw error;
    }
  }
});
