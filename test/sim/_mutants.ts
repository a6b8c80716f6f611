// Mutants: the network with one rule broken on purpose, through the options of the cluster or a wrapped seam. Each
// breaks a promise, and mutants.test.ts pins a seed that notices it.
import { encodeManifest } from '../../src/crypto/manifest.ts';
import { wrapEpochOf } from '../../src/crypto/wrap.ts';
import { keyHashOfSpki } from '../../src/crypto/signature.ts';
import { ownersOf, parseLayout } from '../../src/placement/layout.ts';
import { partitionOf } from '../../src/placement/partition.ts';
import type { CommitStep, Registry } from '../../src/registry/registry.ts';
import { dueActions } from '../../src/roles/master/state.ts';
import { WriteBarrier } from '../../src/roles/node/barrier.ts';
import type { ClusterOptions, MemoryCluster } from '../support/memory-cluster.ts';
import { overriding } from '../support/overriding.ts';
import { queryMutants } from './_mutants-queries.ts';
import type { FaultName } from './_nemesis.ts';
import type { Simulation } from './_simulator.ts';

export interface Mutant {
  /** What is broken, as one would break it by mistake. */
  readonly story: string;
  readonly faults: readonly FaultName[];
  readonly steps: number;
  readonly settings?: Simulation['settings'];
  readonly demandedCopies?: number;
  readonly lanes?: number;
  readonly putsOnly?: boolean;
  readonly long?: boolean;
  readonly messages?: Simulation['messages'];
  readonly slowDisksMs?: readonly number[];
  readonly tidies?: boolean;
  /** Called for each simulation: what it closes over belongs to that one. */
  readonly broken: (cluster: () => MemoryCluster) => Partial<ClusterOptions>;
}

/** Acknowledges a layout while writes under an older one are under way. */
class EagerBarrier extends WriteBarrier {
  override lowestBelow(): undefined {
    return undefined;
  }
}

/** What the owners of chunk 0 would hold of a step, had it been taken. */
const writeManifests = async (cluster: MemoryCluster, step: CommitStep): Promise<void> => {
  const { store, networkId, clock, masters } = cluster;
  const stored = store.layouts.get(step.layoutNumber);
  const signer = masters[0]?.member.signer;
  if (!stored || !signer) return;
  const layout = parseLayout(stored.layout.bytes);
  let sequence = store.sequence;
  for (const { sealed, operationId, kind } of step.changes) {
    const now = BigInt(Math.floor(clock.nowMs() * 1000));
    sequence = now > sequence ? now : sequence + 1n;
    const state = kind === 'remove' ? 'dead' : 'live';
    const { version, body, wrap } = sealed;
    const facts = { state, network: networkId, version, sequence, incarnation: step.incarnation, operationId } as const;
    const record = encodeManifest({ ...facts, body, wrap }, signer);
    const partition = partitionOf(version, 0);
    const owners = ownersOf(layout, partition);
    const write = { version, partition, sequence, wrapEpoch: wrapEpochOf(wrap), state, record, servedHour: 0 } as const;
    for (const node of cluster.nodes) {
      if (!node.runs || !owners.includes(node.member.signer.keyHash)) continue;
      const signed = { ...write, signer: keyHashOfSpki(signer.spki), signerSpki: signer.spki };
      await node.disk
        .open()
        .putManifests([signed])
        .catch(() => undefined);
    }
  }
};

