// A small cluster for tests of the client: nodes are maps, the gateway answers for a master and a registry, and every
// message passes the real schemas (memory-network.ts). Tickets and layouts are really signed and checked.
// Faults: `net.fault`, `net.answerFault` and `cluster.onStore` break calls; maps may be altered by the test.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Connection } from '../../src/client/connection.ts';
import { createSession, type Session } from '../../src/client/session.ts';
import type { Handlers, IncomingCall, Peer } from '../../src/client/transport.ts';
import { sha256 } from '../../src/crypto/digest.ts';
import { Keyring } from '../../src/crypto/keyring.ts';
import { parseNote } from '../../src/crypto/note.ts';
import { wrapEpochOf } from '../../src/crypto/wrap.ts';
import { OperaError } from '../../src/errors/errors.ts';
import { createAuthority } from '../../src/identity/authority.ts';
import { defaultSettings } from '../../src/identity/network-settings.ts';
import { keyCheckOf, parseRoster, type Roster } from '../../src/identity/roster.ts';
import { firstRoster } from '../../src/identity/roster-rules.ts';
import { checkTicket, issueTicket, renewTicket, subjectOf, type TicketOperation } from '../../src/identity/ticket.ts';
import { type NetworkId, networkIdFromBytes, type VersionId, versionIdFromBytes } from '../../src/model/ids.ts';
import { setBit } from '../../src/model/bits.ts';
import type { SignedRecord } from '../../src/model/signed-record.ts';
import { encodeLayout, ownersOf } from '../../src/placement/layout.ts';
import { partitionCount, partitionOf } from '../../src/placement/partition.ts';
import { type Random, SystemRandom } from '../../src/runtime/random.ts';
import type { WireChangeOutcome, WireNameChange, WireNameRecord } from '../../src/wire/messages-names.ts';
import type { AnswerOf, RequestOf } from '../../src/wire/routes.ts';
import { createTestMember, FixedClock, type TestMember, testNowMs } from './identity-network.ts';
import { ManualClock } from './manual-clock.ts';
import { MemoryNetwork } from './memory-network.ts';

export interface StoredChunk {
  body: Uint8Array;
  hash: Uint8Array;
}

export interface FakeNode {
  readonly member: TestMember;
  readonly address: string;
  readonly chunks: Map<string, StoredChunk>;
  readonly notes: Map<VersionId, Uint8Array>;
  state: AnswerOf<'name.where'>['nodes'][number]['state'];
}

interface FakeLayout {
  readonly number: number;
  readonly record: SignedRecord;
  readonly nodes: readonly FakeNode[];
}

const peerOf = (member: TestMember): Peer => ({
  memberId: member.memberId,
  keyHash: member.signer.keyHash,
  role: member.role,
  spki: member.signer.spki,
});

const keyOf = (version: VersionId, index: number): string => `${version}/${index}`;

type Outcome = WireChangeOutcome;

export class FakeCluster {
  readonly net = new MemoryNetwork();
  readonly clock = new ManualClock(testNowMs);
  readonly random: Random;
  readonly networkId: NetworkId;
  readonly roster: Roster;
  readonly client: TestMember;
  readonly master: TestMember;
  readonly gateway: TestMember;
  readonly nodes: FakeNode[];
  readonly names = new Map<string, WireNameRecord>();
  readonly uploads = new Map<VersionId, string>();
  readonly outcomes = new Map<string, Outcome>();
  /** Everything a node was sent as chunks, in order: address and sealed bytes. */
  readonly sent: { readonly node: string; readonly key: string; readonly body: Uint8Array }[] = [];
  /** Runs in a node before it stores; throw to refuse. */
  onStore: (node: FakeNode, request: RequestOf<'chunk.store'>) => void = () => undefined;
  /** Changes a commit's outcome before it is decided; undefined lets it be decided. */
  onCommit: (change: WireNameChange) => Outcome | undefined = () => undefined;
  /** Whether a node says that a chunk it holds can be queried. */
  isIndexed: (node: FakeNode, version: VersionId, index: number) => boolean = () => true;
  /** Names that were put as catalogues. */
  readonly catalogues = new Set<string>();
  /** Nodes pass commits of single-chunk files on. */
  forwardsCommits = true;
  keyring: Keyring;
  keyEpoch = 1;
  incarnation = 1;
  copies = 3;
  writeCopies = 2;
  layouts: FakeLayout[] = [];
  #sequence = 1_000_000n;

