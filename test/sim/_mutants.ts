// Mutants: the network with one rule broken on purpose, through the options of the cluster or a wrapped seam. Each
// breaks a promise, and the simulation must notice within few seeds; mutants.test.ts pins a seed that does.
import { encodeManifest } from '../../src/crypto/manifest.ts';
import { wrapEpochOf } from '../../src/crypto/wrap.ts';
import { keyHashOfSpki } from '../../src/crypto/signature.ts';
import { ownersOf, parseLayout } from '../../src/placement/layout.ts';
import { partitionOf } from '../../src/placement/partition.ts';
import type { CommitStep, Registry } from '../../src/registry/registry.ts';
import { WriteBarrier } from '../../src/roles/node/barrier.ts';
import type { ClusterOptions, MemoryCluster } from '../support/memory-cluster.ts';
import type { FaultName } from './_nemesis.ts';
import type { Simulation } from './_simulator.ts';

export interface Mutant {
  /** What is broken, as one would break it by mistake. */
  readonly story: string;
  readonly faults: readonly FaultName[];
  readonly steps: number;
  readonly settings?: Simulation['settings'];
  readonly demandedCopies?: number;
  /** Called for each simulation: what it closes over belongs to that one. */
  readonly broken: (cluster: () => MemoryCluster) => Partial<ClusterOptions>;
}

/** Acknowledges a layout while writes under an older one are under way. */
class EagerBarrier extends WriteBarrier {
  override lowestBelow(): undefined {
    return undefined;
  }
}

const overriding = <T extends object>(target: T, methods: Partial<T>): T =>
  new Proxy(target, {
    get: (object, key) => {
      const value: unknown = Reflect.get(methods, key) ?? Reflect.get(object, key, object);
      return typeof value === 'function' ? value.bind(object) : value;
    },
  });

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
    faults: ['join', 'slow-disk', 'slow-disk', 'delay'],
    steps: 10,
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
    faults: ['join', 'pause', 'clog', 'delay', 'one-way', 'restart'],
    steps: 12,
    broken: () => {
      const highest: bigint[] = [];
      return {
        handlersOf: (handlers, at) => {
          const raised = <T extends { readonly epoch: bigint }>(request: T): T => {
            const epoch = request.epoch > (highest[at] ?? 0n) ? request.epoch : (highest[at] ?? 0n);
            highest[at] = epoch;
            return { ...request, epoch };
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
} satisfies Record<string, Mutant>;

export type MutantName = keyof typeof mutants;
export const mutantNames = Object.keys(mutants) as MutantName[];
