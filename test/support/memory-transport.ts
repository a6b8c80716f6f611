// The transport of one simulated process: deadlines on its own clock, wires that can be cut or clogged, and whatever a
// test decides about a single message. Below it the memory network delivers through the real encoders and schemas.
import type { CallOptions, Destination, Peer, Transport } from '../../src/client/transport.ts';
import { OperaError, toOperaError } from '../../src/errors/errors.ts';
import type { Roster } from '../../src/identity/roster.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import { type RouteName, routeFacts } from '../../src/wire/routes.ts';
import type { Links } from './memory-links.ts';
import type { MemoryCall, MemoryNetwork } from './memory-network.ts';
import type { Life } from './memory-process.ts';

/** What becomes of a message: nothing said means that it arrives at once. */
export interface Fault {
  readonly delayMs?: number;
  /** Nobody ever hears of it; the caller's deadline ends the wait. */
  readonly lost?: boolean;
  readonly refused?: boolean;
  /** Carried out, but the answer is lost. */
  readonly answerLost?: boolean;
  readonly answerDelayMs?: number;
  /** It arrives once more, so much later; nobody hears the second answer. */
  readonly againMs?: number;
}

export type Link = MemoryCall & { readonly fromAddress: string };

/** A call that was answered, by whom it was made and what came of it: `ok` or the code of an error. */
export interface Answered {
  readonly link: Link;
  readonly life: number;
  readonly answer: unknown;
  readonly outcome: string;
}

export interface Wires {
  readonly net: MemoryNetwork;
  readonly links: Links;
  /** True time, in which messages travel. */
  readonly clock: Clock;
  readonly roster: () => Roster;
  readonly faultOf: (link: Link) => Fault | undefined;
  /** Told when a handler has answered, before anyone hears of it. */
  readonly onAnswered: (answered: Answered) => void;
}

export interface Caller {
  readonly peer: Peer;
  readonly address: string;
  readonly life: Life;
  readonly clock: Clock;
}

export const createTransport = (wires: Wires, caller: Caller): Transport => {
  const { net, links, clock } = wires;
  const { peer, life, address: fromAddress } = caller;
  const inner = net.transport({ peer, roster: wires.roster });

  const deliver = async (link: Link, options: CallOptions): Promise<unknown> => {
    try {
      const answer = await inner.call(link.to, link.route, link.request as never, options);
      wires.onAnswered({ link, life: life.id, answer: answer.answer, outcome: 'ok' });
      return answer;
    } catch (error) {
      wires.onAnswered({ link, life: life.id, answer: undefined, outcome: toOperaError(error).code });
      throw error;
    }
  };

  /** Undefined when nobody will ever hear of the answer. */
  const travel = async (link: Link, fault: Fault, options: CallOptions): Promise<(() => unknown) | undefined> => {
    const { to } = link;
    if (fault.delayMs) await clock.sleep(fault.delayMs);
    if (fault.lost || !(await links.pass(fromAddress, to.address))) return undefined;
    if (fault.refused) throw new OperaError('unavailable', `${to.address} refused`);
    if (fault.againMs !== undefined) {
      clock.after(fault.againMs, () => void deliver(link, options).catch(() => undefined));
    }
    const answered = await deliver(link, options).then(
      (answer) => () => answer,
      (error: unknown) => () => {
        throw error;
      },
    );
    if (fault.answerDelayMs) await clock.sleep(fault.answerDelayMs);
    return fault.answerLost || !(await links.pass(to.address, fromAddress)) ? undefined : answered;
  };

  const call = (to: Destination, route: RouteName, request: unknown, options: CallOptions = {}): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const { signal } = options;
      const settled = (end: () => void) => (): void => {
        stop();
        signal?.removeEventListener('abort', aborted);
        life.run(end);
      };
      const aborted = settled(() => reject(new OperaError('aborted', 'interrupted')));
      const timeoutMs = options.timeoutMs ?? routeFacts(route).timeoutMs;
      const late = settled(() => reject(new OperaError('timeout', `no answer within ${timeoutMs} ms`)));
      const stop = caller.clock.after(timeoutMs, late);
      if (life.ended) return;
      if (signal?.aborted) return aborted();
      signal?.addEventListener('abort', aborted, { once: true });
      const link = { from: peer, to, route, request, fromAddress };
      travel(link, wires.faultOf(link) ?? {}, options).then(
        (answered) => {
          if (!answered) return;
          settled(() => {
            try {
              resolve(answered());
            } catch (error) {
              reject(error instanceof Error ? error : toOperaError(error));
            }
          })();
        },
        (error: unknown) => settled(() => reject(error instanceof Error ? error : new Error(String(error))))(),
      );
    });
  return { call: call as Transport['call'], close: async () => undefined };
};
