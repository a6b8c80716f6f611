// Reading chunks: from the first live owner, then from the next copy on an error, a wrong hash or tag, or silence.
// Invariant: only plaintext whose every tag was right leaves this file; a copy that does not open counts as absent.
// When every copy that answers fails so, the error is `integrity`; when copies could not be asked, `unavailable`.
import { equalBytes, sha256 } from '../crypto/digest.ts';
import { planSegmentRange, sealedLength } from '../crypto/geometry.ts';
import { type FileKeys, openChunk, openSegments } from '../crypto/sealing.ts';
import { isOperaError, OperaError, toOperaError } from '../errors/errors.ts';
import type { KeyHash, VersionId } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import type { RemoteFile } from './open-file.ts';
import { Patience, remedyOf } from './patience.ts';
import type { Plan } from './plan.ts';
import type { Session } from './session.ts';
import { tryInTurn } from './silence.ts';
import type { Owner } from './view.ts';

/** Plaintext bytes [from, to) of one chunk. */
export interface ChunkPart {
  readonly index: number;
  readonly from: number;
  readonly to: number;
}

export interface ReadOptions {
  readonly signal?: AbortSignal | undefined;
  readonly patience?: Patience;
}

interface Asked {
  readonly version: VersionId;
  readonly index: number;
  readonly from?: number;
  readonly to?: number;
}

/** Sealed bytes of one chunk from one owner; undefined when it holds no good copy. */
const ask = async (
  session: Session,
  plan: Plan,
  owner: Owner,
  asked: Asked,
  options: { readonly signal?: AbortSignal; readonly timeoutMs: number },
): Promise<Uint8Array | undefined> => {
  const grant = await plan.grant(options.signal);
  const { transport } = session.connection;
  try {
    const { answer, binary } = await transport.call(owner.to, 'chunk.read', { ...grant, chunks: [asked] }, options);
    const found = answer.chunks[0];
    if (!found) return undefined;
    if (found.length === 0) throw new OperaError('integrity', 'a node found its copy of a chunk altered');
    const whole = asked.from === undefined;
    const right = binary.length === found.length && (!whole || equalBytes(sha256(binary), found.hash));
    if (!right) throw new OperaError('integrity', 'a copy of a chunk does not match its hash');
    return binary;
  } catch (error) {
    if (remedyOf(error) === 'renew') await plan.renew(grant.ticket, options.signal);
    throw error;
  }
};

class ChunkRead {
  readonly #session: Session;
  readonly #plan: Plan;
  readonly #file: RemoteFile;
  readonly #keys: FileKeys;
  readonly #part: ChunkPart;
  readonly #asked: Asked;
  #altered: OperaError | undefined;
  #last: OperaError | undefined;
  /** Copies of this round that could not be asked, or that say they have nothing yet. */
  #unasked = 0;
  #renewed = false;

  constructor(session: Session, plan: Plan, file: RemoteFile, keys: FileKeys, part: ChunkPart) {
    this.#session = session;
    this.#plan = plan;
    this.#file = file;
    this.#keys = keys;
    this.#part = part;
    this.#asked = { version: file.record.version, index: part.index, ...this.#range() };
  }

