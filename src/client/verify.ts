// Reading every copy of chunks from every owner and checking each as a reader would: hash, seal, and that all copies of
// a chunk are the same bytes. It trusts no node's word about its own disk; what it finds it reports and does not mend.
import { equalBytes, sha256 } from '../crypto/digest.ts';
import { sealedLength } from '../crypto/geometry.ts';
import { openChunk } from '../crypto/sealing.ts';
import { isOperaError, OperaError } from '../errors/errors.ts';
import type { MemberId } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import type { Random } from '../runtime/random.ts';
import { keysOf, type RemoteFile, resolveNames } from './open-file.ts';
import { forEachAtOnce } from './parallel.ts';
import { remedyOf } from './patience.ts';
import type { Plan } from './plan.ts';
import type { Session } from './session.ts';
import type { Owner } from './view.ts';

/**
 * missing: the owner has none; unreachable: it did not answer; altered: hash or seal wrong, or another copy differs.
 */
export type CopyState = 'good' | 'missing' | 'unreachable' | 'altered';

export interface CopyVerdict {
  readonly name: string;
  readonly index: number;
  readonly memberId: MemberId;
  readonly state: CopyState;
  /** Sealed bytes read. */
  readonly bytes: number;
}

export interface VerifyOptions {
  /** Fraction of the chunks in (0, 1]; each is drawn by itself. */
  readonly sample?: number;
  readonly signal: AbortSignal;
  /** Told of each copy. */
  readonly onCopy: (verdict: CopyVerdict) => void;
  /** Told of names whose manifest could not be opened, or that are gone by now. */
  readonly onName: (name: string, error: OperaError) => void;
}

interface Wanted {
  readonly file: RemoteFile;
  readonly index: number;
  readonly bytes: number;
  /** Hash of the first good copy seen. */
  agreed: Uint8Array | undefined;
}

const chunksOf = function* (files: readonly RemoteFile[], sample: number, random: Random): Generator<Wanted> {
  for (const file of files) {
    const { geometry } = file;
    for (let index = 0; index < geometry.chunkCount; index++) {
      const drawn = sample >= 1 || new DataView(random.bytes(4).slice().buffer).getUint32(0) < sample * 2 ** 32;
      if (drawn) yield { file, index, bytes: sealedLength(geometry.lengthOf(index)), agreed: undefined };
    }
  }
};

/** Chunks that fit one answer. */
const groupsOf = (wanted: readonly Wanted[]): Wanted[][] => {
  const groups: Wanted[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const chunk of wanted) {
    if (bytes + chunk.bytes > limits.batchBytesMax || (groups.at(-1)?.length ?? 0) >= limits.batchEntriesMax) {
      groups.push([]);
      bytes = 0;
    }
    groups.at(-1)?.push(chunk);
    bytes += chunk.bytes;
  }
  return groups;
};

class Verification {
  readonly #session: Session;
  readonly #plan: Plan;
  readonly #options: VerifyOptions;

  constructor(session: Session, plan: Plan, options: VerifyOptions) {
    this.#session = session;
    this.#plan = plan;
    this.#options = options;
  }

  async run(wanted: readonly Wanted[]): Promise<void> {
    const { view } = this.#session;
    const byOwner = new Map<MemberId, { readonly owner: Owner; readonly wanted: Wanted[] }>();
    for (const chunk of wanted) {
      for (const owner of view.writersOf(chunk.file.record.version, chunk.index)) {
        const memberId = memberOf(owner);
        const entry = byOwner.get(memberId) ?? { owner, wanted: [] };
        byOwner.set(memberId, entry);
        entry.wanted.push(chunk);
      }
    }
    // One message at a time to each owner: checking must not push readers aside.
    await forEachAtOnce(byOwner.values(), byOwner.size || 1, this.#options.signal, async ({ owner, wanted: own }) => {
      for (const group of groupsOf(own)) await this.#group(owner, group);
    });
  }

  async #group(owner: Owner, group: readonly Wanted[]): Promise<void> {
    for (let left = group; left.length > 0; ) {
      const answered = await this.#ask(owner, left);
      if (answered === 0) {
        for (const chunk of left) this.#tell(owner, chunk, 'unreachable', 0);
        return;
      }
      left = left.slice(answered);
    }
  }

  /** How many of the chunks the node answered about; 0 when it did not. */
  async #ask(owner: Owner, group: readonly Wanted[]): Promise<number> {
    const { signal } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const grant = await this.#plan.grant(signal);
      const chunks = group.map(({ file, index }) => ({ version: file.record.version, index }));
      try {
        const { transport } = this.#session.connection;
        const { answer, binary } = await transport.call(owner.to, 'chunk.read', { ...grant, chunks }, { signal });
        let at = 0;
        for (const [position, found] of answer.chunks.entries()) {
          const chunk = group[position];
          if (!chunk) throw new OperaError('integrity', 'a node answered another question');
          const sealed = binary.subarray(at, at + (found?.length ?? 0));
          at += sealed.length;
          this.#tell(owner, chunk, found ? this.#judge(chunk, sealed) : 'missing', sealed.length);
        }
        return answer.chunks.length;
      } catch (error) {
        if (signal.aborted || isOperaError(error, 'aborted')) throw error;
        if (attempt >= limits.attemptsMax) return 0;
        if (remedyOf(error) === 'renew') await this.#plan.renew(grant.ticket, signal);
        else await this.#session.connection.clock.sleep(limits.retryBaseMs * attempt, { signal });
      }
    }
  }

  #judge(chunk: Wanted, sealed: Uint8Array): CopyState {
    if (sealed.length === 0) return 'altered';
    const hash = sha256(sealed);
    if (chunk.agreed) return equalBytes(hash, chunk.agreed) ? 'good' : 'altered';
    const { file, index } = chunk;
    const last = index === file.geometry.chunkCount - 1;
    try {
      const plaintextLength = file.geometry.lengthOf(index);
      openChunk(keysOf(this.#session, file), index, sealed, { last, plaintextLength });
    } catch (error) {
      if (isOperaError(error, 'integrity')) return 'altered';
      throw error;
    }
    chunk.agreed = hash;
    return 'good';
  }

  #tell(owner: Owner, { file, index }: Wanted, state: CopyState, bytes: number): void {
    this.#options.onCopy({ name: file.name, index, memberId: memberOf(owner), state, bytes });
  }
}

const memberOf = ({ to }: Owner): MemberId => {
  if ('memberId' in to.expect) return to.expect.memberId;
  throw new OperaError('internal', 'an owner is known by its id');
};

/** Reads all copies of (a sample of) the chunks of these files, at the owners of the newest layout. */
export const verifyFiles = async (
  session: Session,
  names: readonly string[],
  options: VerifyOptions,
): Promise<void> => {
  const { random } = session.connection;
  for await (const { names: asked, files, plan } of resolveNames(session, names, { signal: options.signal })) {
    for (const [at, file] of files.entries()) {
      if (file instanceof OperaError) options.onName(asked[at] ?? '', file);
      else if (!file) options.onName(asked[at] ?? '', new OperaError('not-found', 'it was removed meanwhile'));
    }
    if (!plan) continue;
    const verification = new Verification(session, plan, options);
    const found = files.filter((file): file is RemoteFile => file !== undefined && !(file instanceof OperaError));
    // A page of chunks at a time, so that memory does not grow with the size of a file.
    let page: Wanted[] = [];
    for (const chunk of chunksOf(found, options.sample ?? 1, random)) {
      page.push(chunk);
      if (page.length < limits.batchEntriesMax) continue;
      await verification.run(page);
      page = [];
    }
    await verification.run(page);
  }
};