  private constructor(
    random: Random,
    networkId: NetworkId,
    roster: Roster,
    members: Readonly<Record<'master' | 'gateway' | 'client', TestMember>> & { readonly nodes: readonly TestMember[] },
    networkKey: Uint8Array,
  ) {
    this.random = random;
    this.networkId = networkId;
    this.roster = roster;
    this.master = members.master;
    this.gateway = members.gateway;
    this.client = members.client;
    this.keyring = new Keyring(networkId, [{ epoch: 1, key: networkKey }]);
    this.nodes = members.nodes.map((member, at) => {
      return { member, address: `node-${at}:1`, chunks: new Map(), notes: new Map(), state: 'up' };
    });
  }

  static async create(options: { readonly nodes?: number; readonly random?: Random } = {}): Promise<FakeCluster> {
    const random = options.random ?? new SystemRandom();
    const networkId = networkIdFromBytes(new SystemRandom().bytes(16));
    const authority = await createAuthority(networkId, new FixedClock(testNowMs));
    const [master, gateway] = [createTestMember('master'), createTestMember('gateway')];
    const nodes = Array.from({ length: options.nodes ?? 3 }, () => createTestMember('node'));
    const networkKey = new SystemRandom().bytes(32);
    const client = createTestMember('client');
    const record = firstRoster(
      {
        networkId,
        keyEpoch: 1,
        keyCheck: keyCheckOf(networkId, networkKey),
        settings: defaultSettings,
        members: [gateway, master, client, ...nodes].map(({ entry }) => ({ ...entry, state: 'valid' as const })),
      },
      authority.signer,
    );
    const cluster = new FakeCluster(
      random,
      networkId,
      parseRoster(record.bytes),
      { master, gateway, client, nodes },
      networkKey,
    );
    cluster.addLayout(cluster.nodes);
    cluster.#listen();
    return cluster;
  }

  #listen(): void {
    const roster = (): Roster => this.roster;
    const gateway = { kind: 'mesh' as const, peer: peerOf(this.gateway), roster, handlers: this.#gatewayHandlers() };
    this.net.listen('gateway:1', gateway);
    for (const node of this.nodes) {
      const handlers = this.#nodeHandlers(node);
      this.net.listen(node.address, { kind: 'mesh', peer: peerOf(node.member), roster, handlers });
    }
  }

  /** A next layout over these nodes, owners rotating by partition. */
  addLayout(nodes: readonly FakeNode[], signer: TestMember = this.master): void {
    const sorted = [...nodes].sort((a, b) => (a.member.signer.keyHash < b.member.signer.keyHash ? -1 : 1));
    const copies = Math.min(this.copies, sorted.length);
    const owners = new Uint16Array(partitionCount * copies);
    for (let partition = 0; partition < partitionCount; partition++) {
      for (let slot = 0; slot < copies; slot++) owners[partition * copies + slot] = (partition + slot) % sorted.length;
    }
    const number = (this.layouts.at(-1)?.number ?? 0) + 1;
    const fields = {
      networkId: this.networkId,
      number,
      leaderEpoch: 1n,
      incarnation: this.incarnation,
      previousHash: new Uint8Array(32),
      copies,
      writeCopies: Math.min(this.writeCopies, copies),
      nodes: sorted.map(({ member }) => member.signer.keyHash),
      owners,
    };
    const record = { bytes: encodeLayout(fields, signer.signer), signerSpki: signer.signer.spki };
    this.layouts.push({ number, record, nodes: sorted });
    this.#tables.push(fields);
  }

  readonly #tables: Parameters<typeof ownersOf>[0][] = [];

  /** Owners of a chunk in the newest layout, in order. */
  ownersOf(version: VersionId, index: number): FakeNode[] {
    const table = this.#tables.at(-1);
    const keys = table ? ownersOf(table, partitionOf(version, index)) : [];
    return keys.flatMap((key) => this.nodes.filter(({ member }) => member.signer.keyHash === key));
  }