  get #length(): number {
    return this.#file.geometry.lengthOf(this.#part.index);
  }

  get #isWhole(): boolean {
    return this.#part.from === 0 && this.#part.to === this.#length;
  }

  #range(): { from?: number; to?: number } {
    if (this.#isWhole) return {};
    const { sealedFrom, sealedTo } = planSegmentRange(this.#length, this.#part.from, this.#part.to);
    return sealedFrom === 0 && sealedTo === sealedLength(this.#length) ? {} : { from: sealedFrom, to: sealedTo };
  }

  async run({ signal, patience = new Patience(this.#session.connection) }: ReadOptions): Promise<Uint8Array> {
    for (let round = 1; ; round++) {
      this.#unasked = 0;
      this.#altered = undefined;
      this.#renewed = false;
      const { version, index } = this.#asked;
      const plaintext = await tryInTurn(
        this.#session,
        this.#session.view.readersOf(version, index),
        signal,
        (owner, inner) => this.#try(owner, round, inner),
        () => this.#renewed,
      );
      if (plaintext) {
        patience.progress();
        return plaintext;
      }
      this.#throwIfDamaged();
      const error = this.#last ?? new OperaError('unavailable', 'no copy of a chunk can be reached');
      if (patience.exhausted) throw this.#failure(error);
      // After a renewal the owners may be others: at once the first time, with a growing wait after that.
      if (!this.#renewed || round > 1) await patience.wait(round, this.#failure(error), signal);
      if (!this.#renewed) await this.#renew(signal);
    }
  }

  /** Every copy was reached, and none is good. */
  #throwIfDamaged(): void {
    if (this.#altered && this.#unasked === 0) throw this.#altered;
  }

  /** Whether a chunk is damaged or only out of reach decides what a person does next. */
  #failure(last: OperaError): OperaError {
    if (isOperaError(last, 'aborted')) return last;
    const altered = this.#altered ? '; a copy that was reached is damaged' : '';
    const message = `no good copy of chunk ${this.#part.index} can be reached${altered}`;
    return new OperaError('unavailable', message, { cause: last, hint: 'See opera status and opera where' });
  }

  async #renew(signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#plan.renew(this.#plan.last.ticket, signal);
    } catch (error) {
      if (remedyOf(error) === 'none') throw error;
    }
  }

  /** The plaintext, or undefined when the next copy is to be asked. */
  async #try(owner: Owner, round: number, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> {
    const timeoutMs = round === 1 ? limits.chunkFirstTryMs : limits.chunkTimeoutMs;
    try {
      const sealed = await ask(this.#session, this.#plan, owner, this.#asked, {
        timeoutMs,
        ...(signal ? { signal } : {}),
      });
      if (sealed) return this.#open(sealed);
      this.#unasked++;
      this.#last = new OperaError('unavailable', 'an owner does not hold the chunk');
      return undefined;
    } catch (thrown) {
      if (isOperaError(thrown, 'aborted') || signal?.aborted) throw thrown;
      const error = toOperaError(thrown);
      if (isOperaError(error, 'integrity')) {
        this.#altered = error;
        return undefined;
      }
      const remedy = remedyOf(thrown);
      if (remedy === 'none') throw thrown;
      if (isOperaError(error, 'unavailable', 'timeout')) this.#avoid(owner.keyHash);
      this.#unasked++;
      this.#last = error;
      this.#renewed ||= remedy === 'renew';
      return undefined;
    }
  }

  #avoid(keyHash: KeyHash): void {
    this.#session.view.avoid(keyHash);
  }

  #open(sealed: Uint8Array): Uint8Array {
    const { index, from, to } = this.#part;
    const length = this.#length;
    const last = this.#file.geometry.isLast(index);
    if (this.#asked.from === undefined) {
      const plaintext = openChunk(this.#keys, index, sealed, { last, plaintextLength: length });
      return this.#isWhole ? plaintext : plaintext.subarray(from, to);
    }
    const { firstSegment, skip } = planSegmentRange(length, from, to);
    const opened = openSegments(this.#keys, index, sealed, firstSegment, { last, plaintextLength: length });
    const part = opened.subarray(skip, skip + (to - from));
    if (part.length !== to - from) throw new OperaError('integrity', 'a node answered fewer bytes than asked for');
    return part;
  }
}

/** Plaintext of one part of one chunk. Empty parts exist only in an empty file. */
export const readChunk = (
  session: Session,
  plan: Plan,
  file: RemoteFile,
  keys: FileKeys,
  part: ChunkPart,
  options: ReadOptions = {},
): Promise<Uint8Array> => new ChunkRead(session, plan, file, keys, part).run(options);
