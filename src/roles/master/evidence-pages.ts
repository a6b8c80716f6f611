// The manifests that nodes hold, gathered from all of them a group of partitions at a time: of each version the highest
// sequence, and who holds just that. Then what they say, read from one holder each. It decides nothing.
import { parseManifest, verifyManifest, type Manifest } from '../../crypto/manifest.ts';
import { isOperaError, OperaError } from '../../errors/errors.ts';
import type { KeyHash, VersionId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { type Layout, ownersOf } from '../../placement/layout.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { AnswerOf, RequestOf } from '../../wire/routes.ts';
import type { Witness } from './complete-view.ts';
import type { MasterCore } from './core.ts';

export interface FoundManifest {
  readonly version: VersionId;
  readonly partition: number;
  sequence: bigint;
  /** Sound nodes that hold it at that sequence. */
  readonly holders: Set<KeyHash>;
}

export interface GroupEvidence {
  readonly found: readonly FoundManifest[];
  /** Who answered to the end. */
  readonly answered: ReadonlySet<KeyHash>;
}

/** Of the partitions, those that a node owns in any unretired layout. */
const ownedOf = (tables: readonly Layout[], partitions: readonly number[], node: KeyHash): number[] =>
  partitions.filter((partition) => tables.some((table) => ownersOf(table, partition).includes(node)));

/** Lists the manifests of a group of partitions above a sequence, from all owners at once. */
export const listGroup = async (
  core: MasterCore,
  witnesses: readonly Witness[],
  tables: readonly Layout[],
  asked: { readonly incarnation: number; readonly partitions: readonly number[]; readonly above: bigint },
): Promise<GroupEvidence> => {
  const found = new Map<VersionId, FoundManifest>();
  const answered = new Set<KeyHash>();
  await Promise.all(
    witnesses.map(async (witness) => {
      const { keyHash, said } = witness;
      const partitions = ownedOf(tables, asked.partitions, keyHash);
      try {
        // A node whose highest sequence is not above has nothing to list; it said so after it followed the incarnation.
        if (partitions.length > 0 && said.highestSequence > asked.above) {
          await listOne(core, witness, { ...asked, partitions }, (entry) => note(found, keyHash, entry));
        }
        answered.add(keyHash);
      } catch (error) {
        if (isOperaError(error, 'aborted')) throw error;
        core.context.log.warn('evidence-unlisted', { node: witness.member.memberId, ...errorFacts(error) });
      }
    }),
  );
  return { found: [...found.values()], answered };
};

type Listed = AnswerOf<'evidence.list'>['manifests'][number];

const note = (
  found: Map<VersionId, FoundManifest>,
  holder: KeyHash,
  { version, partition, sequence }: Listed,
): void => {
  const known = found.get(version);
  if (!known) {
    found.set(version, { version, partition, sequence, holders: new Set([holder]) });
    return;
  }
  if (sequence > known.sequence) {
    known.sequence = sequence;
    known.holders.clear();
  }
  if (sequence === known.sequence) known.holders.add(holder);
};

const listOne = async (
  core: MasterCore,
  { to }: Witness,
  asked: Omit<RequestOf<'evidence.list'>, 'after' | 'limit' | 'partitions'> & {
    readonly partitions: readonly number[];
  },
  take: (entry: Listed) => void,
): Promise<void> => {
  const { transport, stopping: signal } = core.context;
  let after: RequestOf<'evidence.list'>['after'];
  do {
    const request = { ...asked, partitions: [...asked.partitions], limit: 10_000, ...(after ? { after } : {}) };
    const { answer } = await transport.call(to, 'evidence.list', request, { signal });
    for (const entry of answer.manifests) take(entry);
    after = answer.next;
  } while (after);
};

export interface ReadEvidence {
  readonly found: FoundManifest;
  readonly manifest: Manifest;
  readonly name: string;
  readonly chunkCount: number;
  readonly catalogue?: boolean | undefined;
}

/**
 * Reads what was found, each from one holder and from the next when that one cannot give or open it. What no holder can
 * open is left out, and the caller counts it; `unavailable` when a holder fell silent before the last was read.
 */
export const readFound = async (
  core: MasterCore,
  witnesses: readonly Witness[],
  found: readonly FoundManifest[],
): Promise<ReadEvidence[]> => {
  const byKey = new Map(witnesses.map((witness) => [witness.keyHash, witness]));
  const read: ReadEvidence[] = [];
  let open = [...found];
  const lost = new Set<KeyHash>();
  for (let attempt = 0; open.length > 0 && attempt < witnesses.length; attempt++) {
    const shares = new Map<KeyHash, FoundManifest[]>();
    for (const [at, entry] of open.entries()) {
      const holders = [...entry.holders];
      // The holders in turn, so that all of them open bodies at once.
      const holder = attempt < holders.length ? holders[(at + attempt) % holders.length] : undefined;
      if (holder === undefined) continue;
      const share = shares.get(holder);
      if (share) share.push(entry);
      else shares.set(holder, [entry]);
    }
    const got = await Promise.all(
      [...shares].map(async ([holder, share]) => {
        const witness = byKey.get(holder);
        return witness ? readShare(core, witness, share, lost) : [];
      }),
    );
    const entries = got.flat();
    read.push(...entries);
    const done = new Set(entries.map((entry) => entry.found));
    open = open.filter((entry) => !done.has(entry));
  }
  if (open.some(({ holders }) => [...holders].some((holder) => lost.has(holder)))) {
    throw new OperaError('unavailable', 'a node fell silent while its manifests were read');
  }
  return read;
};

const readShare = async (
  core: MasterCore,
  { to, member, keyHash }: Witness,
  share: readonly FoundManifest[],
  lost: Set<KeyHash>,
): Promise<ReadEvidence[]> => {
  const { transport, stopping: signal, log } = core.context;
  const read: ReadEvidence[] = [];
  try {
    for (let at = 0; at < share.length; ) {
      const batch = share.slice(at, at + limits.batchEntriesMax);
      const request = { versions: batch.map(({ version }) => version) };
      const { answer } = await transport.call(to, 'evidence.read', request, { signal });
      if (answer.manifests.length === 0) throw new OperaError('bad-request', 'an empty page of evidence');
      for (const [position, entry] of answer.manifests.entries()) {
        const found = batch[position];
        const opened = found && entry && openEntry(core, found, entry);
        if (opened) read.push(opened);
      }
      at += answer.manifests.length;
    }
  } catch (error) {
    if (isOperaError(error, 'aborted')) throw error;
    lost.add(keyHash);
    log.warn('evidence-unread', { node: member.memberId, ...errorFacts(error) });
  }
  return read;
};

type Entry = NonNullable<AnswerOf<'evidence.read'>['manifests'][number]>;

/** The manifest when it is the one that was listed, of this network, and signed by one that is or was a master. */
const openEntry = (core: MasterCore, found: FoundManifest, { record, content }: Entry): ReadEvidence | undefined => {
  if (!content) return undefined;
  const { networkId, rosters, log } = core.context;
  try {
    const manifest = parseManifest(record.bytes);
    verifyManifest(manifest, record.signerSpki);
    const byMaster = rosters.roster.byKeyHash.get(manifest.signer)?.role === 'master';
    const same = manifest.version === found.version && manifest.sequence === found.sequence;
    if (!byMaster || !same || manifest.network !== networkId) return undefined;
    return { found, manifest, ...content };
  } catch (error) {
    log.warn('evidence-refused', { version: found.version, ...errorFacts(error) });
    return undefined;
  }
};