export const mutants = {
  'manifest before the step': {
    story: 'a master sends manifests first and takes the step then: a refused change is on the nodes',
    faults: [],
    steps: 8,
    broken: (cluster) => ({
      registryOf: (registry: Registry) =>
        overriding(registry, {
          commit: async (step) => {
            await writeManifests(cluster(), step);
            return registry.commit(step);
          },
        }),
    }),
  },
  'no write barrier': {
    story: 'a node acknowledges a layout while writes under the one before are under way',
    faults: ['join'],
    steps: 6,
    lanes: 6,
    putsOnly: true,
    slowDisksMs: [2_000, 0, 4_000, 0, 4_000],
    settings: { copies: 1, writeCopies: 1 },
    broken: () => ({ barrierOf: () => new EagerBarrier() }),
  },
  'W - 1': {
    story: 'a put is acknowledged with one copy less than was promised',
    faults: ['kill', 'partition', 'delay', 'slow-disk'],
    steps: 8,
    settings: { copies: 3, writeCopies: 1 },
    demandedCopies: 2,
    broken: () => ({}),
  },
  'no fsync': {
    story: 'a store answers before its writes are durable, and the power goes',
    faults: ['kill', 'crash', 'restart'],
    steps: 8,
    broken: () => ({ noFsync: true }),
  },
  'no fencing': {
    story: 'nodes carry out the orders of a leader that was replaced',
    faults: ['leader-change'],
    messages: { late: 0.5, lateMs: 5_000 },
    steps: 12,
    broken: () => {
      const newest: { readonly epoch: bigint; readonly instance: string }[] = [];
      return {
        handlersOf: (handlers, at) => {
          // Whatever leader an order is from, the node takes it for one of the newest it heard of.
          const raised = <T extends { readonly epoch: bigint; readonly instance: string }>(request: T): T => {
            const { epoch, instance } = request;
            const known = newest[at];
            const leader = known && known.epoch > epoch ? known : { epoch, instance };
            newest[at] = leader;
            return { ...request, ...leader };
          };
          const { 'layout.adopt': adopt, 'layout.covered': covered, 'leader.promise': promise } = handlers;
          return {
            ...handlers,
            ...(adopt ? { 'layout.adopt': (call) => adopt({ ...call, request: raised(call.request) }) } : {}),
            ...(covered ? { 'layout.covered': (call) => covered({ ...call, request: raised(call.request) }) } : {}),
            ...(promise
              ? {
                  'leader.promise': (call) => {
                    raised(call.request);
                    return promise(call);
                  },
                }
              : {}),
          };
        },
      };
    },
  },
  'retire by live nodes': {
    story: 'older layouts are forgotten when the nodes that live are complete, whoever sleeps',
    faults: ['join', 'kill', 'kill'],
    steps: 8,
    lanes: 2,
    putsOnly: true,
    slowDisksMs: [0, 4_000, 4_000, 4_000, 4_000],
    settings: { copies: 1, writeCopies: 1 },
    broken: () => ({
      masterWith: {
        dueActions: (view) => {
          const complete = view.layouts.at(-1)?.number ?? 0;
          const nodes = view.nodes.map((node) => (node.alive ? node : { ...node, completeLayout: complete }));
          return dueActions({ ...view, nodes });
        },
      },
    }),
  },
  'no incarnation check': {
    story: 'a database that went back is taken for the one it was before',
    faults: ['registry-failover', 'registry-rollback', 'silent-rollback'],
    steps: 12,
    broken: (cluster) => ({
      registryOf: (registry) =>
        new Proxy(registry, {
          get: (target, key) => {
            const { store } = cluster();
            store.raisedUnder = store.lifeId;
            const value: unknown = Reflect.get(target, key, target);
            return typeof value === 'function' ? (value.bind(target) as unknown) : value;
          },
        }),
    }),
  },
  'unknown is dead': {
    story: 'a version of which a node knows nothing is deleted as if it were dead, while the one who knows is away',
    faults: ['long-absence', 'join'],
    steps: 6,
    long: true,
    putsOnly: true,
    settings: { copies: 1, writeCopies: 1 },
    broken: () => ({ nodeWith: { hygieneFaults: { sweep: { unknownIsDead: true, unasked: true } } } }),
  },
  'tombstones dropped early': {
    story: 'a node that was away still holds the removed file when the last tombstone goes, and the database is lost',
    faults: ['long-absence', 'long-absence', 'registry-emptied'],
    steps: 10,
    settings: {},
    broken: () => ({ nodeWith: { hygieneFaults: { sweep: { hasty: true, unasked: true } } } }),
  },
  'digests without manifests': {
    story: 'owners compare their chunks only: who was away never hears of a remove',
    faults: ['kill', 'kill', 'loss'],
    steps: 8,
    tidies: true,
    broken: () => ({
      storageOf: (storage) =>
        overriding(storage, {
          digests: async (partition) => {
            const { chunks, manifests } = await storage.digests(partition);
            return { chunks, manifests: new Uint8Array(manifests.length) };
          },
        }),
    }),
  },
  'copies without notes': {
    story: 'a node that gives copies to others keeps the notes of catalogues to itself',
    faults: ['join', 'join', 'kill'],
    steps: 8,
    broken: () => ({
      handlersOf: (handlers) => ({
        ...handlers,
        'note.read': async ({ request }) => ({ answer: { notes: request.versions.map(() => null) } }),
      }),
    }),
  },
  ...queryMutants,
} satisfies Record<string, Mutant>;

export type MutantName = keyof typeof mutants;
