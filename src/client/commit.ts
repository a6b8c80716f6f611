// Committing one change of a name: repeated under one operation id until the network says what became of it.
// Invariant: the operation id never changes, so that a change whose answer was lost is carried out once; a body that
// follows an older version, or is wrapped under an older key, is sealed anew, and the data is not touched.
import { randomOperationId } from './ids.ts';
import { isOperaError, OperaError, toOperaError, isErrorCode } from '../errors/errors.ts';
import type { OperationId } from '../model/ids.ts';
import type { Keyring } from '../crypto/keyring.ts';
import { wrapEpochOf } from '../crypto/wrap.ts';
import type { WireChangeOutcome, WireNameChange } from '../wire/messages-names.ts';
import { Patience, remedyOf } from './patience.ts';
import type { Plan } from './plan.ts';
import type { Session } from './session.ts';

export type DoneOutcome = Extract<WireChangeOutcome, { readonly done: true }>;
type RefusedOutcome = Extract<WireChangeOutcome, { readonly done: false }>;

export interface CommitRequest {
  /** Seals body and wrap for a predecessor (0n for none) with the newest key; called again for each new try. */
  readonly build: (follows: bigint, keyring: Keyring) => WireNameChange;
  /** Sequence of the name's current version, as far as known. */
  readonly follows: bigint;
  /** The upload's ticket, for a put. */
  readonly plan?: Plan;
  /** Makes missing chunks durable again, when their sealed bytes can still be had. */
  readonly onChunksMissing?: () => Promise<void>;
  /** What a node already answered when it passed the commit on. */
  readonly first?: { readonly change: WireNameChange; readonly outcome: WireChangeOutcome };
  readonly signal?: AbortSignal | undefined;
}

/** Answers of the master that another try may turn into success. */
const passing: readonly string[] = [
  'chunks-missing',
  'write-quorum',
  'layout-changed',
  'stale-incarnation',
  'registry-unavailable',
  'unavailable',
  'not-ready',
  'overloaded',
  'timeout',
  'not-leader',
];

/** After these the step may have been taken: the master lost its answer, or could not finish what was begun. */
const uncertain: readonly string[] = [
  'unavailable',
  'timeout',
  'registry-unavailable',
  'stale-incarnation',
  'write-quorum',
];

/** The operation id of a new change. */
export const drawOperationId = (session: Session): OperationId => randomOperationId(session.connection.random);

const toError = (outcome: RefusedOutcome): OperaError =>
  isErrorCode(outcome.code)
    ? new OperaError(outcome.code, undefined, outcome.current ? { details: { ...outcome.current } } : {})
    : new OperaError('internal', 'the network refused the change for a reason unknown to this program');

class Commit {
  readonly #session: Session;
  readonly #request: CommitRequest;
  readonly #patience: Patience;
  #follows: bigint;
  #change: WireNameChange;
  #attempt = 0;
  /** True once a try ended without an answer that says: the change may have been carried out. */
  #uncertain = false;

  constructor(session: Session, request: CommitRequest) {
    this.#session = session;
    this.#request = request;
    this.#patience = new Patience(session.connection);
    this.#follows = request.follows;
    this.#change = request.first?.change ?? request.build(this.#follows, session.connection.keys.keyring);
  }

  async run(): Promise<DoneOutcome> {
    let outcome = this.#request.first?.outcome;
    for (;;) {
      outcome ??= await this.#send();
      if (outcome?.done) return outcome;
      if (outcome) await this.#repair(outcome);
      outcome = undefined;
    }
  }

  /** Undefined when the try failed in a way that may pass. */
  async #send(): Promise<WireChangeOutcome | undefined> {
    const { plan, signal } = this.#request;
    const { connection } = this.#session;
    let shown = plan?.last;
    try {
      shown = await plan?.grant(signal);
      const answer = await connection.call(
        'name.commit',
        { changes: [this.#change], ...shown },
        signal ? { signal } : {},
      );
      const outcome = answer.outcomes[0];
      if (!outcome) throw new OperaError('internal', 'a commit was answered without an outcome');
      return outcome;
    } catch (error) {
      this.#uncertain ||= isOperaError(error) && uncertain.includes(error.code);
      const remedy = remedyOf(error);
      const again = remedy === 'renew' || (isOperaError(error) && passing.includes(error.code));
      if (!again) throw error;
      await this.#wait(error);
      if (remedy === 'renew' && plan && shown) await this.#renew(plan, shown.ticket);
      return undefined;
    }
  }

  /** A plan that cannot be renewed now is met again by the next try, and by patience in the end. */
  async #renew(plan: Plan, shown: Plan['last']['ticket']): Promise<void> {
    try {
      await plan.renew(shown, this.#request.signal);
    } catch (error) {
      if (remedyOf(error) === 'none') throw error;
    }
  }

  async #repair(outcome: RefusedOutcome): Promise<void> {
    const { code, current } = outcome;
    const { keys } = this.#session.connection;
    if (code === 'stale_follows') {
      this.#follows = current?.sequence ?? 0n;
      this.#change = this.#request.build(this.#follows, keys.keyring);
      // Others that write the same name as fast as we do: the wait grows, the patience ends.
      if (++this.#attempt > 1) await this.#wait(toError(outcome));
      return;
    }
    if (code === 'stale_epoch') {
      const used = wrapEpochOf(this.#change.sealed.wrap);
      if (keys.keyring.newestEpoch <= used) await this.#session.connection.refresh(this.#request.signal);
      if (keys.keyring.newestEpoch <= used) await this.#wait(toError(outcome));
      this.#change = this.#request.build(this.#follows, keys.keyring);
      return;
    }
    if (!passing.includes(code)) throw toError(outcome);
    this.#uncertain ||= uncertain.includes(code);
    await this.#wait(toError(outcome));
    // Copies that were under way get a moment; what is missing after that is sent again.
    if (code === 'chunks-missing' && this.#attempt % 3 === 0) await this.#request.onChunksMissing?.();
    const { plan } = this.#request;
    if (plan && (code === 'layout-changed' || code === 'stale-incarnation')) await this.#renew(plan, plan.last.ticket);
  }

  async #wait(error: unknown): Promise<void> {
    if (this.#patience.exhausted && this.#uncertain) {
      const { code, message } = toOperaError(error);
      throw new OperaError(code, `${message}; whether the change was carried out is not known`, {
        cause: error,
        hint: 'Look with opera stat, or repeat the command',
      });
    }
    await this.#patience.wait(++this.#attempt, error, this.#request.signal);
  }
}

/**
 * Carries the change out, exactly once. Throws what refused it: `exists`, `conflict`, `not-found`, `upload-closed`, or
 * the last passing error after patience ended.
 */
export const commitChange = (session: Session, request: CommitRequest): Promise<DoneOutcome> =>
  new Commit(session, request).run();
