// A plan: the right to move the chunks of some versions, and its renewal. The ticket is renewed at half of its life
// and when a node says that it, the layout or the registry's life is old; many chunks that meet this at once share
// one renewal. A plan never changes its versions.
import { parseTicket } from '../identity/ticket.ts';
import type { VersionId } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import type { SignedRecord } from '../model/signed-record.ts';
import type { Session } from './session.ts';
import type { WirePlan } from './view.ts';

/** What a request to a node shows. */
export interface Grant {
  readonly ticket: SignedRecord;
  readonly versions: VersionId[];
}

export class Plan {
  readonly #session: Session;
  readonly #versions: VersionId[];
  #ticket: SignedRecord;
  /** On the monotonic clock. */
  #renewAtMs = 0;
  #expiresAtMs = 0;
  #renewing: Promise<void> | undefined;

  private constructor(session: Session, versions: readonly VersionId[], ticket: SignedRecord, nowMs: number) {
    this.#session = session;
    this.#versions = [...versions];
    this.#ticket = ticket;
    this.#time(nowMs);
  }

  /** From an answer that carries a plan and a ticket for `versions`, in the ticket's order. */
  static async accept(
    session: Session,
    answer: WirePlan,
    ticket: SignedRecord,
    versions: readonly VersionId[],
  ): Promise<Plan> {
    await session.view.accept(answer);
    return new Plan(session, versions, ticket, answer.nowMs);
  }

  /** The ticket to show now. Renewal is waited for only when the old one is of no use any more. */
  async grant(signal?: AbortSignal): Promise<Grant> {
    const nowMs = this.#session.connection.clock.monotonicMs();
    if (nowMs >= this.#expiresAtMs) await this.renew(this.#ticket, signal);
    else if (nowMs >= this.#renewAtMs) {
      // Transfers go on while no gateway answers: a failure here is tried again a little later.
      this.#renewAtMs = nowMs + limits.retryCeilingMs;
      this.renew(this.#ticket).catch(() => undefined);
    }
    return this.last;
  }

  /** The ticket as it is. */
  get last(): Grant {
    return { ticket: this.#ticket, versions: this.#versions };
  }

  /** A newer plan than the one that `refused` belonged to; does nothing when there is one already. */
  async renew(refused: SignedRecord, signal?: AbortSignal): Promise<void> {
    if (refused !== this.#ticket) return;
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined;
    });
    await this.#renewing;
    signal?.throwIfAborted();
  }

  async #renew(): Promise<void> {
    const { connection, view } = this.#session;
    const answer = await connection.call('ticket.renew', { ...this.last, haveLayout: view.layoutNumber });
    await view.accept(answer);
    this.#ticket = answer.ticket;
    this.#time(answer.nowMs);
  }

  /** What is left by the master's clock is counted on our monotonic one, so that a wrong wall clock does no harm. */
  #time(nowMs: number): void {
    const leftMs = Math.max(0, parseTicket(this.#ticket.bytes).expiresMs - nowMs);
    const now = this.#session.connection.clock.monotonicMs();
    this.#renewAtMs = now + leftMs / 2;
    this.#expiresAtMs = now + leftMs;
  }
}
