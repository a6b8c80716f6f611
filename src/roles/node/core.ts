// What the parts of a node share: its seams, its durable notes, the write barrier and the checks every request needs.
import type { KeyKeeper } from '../../client/key-keeper.ts';
import type { Peer } from '../../client/transport.ts';
import { OperaError } from '../../errors/errors.ts';
import { checkTicket, parseTicket, type Ticket, type TicketOperation } from '../../identity/ticket.ts';
import type { KeyHash, VersionId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import type { SignedRecord } from '../../model/signed-record.ts';
import type { ChunkAddress, ChunkInfo, StorageAdapter } from '../../storage-adapters/storage-adapter.ts';
import type { RoleContext } from '../context.ts';
import { destinationOf, type PeerBook } from '../peer-book.ts';
import type { WriteBarrier } from './barrier.ts';
import type { NodeMemory } from './memory.ts';
import type { Notes } from './notes.ts';
import type { Soundness } from './soundness.ts';
import { newestLayout } from './state.ts';
import type { Throttle } from './throttle.ts';

export interface CopyWatch {
  /** Returns at once. */
  report(address: ChunkAddress): void;
  /** As `report`, for the note of a catalogue. */
  reportNote(version: VersionId): void;
  verifiedMs(info: ChunkInfo): Promise<number>;
}

export interface NodeCore {
  readonly context: RoleContext;
  readonly self: KeyHash;
  readonly storage: StorageAdapter;
  readonly memory: NodeMemory;
  readonly barrier: WriteBarrier;
  /** Writes of manifests by masters, by the incarnation they came under. */
  readonly incarnations: WriteBarrier;
  readonly book: PeerBook;
  readonly keys: KeyKeeper;
  /** The budget of background work; client requests run inside `serve`. */
  readonly throttle: Throttle;
  /** Notes of catalogues: chunks that come and go pass by here. */
  readonly notes: Notes;
  /** Whether the store is what this node had acknowledged. */
  readonly soundness: Soundness;
  /** Who reads copies back: told of those that a read found altered, asked when one was last whole. */
  copies: CopyWatch;
  /** Masters' clock minus the own one, in ms, as the last heartbeat showed. */
  clockOffsetMs: number;
  /** Served hours of the network (u32), in which ages are counted; 0 until a leader said. Follows `memory`. */
  readonly servedHour: number;
  /** The last word of a leader on deleting; undefined until one spoke. */
  deletion:
    | {
        readonly allowed: boolean;
        readonly incarnation: number;
        /** The newest layout that it was said under. */
        readonly layoutNumber: number;
        readonly atMs: number;
      }
    | undefined;
}

/**
 * True while a leader says that deleting is safe, in the life of the registry that this node knows. Without it nothing
 * is deleted; ask right before each deletion.
 */
export const mayDelete = ({ deletion, memory, context }: Pick<NodeCore, 'deletion' | 'memory' | 'context'>): boolean =>
  deletion !== undefined &&
  deletion.allowed &&
  deletion.incarnation === memory.state.incarnation &&
  context.clock.monotonicMs() - deletion.atMs < limits.mayDeleteMs;

/**
 * The newest layout that is acknowledged: in force here, and no write under a lower one is under way any more. What is
 * in force already but not yet drained must not be told, or a leader would call covered what is not.
 */
export const acknowledgedLayout = ({ memory, barrier }: Pick<NodeCore, 'memory' | 'barrier'>): number => {
  const newest = newestLayout(memory.state)?.number ?? 0;
  return barrier.lowestBelow(newest) ?? newest;
};

/** The member to dial for a key; `unavailable` when its address is not known. */
export const destinationOfNode = (core: Pick<NodeCore, 'memory' | 'book'>, keyHash: KeyHash) => {
  const entry = core.memory.peers.find((peer) => peer.keyHash === keyHash) ?? core.book.byKeyHash(keyHash);
  if (!entry) throw new OperaError('unavailable', 'the address of an owner is not known');
  return destinationOf(entry);
};

export const requirePeer = (peer: Peer | undefined): Peer => {
  if (!peer) throw new OperaError('unauthenticated');
  return peer;
};

/**
 * Checks the ticket of a request. A node passing chunks on shows its client's ticket, so the client is the ticket's
 * own; from everybody else the TLS peer must be the client it was issued to.
 */
export const requireTicket = (
  core: NodeCore,
  peer: Peer,
  operation: TicketOperation,
  shown: { readonly ticket: SignedRecord; readonly versions: readonly VersionId[]; readonly chunkIndex: number },
  passedOn = false,
): Ticket => {
  const { context, memory } = core;
  return checkTicket(shown.ticket, {
    operation,
    networkId: context.networkId,
    roster: context.rosters.roster,
    client: passedOn ? parseTicket(shown.ticket.bytes).client : peer.keyHash,
    versions: shown.versions,
    chunkIndex: shown.chunkIndex,
    incarnation: memory.state.incarnation,
    nowMs: context.clock.nowMs(),
    clockOffsetMs: core.clockOffsetMs,
  });
};