  /** Jittered sleeps leave fractions, which no wire format carries. */
  #nowMs(): number {
    return Math.round(this.clock.nowMs());
  }

  #plan(haveLayout: number) {
    const newest = this.layouts.at(-1);
    if (!newest) throw new OperaError('no-nodes');
    const known = this.layouts.length === 1 && haveLayout === newest.number;
    return {
      layouts: known ? [] : this.layouts.map(({ record }) => ({ ...record })),
      layoutNumber: newest.number,
      nodes: this.nodes.map((node) => this.#entry(node)),
      incarnation: this.incarnation,
      keyEpoch: this.keyEpoch,
      nowMs: this.#nowMs(),
    };
  }

  #entry({ member, address, state }: FakeNode) {
    const { memberId } = member;
    return { memberId, keyHash: member.signer.keyHash, role: 'node' as const, address, zone: '', state };
  }

  #ticket(operation: TicketOperation, versions: readonly VersionId[]) {
    const issuedMs = this.#nowMs();
    return issueTicket(
      {
        operation,
        networkId: this.networkId,
        client: this.client.signer.keyHash,
        subject: subjectOf(versions),
        layoutNumber: this.layouts.at(-1)?.number ?? 0,
        chunkLimit: 2 ** 31 - 1,
        incarnation: this.incarnation,
        issuedMs,
        expiresMs: issuedMs + 60_000,
        id: this.random.bytes(16),
      },
      this.master.signer,
    );
  }

  #trust() {
    return {
      networkId: this.networkId,
      roster: this.roster,
      client: this.client.signer.keyHash,
      incarnation: this.incarnation,
      nowMs: this.#nowMs(),
      clockOffsetMs: 0,
    };
  }

  #gatewayHandlers(): Handlers {
    return {
      'upload.open': async ({ request }) => {
        const uploads = request.names.map((name) => {
          const version = versionIdFromBytes(this.random.bytes(16));
          this.uploads.set(version, name);
          const current = this.names.get(name);
          return current ? { version, current: { version: current.version, sequence: current.sequence } } : { version };
        });
        const ticket = this.#ticket(
          'put',
          uploads.map(({ version }) => version),
        );
        return { answer: { ...this.#plan(request.haveLayout), uploads, ticket: { ...ticket } } };
      },
      'ticket.renew': async ({ request }) => {
        const { ticket: old, versions, haveLayout } = request;
        const plan = this.#plan(haveLayout);
        const id = this.random.bytes(16);
        const ticket = renewTicket(
          old,
          { ...this.#trust(), versions, layoutNumber: plan.layoutNumber, id },
          this.master.signer,
        );
        return { answer: { ...plan, ticket: { ...ticket } } };
      },
      'upload.held': async ({ request }) => {
        const { version, from, to } = request;
        if (!this.uploads.has(version)) throw new OperaError('upload-closed');
        const held = new Uint8Array(Math.ceil((to - from) / 8));
        for (let index = from; index < to; index++) {
          if (this.isDurable(version, index)) setBit(held, index - from);
        }
        return { answer: { held } };
      },
      'name.commit': async ({ request }) => {
        if (request.ticket && request.versions) this.#check('put', request.ticket, request.versions);
        return { answer: { outcomes: request.changes.map((change) => this.#commit(change)) } };
      },
      'name.get': async ({ request }) => {
        const records = request.names.map((name) => this.names.get(name) ?? null);
        const versions = records.flatMap((record) => (record ? [record.version] : []));
        const ticket = versions.length > 0 ? { ticket: { ...this.#ticket('get', versions) } } : {};
        return { answer: { ...this.#plan(request.haveLayout), records, ...ticket } };
      },
      'name.list': async ({ request }) => {
        const { prefix, after = '', limit } = request;
        const records = [...this.names.values()]
          .sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)))
          .filter(({ name }) => name.startsWith(prefix) && Buffer.compare(Buffer.from(name), Buffer.from(after)) > 0);
        const page = records.slice(0, limit);
        const next = records.length > limit ? page.at(-1)?.name : undefined;
        return { answer: { records: page, ...(next === undefined ? {} : { next }) } };
      },
      'name.where': async ({ request }) => this.#where(request),
    };
  }

  #where({ name, from, limit }: RequestOf<'name.where'>) {
    const record = this.names.get(name);
    if (!record) throw new OperaError('not-found');
    const { version, chunkCount } = record;
    const indices = Array.from({ length: Math.min(limit, chunkCount - from) }, (_, at) => from + at);
    const chunks = indices.map((index) => ({
      index,
      partition: partitionOf(version, index),
      copies: this.ownersOf(version, index).map((node) => ({
        memberId: node.member.memberId,
        state: node.chunks.has(keyOf(version, index)) ? ('held' as const) : ('missing' as const),
        owner: true,
      })),
    }));
    const layoutNumber = this.layouts.at(-1)?.number ?? 0;
    return Promise.resolve({
      answer: { version, chunkCount, chunks, nodes: this.nodes.map((node) => this.#entry(node)), layoutNumber },
    });
  }

  #check(operation: TicketOperation, ticket: SignedRecord, versions: readonly VersionId[]): number {
    return checkTicket(ticket, { ...this.#trust(), operation, versions }).layoutNumber;
  }

  #nodeHandlers(node: FakeNode): Handlers {
    return {
      'chunk.store': async ({ request, binary }: IncomingCall<'chunk.store'>) => {
        const layout = this.#check('put', request.ticket, request.versions);
        this.#record(node, request, binary);
        this.onStore(node, request);
        const newest = this.layouts.at(-1);
        if (layout < (newest?.number ?? 0)) throw new OperaError('layout-changed');
        this.#storeAll(node, request, binary);
        const copies = request.chunks.map(() => this.writeCopies);
        const commit =
          request.commit && this.forwardsCommits
            ? { commit: request.commit.map((change) => this.#commit(change)) }
            : {};
        return { answer: { outcomes: request.chunks.map(() => 'stored' as const), copies, ...commit } };
      },
      'index.state': async ({ request }: IncomingCall<'index.state'>) => {
        this.#check('put', request.ticket, request.versions);
        const indexed = request.chunks.map(({ version, from, bits }) => ({
          version,
          from,
          bits: bits.map((byte, at) => byte & this.#indexedBits(node, version, from + at * 8)),
        }));
        return { answer: { indexed } };
      },
      'chunk.read': async ({ request }: IncomingCall<'chunk.read'>) => {
        if (!request.ticket || !request.versions) throw new OperaError('ticket-invalid');
        this.#check('get', request.ticket, request.versions);
        const binary: Uint8Array[] = [];
        const chunks = request.chunks.map(({ version, index, from = 0, to }) => {
          const found = node.chunks.get(keyOf(version, index));
          if (!found) return null;
          const body = found.body.subarray(from, to);
          binary.push(body);
          return { length: body.length, hash: found.hash, totalLength: found.body.length };
        });
        return { answer: { chunks, more: false }, binary };
      },
    };
  }

  #indexedBits(node: FakeNode, version: VersionId, from: number): number {
    let bits = 0;
    for (let at = 0; at < 8; at++) {
      const holds = node.chunks.has(keyOf(version, from + at)) && node.notes.has(version);
      if (holds && this.isIndexed(node, version, from + at)) bits |= 1 << at;
    }
    return bits;
  }

  #record(node: FakeNode, request: RequestOf<'chunk.store'>, binary: Uint8Array): void {
    let at = 0;
    for (const { version, index, length } of request.chunks) {
      this.sent.push({
        node: node.address,
        key: keyOf(version, index),
        body: new Uint8Array(binary.subarray(at, at + length)),
      });
      at += length;
    }
  }

  /** On the node that was asked and on the other owners, as nodes pass chunks on. */
  #storeAll(node: FakeNode, request: RequestOf<'chunk.store'>, binary: Uint8Array): void {
    let at = 0;
    const notes = new Map(request.notes?.map((note) => [parseNote(note).version, note]));
    for (const { version, index, length, hash } of request.chunks) {
      const body = binary.subarray(at, at + length);
      const note = notes.get(version);
      at += length;
      if (!Buffer.from(sha256(body)).equals(hash)) throw new OperaError('integrity');
      const owners = this.ownersOf(version, index);
      if (!owners.includes(node)) throw new OperaError('layout-changed');
      for (const owner of owners) {
        const known = owner.chunks.get(keyOf(version, index));
        if (known && !Buffer.from(known.hash).equals(hash)) throw new OperaError('hash-conflict');
        owner.chunks.set(keyOf(version, index), { body: new Uint8Array(body), hash });
        if (note) owner.notes.set(version, note);
      }
    }
  }

  isDurable(version: VersionId, index: number): boolean {
    const holders = this.ownersOf(version, index).filter(({ chunks }) => chunks.has(keyOf(version, index)));
    return holders.length >= this.writeCopies;
  }

  #commit(change: WireNameChange): Outcome {
    const known = this.outcomes.get(change.operationId);
    if (known) return { ...known, repeated: true } as Outcome;
    const outcome = this.onCommit(change) ?? this.#decide(change);
    if (outcome.done) this.outcomes.set(change.operationId, outcome);
    return outcome;
  }

  /** The rules of the registry's step, in its order. */
  #decide(change: WireNameChange): Outcome {
    const source = this.names.get(change.name);
    const target = change.kind === 'rename' ? this.names.get(change.to) : source;
    const refuse = (code: string, current = target): Outcome => ({
      done: false,
      code,
      ...(current ? { current: { version: current.version, sequence: current.sequence } } : {}),
    });
    if (change.kind === 'put') {
      for (let index = 0; index < change.chunkCount; index++) {
        if (!this.isDurable(change.sealed.version, index)) return refuse('chunks-missing');
      }
    }
    if (change.condition?.ifAbsent && target) return refuse('exists');
    const { ifVersion } = change.condition ?? {};
    if (ifVersion !== undefined && target?.version !== ifVersion) return refuse('conflict');
    if (change.kind !== 'put') {
      if (!source) return refuse('not-found');
      if (source.version !== change.sealed.version) return refuse('conflict', source);
      if (change.kind === 'rename' && source.sequence !== change.tombstone.follows) return refuse('conflict', source);
    } else if (this.uploads.get(change.sealed.version) !== change.name) return refuse('upload-closed');
    if (wrapEpochOf(change.sealed.wrap) !== this.keyEpoch) return refuse('stale_epoch');
    if (change.sealed.follows !== (target?.sequence ?? 0n)) return refuse('stale_follows');
    return this.#apply(change, source, target);
  }

  #apply(change: WireNameChange, source: WireNameRecord | undefined, target: WireNameRecord | undefined): Outcome {
    const sequence = ++this.#sequence;
    const { body, wrap, version } = change.sealed;
    const { operationId } = change;
    const base = { version, sequence, incarnation: this.incarnation, operationId, body, wrap };
    if (change.kind === 'put') {
      this.uploads.delete(version);
      if (change.catalogue) this.catalogues.add(change.name);
      else this.catalogues.delete(change.name);
      this.names.set(change.name, { ...base, name: change.name, chunkCount: change.chunkCount });
    } else {
      this.names.delete(change.name);
      if (change.kind === 'rename') {
        this.names.set(change.to, { ...base, name: change.to, chunkCount: source?.chunkCount ?? 1 });
      }
    }
    const replaced = target ? { replaced: { version: target.version, sequence: target.sequence } } : {};
    return { done: true, sequence, incarnation: this.incarnation, repeated: false, ...replaced };
  }

  /** A rotation: the next epoch's key, which clients hold after they refresh. */
  rotate(): void {
    this.keyEpoch++;
    this.#rotated = this.keyring.with({ epoch: this.keyEpoch, key: new SystemRandom().bytes(32) });
  }

  #rotated: Keyring | undefined;

  /** A client's connection; its home is a fresh folder unless given. */
  connection(home: string = mkdtempSync(join(tmpdir(), 'opera-client-'))): Connection {
    const transport = this.net.transport({ peer: peerOf(this.client), roster: () => this.roster });
    const held = { keyring: this.keyring };
    const fake = {
      home,
      profile: { version: 1, networkId: this.networkId, role: 'client' },
      rosters: { roster: this.roster },
      keys: {
        hasKeys: true,
        get keyring(): Keyring {
          return held.keyring;
        },
      },
      transport,
      clock: this.clock,
      random: this.random,
      call: async (route: never, request: never, options: object = {}) => {
        const to = { address: 'gateway:1', expect: { role: 'gateway' as const } };
        return (await transport.call(to, route, request, options)).answer;
      },
      refresh: async () => {
        held.keyring = this.#rotated ?? held.keyring;
      },
      close: async () => undefined,
    };
    return fake as unknown as Connection;
  }

  session(home?: string): Promise<Session> {
    return createSession(this.connection(home));
  }
}
