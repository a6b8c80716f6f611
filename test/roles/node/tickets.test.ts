// What a ticket of each operation opens: every route that takes one, with every operation there is. A query's ticket is
// for all catalogues at once and given without a name, so it must never open a chunk.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sha256 } from '../../../src/crypto/digest.ts';
import { isOperaError } from '../../../src/errors/errors.ts';
import { issueTicket, subjectOf, ticketOperations, type TicketOperation } from '../../../src/identity/ticket.ts';
import { bindQuery, parseQuery } from '../../../src/index/query.ts';
import { limits } from '../../../src/model/limits.ts';
import { type RequestOf, type RouteName, routeFacts, routes } from '../../../src/wire/routes.ts';
import { put } from '../../support/cluster-client.ts';
import { MemoryCluster } from '../../support/memory-cluster.ts';

/** Which operations each route of nodes that takes a ticket accepts one of. */
const accepted = {
  'chunk.store': ['put'],
  'chunk.copy': ['put'],
  'chunk.read': ['get'],
  'index.query': ['query'],
  // It says less than each of them allows: which chunks are indexed.
  'index.state': ['put', 'get', 'query'],
} as const satisfies Partial<Record<RouteName, readonly TicketOperation[]>>;
type TicketRoute = keyof typeof accepted;

test('the table names every route of nodes that takes a ticket', () => {
  const taking = (Object.keys(routes) as RouteName[]).filter((name) => {
    const { on, request } = routeFacts(name);
    return on === 'node' && 'entries' in request && 'ticket' in (request.entries as object);
  });
  assert.deepEqual(taking.sort(), Object.keys(accepted).sort());
});

test('a ticket opens the routes of its operation and no others', async () => {
  const cluster = await MemoryCluster.start({ nodes: 1, settings: { copies: 1, writeCopies: 1 } });
  const session = await cluster.session();
  const { version } = await cluster.during(put(session, 'stars', Buffer.from('name,ra,dec,mag\nA,1,2,3\n')));
  const [client, master, node] = [cluster.clients[0], cluster.masters[0], cluster.node(0)];
  assert.ok(client && master);
  const { clock, networkId } = cluster;
  const versions = [version];
  const body = Buffer.alloc(80, 3);
  const stored = [{ version, index: 7, length: body.length, hash: sha256(body) }];
  const sets = [{ version, from: 0, bits: new Uint8Array([1]) }];
  const query = JSON.stringify(bindQuery(parseQuery({ count: true }), () => undefined));
  const requests: { readonly [Name in TicketRoute]: Omit<RequestOf<Name>, 'ticket' | 'versions'> } = {
    'chunk.store': { chunks: stored },
    'chunk.copy': { chunks: stored },
    'chunk.read': { chunks: [{ version, index: 0 }] },
    'index.query': { chunks: sets, query },
    'index.state': { chunks: sets },
  };
  const opens = async (name: TicketRoute, operation: TicketOperation): Promise<boolean> => {
    const issuedMs = clock.nowMs();
    const fields = {
      ...{ operation, networkId, client: client.signer.keyHash, subject: subjectOf(versions) },
      ...{ layoutNumber: 1, chunkLimit: limits.chunkIndexMax, incarnation: 1, id: new Uint8Array(16) },
      ...{ issuedMs, expiresMs: issuedMs + limits.ticketLifeMs },
    };
    const ticket = issueTicket(fields, master.member.signer);
    // Chunks are passed on by nodes, with the ticket of their client.
    const caller = cluster.transportOf(name === 'chunk.copy' ? node.member : client);
    const to = { address: node.address, expect: { memberId: node.member.memberId } };
    const binary = name === 'chunk.store' || name === 'chunk.copy' ? [body] : [];
    try {
      await cluster.during(caller.call(to, name, { ticket, versions, ...requests[name] } as never, { binary }));
      return true;
    } catch (error) {
      if (!isOperaError(error, 'ticket-invalid')) throw error;
      return false;
    }
  };
  const opened: Record<string, TicketOperation[]> = {};
  for (const name of Object.keys(accepted) as TicketRoute[]) {
    opened[name] = [];
    for (const operation of Object.keys(ticketOperations) as TicketOperation[]) {
      if (await opens(name, operation)) opened[name].push(operation);
    }
  }
  assert.deepEqual(opened, accepted);
  cluster.stopAll();
});
