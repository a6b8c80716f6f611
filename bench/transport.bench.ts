// Bodies of 4 MiB through transport and listener with both sides' certificates, against bare node:https with the same
// certificates in the same run. The serving side runs in a thread of its own, as it does in a process of its own.
// Part of `npm run bench`, never of the tests.
import { once } from 'node:events';
import { Agent, createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { cpus } from 'node:os';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { HttpTransport, type TlsCredentials } from '../src/client/http-transport.ts';
import type { Destination, Handlers } from '../src/client/transport.ts';
import { parseRoster, type Roster } from '../src/identity/roster.ts';
import { type NetworkId, parseVersionId } from '../src/model/ids.ts';
import { Listener } from '../src/roles/listener.ts';
import { RoleMetrics } from '../src/roles/metrics.ts';
import { createLogger } from '../src/runtime/log.ts';
import { SystemRandom } from '../src/runtime/random.ts';
import { clock, createMeshNetwork, credentialsOf } from '../test/support/mesh.ts';

const chunk = new Uint8Array(4_195_328).map((_, i) => (i * 2_654_435_761) >>> 13);
const version = parseVersionId('0'.repeat(32));
const rounds = 120;
const megabytes = (chunk.length * rounds) / 1_000_000;

interface Served {
  readonly networkId: NetworkId;
  readonly roster: Uint8Array;
  readonly credentials: TlsCredentials;
}

const stored = { version, index: 0, length: chunk.length, hash: new Uint8Array(32) };
const ticket = { bytes: new Uint8Array(224), signerSpki: new Uint8Array(91) };

const handlers: Handlers = {
  'roster.since': async () => ({ answer: { rosters: [] } }),
  'chunk.copy': async ({ binary }) => {
    if (binary.length !== chunk.length) throw new Error('short');
    return { answer: { outcomes: ['stored'] } };
  },
  'chunk.read': async () => ({
    answer: { chunks: [{ length: chunk.length, hash: stored.hash, totalLength: chunk.length }], more: false },
    binary: [chunk],
  }),
};

const serveBare = async ({ key, certificate, authorities }: TlsCredentials): Promise<number> => {
  const options = { key, cert: certificate, ca: [...authorities], minVersion: 'TLSv1.3' as const };
  const server = createServer({ ...options, requestCert: true, rejectUnauthorized: true }, (incoming, response) => {
    if (incoming.method === 'GET') {
      response.writeHead(200, { 'content-length': chunk.length }).end(chunk);
      return;
    }
    const parts: Buffer[] = [];
    incoming.on('data', (part: Buffer) => parts.push(part));
    incoming.on('end', () => response.end(String(Buffer.concat(parts).length)));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
};

const serve = async ({ networkId, roster, credentials }: Served): Promise<void> => {
  const parsed = parseRoster(roster);
  const listener = await Listener.start({
    kind: 'mesh',
    role: 'node',
    networkId,
    listen: { host: '127.0.0.1', port: 0 },
    credentials: () => credentials,
    roster: () => parsed,
    handlers,
    notReady: () => undefined,
    metrics: new RoleMetrics('node', clock),
    clock,
    random: new SystemRandom(),
    log: createLogger({ role: 'node', write: (line) => process.stdout.write(line), clock }),
  });
  parentPort?.postMessage({ bare: await serveBare(credentials), ours: listener.port });
};

/** Runs `run` `count` times, `width` at a time; answers seconds. */
const timed = async (count: number, width: number, run: () => Promise<unknown>): Promise<number> => {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next++ < count) await run();
  };
  const start = clock.monotonicMs();
  await Promise.all(Array.from({ length: width }, lane));
  return (clock.monotonicMs() - start) / 1_000;
};

const measure = async (what: string, width: number, run: () => Promise<unknown>): Promise<void> => {
  await timed(width * 2, width, run);
  const rate = megabytes / (await timed(rounds, width, run));
  process.stdout.write(`${`${what}, ${width} at a time`.padEnd(50)} ${rate.toFixed(0).padStart(7)} MB/s\n`);
};

const callBare = (tls: TlsCredentials, port: number, agent: Agent, method: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const { key, certificate, authorities } = tls;
    const trust = { key, cert: certificate, ca: [...authorities], checkServerIdentity: () => undefined };
    const outgoing = request({ host: '127.0.0.1', port, method, agent, ...trust }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => {
        Buffer.concat(parts);
        resolve();
      });
    });
    outgoing.on('error', reject);
    outgoing.end(method === 'POST' ? chunk : undefined);
  });

const measureOurs = async (transport: HttpTransport, to: Destination, width: number): Promise<void> => {
  const copy = { ticket, versions: [version], chunks: [stored] };
  await measure('transport and listener, up', width, () => transport.call(to, 'chunk.copy', copy, { binary: [chunk] }));
  const read = { chunks: [{ version, index: 0 }] };
  await measure('transport and listener, down', width, () => transport.call(to, 'chunk.read', read));
};

const main = async (): Promise<void> => {
  const network = await createMeshNetwork();
  const credentials = await credentialsOf(network, network.members.node);
  const { networkId, record } = network;
  const roster: Roster = network.roster;
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { networkId, roster: record.bytes, credentials } satisfies Served,
  });
  const [ports] = (await once(worker, 'message')) as [{ bare: number; ours: number }];
  process.stdout.write(`${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.version}\n`);
  const transport = new HttpTransport({
    networkId,
    credentials: () => credentials,
    roster: () => roster,
    nowMs: () => clock.nowMs(),
  });
  const to = { address: `127.0.0.1:${ports.ours}`, expect: { memberId: network.members.node.memberId } };
  for (const width of [1, 4]) {
    const agent = new Agent({ keepAlive: true, maxSockets: width });
    await measure('bare node:https, up', width, () => callBare(credentials, ports.bare, agent, 'POST'));
    await measure('bare node:https, down', width, () => callBare(credentials, ports.bare, agent, 'GET'));
    agent.destroy();
    await measureOurs(transport, to, width);
  }
  for (const width of [1, 8]) {
    const small = (): Promise<unknown> => transport.call(to, 'roster.since', { number: 1n });
    await timed(200, width, small);
    const rate = 2_000 / (await timed(2_000, width, small));
    process.stdout.write(`${`small calls, ${width} at a time`.padEnd(50)} ${rate.toFixed(0).padStart(7)} calls/s\n`);
  }
  await transport.close();
  await worker.terminate();
};

if (isMainThread) await main();
else await serve(workerData as Served);
